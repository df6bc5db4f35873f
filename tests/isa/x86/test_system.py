"""System registers, flags and ports: who may, and what happens silently where another machine would trap."""

from __future__ import annotations

import pytest

from hypernest.isa.x86.faults import Cause
from hypernest.isa.x86.state import CR0, CR4, REGISTERS, Cr4
from hypernest.isa.x86.x86 import X86
from tests.isa.x86.bench import (
    DATA,
    ESP,
    FREE,
    GDT,
    IDT,
    LOCAL,
    STACK,
    TASK,
    Bench,
    Raised,
    descriptor,
)

EAX, ECX, EDX, EBX, ESI = 0, 1, 2, 3, 6
IF, IOPL, VIF, VIP, RF, VM, ID = 1 << 9, 3 << 12, 1 << 19, 1 << 20, 1 << 16, 1 << 17, 1 << 21
REFUSED = Raised(Cause.PRIVILEGE, 13)

# Good operands for each privileged instruction.
PRIVILEGED: dict[str, dict[str, int]] = {
    "lgdt": {"base": ESI}, "lidt": {"base": ESI}, "lldt": {"src": EBX}, "ltr": {"src": ECX}, "lmsw": {"src": EAX},
    "clts": {}, "hlt": {}, "invlpg": {"base": ESI}, "invd": {}, "wbinvd": {}, "rdmsr": {}, "wrmsr": {},
    "mov.to.cr0": {"src": EAX}, "mov.to.cr2": {"src": EAX}, "mov.to.cr3": {"src": EAX}, "mov.to.cr4": {"src": EDX},
    "mov.from.cr0": {"dst": EAX}, "mov.from.cr2": {"dst": EAX}, "mov.from.cr3": {"dst": EAX},
    "mov.from.cr4": {"dst": EAX}, "mov.to.dr": {"number": 7, "src": EAX}, "mov.from.dr": {"number": 0, "dst": EAX},
}  # fmt: skip
GUARDED = {
    "sgdt": {"base": ESI},
    "sidt": {"base": ESI},
    "sldt": {"dst": EAX},
    "str": {"dst": EAX},
    "smsw": {"dst": EAX},
}
BY_IOPL: dict[str, dict[str, int]] = {"cli": {}, "sti": {}, "in": {}, "out": {}}


def prepared(cpl: int, iopl: int = 0) -> Bench:
    bench = Bench(cpl, iopl)
    bench["r", EAX], bench["r", ESI], bench["r", EBX] = 0x11, DATA, LOCAL
    bench["r", ECX] = FREE if cpl == 0 else 0x174
    bench.describe(FREE, descriptor(0x5000, 0x67, 0x89))
    return bench


@pytest.mark.parametrize("name", PRIVILEGED)
def test_privileged_instructions(name: str) -> None:
    bench = prepared(0)
    if name.endswith("msr"):
        bench["r", ECX] = 0x174
    assert bench.run(name, **PRIVILEGED[name]) is None
    for cpl in (1, 2, 3):
        bench = prepared(3, iopl=3)
        bench["cs"] = bench["cs"] & ~3 | cpl
        bench["ss"] = bench["ss"] & ~3 | cpl
        assert bench.run(name, **PRIVILEGED[name]) == REFUSED


@pytest.mark.parametrize("name", GUARDED)
def test_stores_of_system_registers(name: str) -> None:
    """No privilege is needed, unless user-mode instruction prevention is on."""
    for cpl, prevention, allowed in [(0, 0, True), (3, 0, True), (0, 1, True), (3, 1, False)]:
        bench = prepared(cpl)
        bench["cr4"] = prevention << Cr4.UMIP
        bench["ldtr"] = LOCAL
        bench["r", EAX] = 0xFFFF_FFFF
        assert bench.run(name, **GUARDED[name]) == (None if allowed else REFUSED)
        if allowed:
            result = bench.load(DATA, 6) if name in ("sgdt", "sidt") else bench["r", EAX]
            expected = {"sgdt": GDT << 16 | 0xFF, "sidt": IDT << 16 | 0x7FF, "sldt": LOCAL, "str": TASK, "smsw": 0x11}
            assert result == expected[name]


@pytest.mark.parametrize("name", BY_IOPL)
@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("iopl", [0, 2, 3])
def test_what_iopl_allows(name: str, cpl: int, iopl: int) -> None:
    assert prepared(cpl, iopl).run(name) == (None if cpl <= iopl else REFUSED)


# --- registers -------------------------------------------------------------------------------------------------------


def test_descriptor_table_registers() -> None:
    bench = prepared(0)
    bench.store(DATA, 6, 0x1234_5678_9ABC)
    assert bench.run("lidt", base=ESI, imm=0) is None
    assert (bench["idtr_base"], bench["idtr_limit"]) == (0x1234_5678, 0x9ABC)
    bench["ds_limit"] = DATA + 4
    assert bench.run("sidt", base=ESI, imm=0) == Raised(Cause.MEMORY_SEGMENT, None)
    assert bench.load(DATA, 6) == 0x1234_5678_9ABC


def test_lldt() -> None:
    bench = prepared(0)
    assert bench.run("lldt", src=EBX) is None
    assert (bench["ldtr"], bench["ldtr_limit"], bench["ldtr_rights"]) == (LOCAL, 0xFF, 0x82)
    bench["r", EBX] = 3
    assert bench.run("lldt", src=EBX) is None
    assert (bench["ldtr"], bench["ldtr_rights"]) == (3, 0)
    for selector in (TASK, LOCAL | 4, 0x100):
        bench["r", EBX] = selector
        assert bench.run("lldt", src=EBX) == Raised(Cause.OPERAND_PROTECTION, 13)


def test_ltr_marks_the_task_busy() -> None:
    bench = prepared(0)
    assert bench.run("ltr", src=ECX) is None
    assert (bench["tr"], bench["tr_base"], bench["tr_limit"], bench["tr_rights"]) == (FREE, 0x5000, 0x67, 0x8B)
    assert bench.load(GDT + FREE + 5, 1) == 0x8B
    assert bench.run("ltr", src=ECX) == Raised(Cause.OPERAND_PROTECTION, 13)
    bench["r", ECX] = 0
    assert bench.run("ltr", src=ECX) == Raised(Cause.OPERAND_PROTECTION, 13)


@pytest.mark.parametrize(
    ("value", "result"), [(0x8000_0001, 0x8000_0011), (0xFFFF_FFFF, CR0), (0x10, None), (0x2000_0001, None)]
)
def test_mov_to_cr0(value: int, result: int | None) -> None:
    bench = prepared(0)
    bench["r", EAX] = value
    raised = bench.run("mov.to.cr0", src=EAX)
    assert raised == (Raised(Cause.OPERAND_PROTECTION, 13) if result is None else None)
    assert bench["cr0"] == (0x11 if result is None else result)


def test_lmsw_and_clts() -> None:
    bench = prepared(0)
    bench["r", EAX] = 0xFFFF_FFFE
    assert bench.run("lmsw", src=EAX) is None
    assert bench["cr0"] == 0x1F
    assert bench.run("clts") is None
    assert bench["cr0"] == 0x17


def test_reserved_bits_of_cr4() -> None:
    bench = prepared(0)
    bench["r", EDX] = CR4
    assert bench.run("mov.to.cr4", src=EDX) is None
    assert bench["cr4"] == CR4
    bench["r", EDX] = 1 << 31
    assert bench.run("mov.to.cr4", src=EDX) == Raised(Cause.OPERAND_PROTECTION, 13)


def test_debug_registers_can_be_guarded() -> None:
    bench = prepared(0)
    bench["r", EAX] = 1 << 13
    assert bench.run("mov.to.dr", number=7, src=EAX) is None
    assert bench.run("mov.from.dr", number=7, dst=EBX) == Raised(Cause.DEBUG_REGISTER_ACCESS, 1)


def test_model_specific_registers() -> None:
    bench = prepared(0)
    bench["r", ECX], bench["r", EDX] = 0x176, 0xABCD
    assert bench.run("wrmsr") is None
    assert bench["sysenter", 2] == 0xABCD_0000_0011
    bench["r", EAX] = bench["r", EDX] = 0
    assert bench.run("rdmsr") is None
    assert (bench["r", EDX], bench["r", EAX]) == (0xABCD, 0x11)
    bench["r", ECX] = 0x177
    assert bench.run("rdmsr") == Raised(Cause.OPERAND_PROTECTION, 13)


def test_time_stamp_counter() -> None:
    for cpl, disabled, allowed in [(0, 1, True), (3, 0, True), (3, 1, False)]:
        bench = prepared(cpl)
        bench["cr4"] = disabled << Cr4.TSD
        bench["clock_end"] = 0x12_3456_789A
        assert bench.run("rdtsc") == (None if allowed else REFUSED)
        if allowed:
            assert (bench["r", EDX], bench["r", EAX]) == (0x12, 0x3456_789A)


def test_ports() -> None:
    bench = prepared(3, iopl=3)
    bench["r", EDX] = 0xFFFF_03F8
    assert bench.run("out") is None
    assert bench.devices.written == [((1 << 32) + 0x3F8, 4, 0x11)]
    assert bench.run("in") is None
    assert bench["r", EAX] == 0xFFFF_FFFF  # nobody answers


# --- EFLAGS ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize("value", [0xFFFF_FFFF, 0])
def test_popf_changes_silently_what_it_may(cpl: int, iopl: int, value: int) -> None:
    bench = Bench(cpl, iopl)
    bench["eflags"] |= RF | VIF * (value == 0) | IF * (value == 0)
    before = bench["eflags"]
    bench.stack(value)
    assert bench.run("popf") is None
    changeable = 0x24_4DD5 | (IF if cpl <= iopl else 0) | (IOPL if cpl == 0 else 0)
    assert bench["eflags"] == (before & ~changeable | value & changeable) & ~RF
    assert bench["r", ESP] == STACK


def test_pushf_shows_the_real_flags() -> None:
    bench = Bench(3, iopl=1)
    bench["eflags"] |= IF | RF | VIP | ID
    assert bench.run("pushf") is None
    assert bench.top(1) == [2 | 1 << 12 | IF | VIP | ID]


def test_virtual_interrupt_flag() -> None:
    bench = Bench(3)
    bench["cr4"] = 1 << Cr4.PVI
    bench["eflags"] |= IF
    assert bench.run("sti") is None
    assert bench["eflags"] & (IF | VIF) == IF | VIF
    assert bench.run("cli") is None
    assert bench["eflags"] & (IF | VIF) == IF
    bench["eflags"] |= VIP
    assert bench.run("sti") == REFUSED


@pytest.mark.parametrize(
    ("name", "a", "b", "result", "flags"),
    [
        ("add", 0x7FFF_FFFF, 1, 0x8000_0000, "AF SF OF PF"),
        ("add", 0xFFFF_FFFF, 1, 0, "CF AF ZF PF"),
        ("sub", 0, 1, 0xFFFF_FFFF, "CF AF SF PF"),
        ("sub", 0x8000_0000, 1, 0x7FFF_FFFF, "AF OF PF"),
        ("cmp", 5, 5, 5, "ZF PF"),
        ("and", 0x8000_0001, 0x8000_0000, 0x8000_0000, "SF PF"),
        ("xor", 3, 1, 2, ""),
    ],
)
def test_arithmetic(name: str, a: int, b: int, result: int, flags: str) -> None:
    bits = {"CF": 0, "PF": 2, "AF": 4, "ZF": 6, "SF": 7, "OF": 11}
    bench = Bench(3)
    bench["r", EAX], bench["r", EBX] = a, b
    assert bench.run(name, dst=EAX, src=EBX) is None
    assert bench["r", EAX] == result
    assert bench["eflags"] == 2 | sum(1 << bits[flag] for flag in flags.split())


def test_inc_keeps_the_carry() -> None:
    bench = Bench()
    bench["eflags"] |= 1
    bench["r", EAX] = 0xFFFF_FFFF
    assert bench.run("inc", dst=EAX) is None
    assert bench["eflags"] == 2 | 1 | 1 << 2 | 1 << 4 | 1 << 6


def test_flags_in_ah() -> None:
    bench = Bench()
    bench["r", EAX] = 0x1234_FF78
    assert bench.run("sahf") is None
    assert bench["eflags"] == 0xD7
    bench["eflags"] |= 0xF00
    assert bench.run("lahf") is None
    assert bench["r", EAX] == 0x1234_D778


def test_push_and_pop_of_the_stack_pointer() -> None:
    bench = Bench()
    assert bench.run("push", src=ESP) is None
    assert bench.top(1) == [STACK]
    bench.stack(0x1234)
    assert bench.run("pop", dst=ESP) is None
    assert bench["r", ESP] == 0x1234


def test_moves() -> None:
    bench = Bench()
    assert bench.run("mov.imm", dst=EBX, imm=-2) is None
    assert bench.run("mov", dst=ESI, src=EBX) is None
    assert bench.run("lea", dst=ECX, base=ESI, imm=6) is None
    assert [bench["r", each] for each in (EBX, ESI, ECX)] == [0xFFFF_FFFE, 0xFFFF_FFFE, 4]
    assert bench.run("mov.store", src=EBX, base=ECX, imm=DATA) is None
    assert bench.run("mov.load", dst=EAX, base=ECX, imm=DATA) is None
    assert bench["r", EAX] == bench.load(DATA + 4) == 0xFFFF_FFFE


def test_cpuid() -> None:
    bench = Bench(3)
    assert bench.run("cpuid") is None
    name = b"".join(bench["r", each].to_bytes(4, "little") for each in (EBX, EDX, ECX))
    assert (bench["r", EAX], name) == (1, b"hypernest   ")
    assert bench.run("cpuid") is None
    assert bench["r", EDX] == 1 << 4 | 1 << 5 | 1 << 11


# --- the whole -------------------------------------------------------------------------------------------------------


def test_names_of_all_causes() -> None:
    assert set(X86.causes) == set(Cause)
    assert len(set(X86.causes.values())) == len(Cause)


def test_registers_fit_their_reset_values() -> None:
    assert all(register.reset < 1 << register.width <= 1 << 64 for register in REGISTERS)
