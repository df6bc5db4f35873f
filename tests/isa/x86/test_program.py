"""A small system run instruction by instruction: a kernel sets up its tables, drops to ring 3 and is called back."""

from __future__ import annotations

from hypernest.isa.x86.faults import Cause
from hypernest.isa.x86.x86 import X86
from tests.isa.x86.bench import (
    CODE,
    DATA,
    ESP,
    GDT,
    HANDLERS,
    IDT,
    KERNEL_CODE,
    KERNEL_DATA,
    KERNEL_STACK,
    LOCAL,
    STACK,
    TASK,
    TSS,
    USER_CODE,
    USER_DATA,
    Bench,
    descriptor,
    gate,
)

EAX, ECX, EDX, EBX, EBP, ESI, EDI = 0, 1, 2, 3, 5, 6, 7
USER = 0x5000
IF = 1 << 9
Program = list[tuple[str, dict[str, int]]]


def place(bench: Bench, address: int, program: Program) -> None:
    for name, fields in program:
        row = X86.rows[name]
        bench.store(address, row.length, row.encode(**fields))
        address += row.length


def load_segment(name: str, selector: int) -> Program:
    return [("mov.imm", {"dst": EAX, "imm": selector}), (f"mov.to.{name}", {"src": EAX})]


def push_constant(value: int) -> Program:
    return [("mov.imm", {"dst": EAX, "imm": value}), ("push", {"src": EAX})]


KERNEL: Program = [
    ("mov.imm", {"dst": ESI, "imm": DATA}),
    ("lgdt", {"base": ESI, "imm": 0}),
    ("lidt", {"base": ESI, "imm": 8}),
    ("mov.imm", {"dst": EAX, "imm": LOCAL}),
    ("lldt", {"src": EAX}),
    ("mov.imm", {"dst": EAX, "imm": TASK}),
    ("ltr", {"src": EAX}),
    *load_segment("ss", KERNEL_DATA),
    *(step for name in ("ds", "es", "fs", "gs") for step in load_segment(name, USER_DATA)),
    *(step for value in (USER_DATA, STACK, 2 | IF, USER_CODE, USER) for step in push_constant(value)),
    ("iret", {}),
]

PROGRAM: Program = [
    ("pushf", {}),
    ("pop", {"dst": EBX}),
    ("mov.imm", {"dst": EAX, "imm": 0x3002}),  # IF off, IOPL 3
    ("push", {"src": EAX}),
    ("popf", {}),  # silently refused
    ("pushf", {}),
    ("pop", {"dst": ECX}),
    ("smsw", {"dst": EDX}),
    ("mov.from.cs", {"dst": EBP}),
    ("int", {"uimm": 0x80}),
    ("mov.from.ds", {"dst": EDI}),
    ("cli", {}),  # refused with an exception
]

SYSTEM_CALL: Program = [("mov.from.cs", {"dst": EDI}), *load_segment("ds", KERNEL_DATA), ("iret", {})]


def test_rings() -> None:
    bench = Bench()
    bench.store(DATA, 6, GDT << 16 | 0x3F)
    bench.store(DATA + 8, 6, IDT << 16 | 0x7FF)
    bench.store(IDT + 8 * 0x80, 8, gate(KERNEL_CODE, HANDLERS + 16 * 0x80, 0xEE))
    bench.describe(TASK, descriptor(TSS, 0x67, 0x89))
    bench["gdtr_limit"] = bench["idtr_limit"] = bench["tr"] = bench["tr_limit"] = bench["tr_rights"] = 0
    bench["r", ESP] = KERNEL_STACK
    place(bench, CODE, KERNEL)
    place(bench, USER, PROGRAM)
    place(bench, HANDLERS + 16 * 0x80, SYSTEM_CALL)
    bench.store(HANDLERS + 16 * 13, 1, 0xF4)  # hlt
    raised, levels = [], []
    while not bench["waiting"]:
        levels.append(bench.cpl)
        raised.append(bench.step())
        assert len(levels) < 100
    assert [each.cause for each in raised if each] == [Cause.PRIVILEGE]
    assert levels == [0] * len(KERNEL) + [3] * 10 + [0] * len(SYSTEM_CALL) + [3] * 2 + [0]
    assert (bench["r", EBX], bench["r", ECX]) == (2 | IF, 2 | IF)
    assert (bench["r", EDX], bench["r", EBP]) == (0x11, USER_CODE)
    assert bench["r", EDI] == 0  # DS, null since the return
    assert bench["r", ESP] == KERNEL_STACK - 24
