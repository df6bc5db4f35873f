"""Far calls, jumps and returns, interrupts and exceptions, between rings and within one."""

from __future__ import annotations

import pytest

from hypernest.isa.x86.faults import Cause
from tests.isa.x86.bench import (
    CODE,
    CODE_SEGMENT,
    CONFORMING,
    DATA,
    DATA_SEGMENT,
    ESP,
    FREE,
    HANDLERS,
    IDT,
    KERNEL_CODE,
    KERNEL_DATA,
    KERNEL_STACK,
    STACK,
    TASK,
    TSS,
    USER_CODE,
    USER_DATA,
    Bench,
    Raised,
    descriptor,
    gate,
    level,
)

IF, TF, NT, RF, OF, AC, VIF = 1 << 9, 1 << 8, 1 << 14, 1 << 16, 1 << 11, 1 << 18, 1 << 19
EAX = 0
TARGET = 0x7000
CALL_GATE = 0x8C
TOO_FAR = 0x10_0000


def user_gate(selector: int = KERNEL_CODE, offset: int = TARGET, dpl: int = 3) -> int:
    return gate(selector, offset, level(CALL_GATE, dpl))


# --- near, for contrast ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpl", [0, 3])
def test_near_call_and_return(cpl: int) -> None:
    bench = Bench(cpl)
    assert bench.run("call.near", imm=TARGET - CODE - 5) is None
    assert (bench["pc"], bench.top(1), bench.cpl) == (TARGET, [CODE + 5], cpl)
    assert bench.run("ret.near") is None
    assert (bench["pc"], bench["r", ESP]) == (CODE + 5, STACK)


def test_near_targets_are_within_the_limit() -> None:
    for name in ("jmp.near", "call.near", "jne"):
        bench = Bench()
        bench["cs_limit"] = 0x7FFF
        assert bench.run(name, imm=0x7FFF - CODE) == Raised(Cause.MEMORY_SEGMENT, 13)
        assert bench["r", ESP] == STACK - 16
    bench = Bench()
    bench["cs_limit"] = 0x7FFF
    bench.stack(0x8000)
    assert bench.run("ret.near") == Raised(Cause.MEMORY_SEGMENT, 13)


def test_conditional_jumps() -> None:
    for name, flags, taken in [
        ("je", 0x40, True), ("jne", 0x40, False), ("jb", 1, True), ("jb", 0, False),
        ("jl", 0x80, True), ("jl", 0x880, False), ("jl", 0x800, True),
    ]:  # fmt: skip
        bench = Bench()
        bench["eflags"] |= flags
        assert bench.run(name, imm=0x10) is None
        assert bench["pc"] == CODE + 6 + 0x10 * taken


# --- far, within a ring -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpl", [0, 3])
def test_far_call_and_return(cpl: int) -> None:
    bench = Bench(cpl)
    bench.describe(FREE, descriptor(0x1000, 0xFFFF, level(0x409A, cpl)))
    old = bench["cs"]
    assert bench.run("call.far", sel=FREE, uimm=0x123) is None
    assert (bench["cs"], bench["cs_base"], bench["cs_limit"], bench["pc"]) == (FREE | cpl, 0x1000, 0xFFFF, 0x123)
    assert bench.top(2) == [CODE + 7, old]
    assert bench.run("ret.far") is None
    assert (bench["cs"], bench["cs_base"], bench["pc"], bench["r", ESP]) == (old, 0, CODE + 7, STACK)


@pytest.mark.parametrize("name", ["call.far", "jmp.far"])
@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("rpl", [0, 3])
@pytest.mark.parametrize("dpl", [0, 1, 3])
@pytest.mark.parametrize("conforming", [0, CONFORMING])
def test_privilege_of_direct_transfers(name: str, cpl: int, rpl: int, dpl: int, conforming: int) -> None:
    bench = Bench(cpl)
    bench.describe(FREE, descriptor(0, 0xFFFFF, level(CODE_SEGMENT | conforming, dpl)))
    allowed = dpl <= cpl if conforming else dpl == cpl and rpl <= cpl
    raised = bench.run(name, sel=FREE | rpl, uimm=TARGET)
    assert raised == (None if allowed else Raised(Cause.PRIVILEGE, 13))
    if allowed:
        assert (bench["cs"], bench.cpl) == (FREE | cpl, cpl)  # the level stays, also in conforming code


@pytest.mark.parametrize(
    ("selector", "entry", "cause"),
    [
        (0, 0, Cause.OPERAND_PROTECTION),
        (0x100, 0, Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, 0xFFFFF, DATA_SEGMENT), Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, 0x67, 0x89), Cause.OPERAND_PROTECTION),  # a task
        (FREE, gate(TASK, 0, 0x85), Cause.OPERAND_PROTECTION),  # a task gate
        (FREE, descriptor(0, 0xFFFFF, CODE_SEGMENT & ~0x80), Cause.OPERAND_NOT_PRESENT),
        (FREE, gate(KERNEL_CODE, TARGET, 0x0C), Cause.OPERAND_NOT_PRESENT),
        (FREE, gate(0, TARGET, CALL_GATE), Cause.OPERAND_PROTECTION),
        (FREE, gate(KERNEL_DATA, TARGET, CALL_GATE), Cause.OPERAND_PROTECTION),
        (FREE, gate(0x100, TARGET, CALL_GATE), Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, TARGET - 1, 0x409A), Cause.MEMORY_SEGMENT),
    ],
)
@pytest.mark.parametrize("name", ["call.far", "jmp.far"])
def test_wrong_targets(name: str, selector: int, entry: int, cause: Cause) -> None:
    bench = Bench()
    bench.describe(selector, entry)
    assert bench.run(name, sel=selector, uimm=TARGET) == Raised(cause, cause & 0xFF)
    assert bench["r", ESP] == STACK - 16  # the exception's frame and nothing else


def test_far_call_needs_room() -> None:
    bench = Bench(3)
    bench["ss_limit"], bench["r", ESP] = 0xFFFF, 7
    bench.describe(FREE, descriptor(0, 0xFFFFF, level(CODE_SEGMENT, 3)))
    assert bench.run("call.far", sel=FREE, uimm=TARGET) == Raised(Cause.MEMORY_STACK, 12)


# --- call gates --------------------------------------------------------------------------------------------------


def test_call_through_a_gate_and_back() -> None:
    bench = Bench(3)
    bench.describe(FREE, user_gate())
    for name in ("ds", "es"):
        bench[name], bench[f"{name}_rights"] = USER_DATA, level(DATA_SEGMENT, 3)
    assert bench.run("call.far", sel=FREE | 3, uimm=0xDEAD) is None
    assert (bench["cs"], bench["pc"], bench.cpl) == (KERNEL_CODE, TARGET, 0)
    assert (bench["ss"], bench["r", ESP]) == (KERNEL_DATA, KERNEL_STACK - 16)
    assert bench.top(4) == [CODE + 7, USER_CODE, STACK, USER_DATA]
    bench["r", 3] = KERNEL_DATA
    assert bench.run("mov.to.ds", src=3) is None
    bench["pc"] = TARGET
    assert bench.run("ret.far") is None
    assert (bench["cs"], bench["pc"], bench["ss"], bench["r", ESP]) == (USER_CODE, CODE + 7, USER_DATA, STACK)
    assert (bench["ds"], bench["ds_rights"]) == (0, 0)  # the kernel's data is taken away
    assert (bench["es"], bench["es_rights"]) == (USER_DATA, level(DATA_SEGMENT, 3))
    assert bench["ss_rights"] & 0x60 == 0x60


def test_gate_to_the_same_ring() -> None:
    bench = Bench(3)
    bench.describe(FREE, user_gate(USER_CODE))
    assert bench.run("call.far", sel=FREE, uimm=0) is None
    assert (bench["cs"], bench["pc"], bench.top(2)) == (USER_CODE, TARGET, [CODE + 7, USER_CODE])
    bench["pc"] = CODE
    assert bench.run("jmp.far", sel=FREE, uimm=0) is None
    assert (bench["cs"], bench["pc"]) == (USER_CODE, TARGET)


def test_gates_have_a_level() -> None:
    for cpl, rpl, dpl, allowed in [(3, 3, 3, True), (3, 0, 2, False), (0, 3, 2, False), (0, 0, 0, True)]:
        bench = Bench(cpl)
        bench.describe(FREE, user_gate(dpl=dpl))
        raised = bench.run("call.far", sel=FREE | rpl, uimm=0)
        assert raised == (None if allowed else Raised(Cause.PRIVILEGE, 13))


def test_no_jump_into_an_inner_ring_and_no_call_into_an_outer_one() -> None:
    bench = Bench(3)
    bench.describe(FREE, user_gate())
    assert bench.run("jmp.far", sel=FREE | 3, uimm=0) == Raised(Cause.PRIVILEGE, 13)
    assert bench.top(1) == [KERNEL_CODE]
    bench = Bench(0)
    bench.describe(FREE, user_gate(USER_CODE))
    assert bench.run("call.far", sel=FREE, uimm=0) == Raised(Cause.PRIVILEGE, 13)


@pytest.mark.parametrize(
    ("selector", "cause"),
    [(0, Cause.OPERAND_TSS), (USER_DATA, Cause.OPERAND_TSS), (KERNEL_CODE, Cause.OPERAND_TSS),
     (FREE + 8, Cause.OPERAND_STACK)],
)  # fmt: skip
def test_inner_stacks_are_checked(selector: int, cause: Cause) -> None:
    bench = Bench(3)
    bench.describe(FREE, user_gate())
    bench.describe(FREE + 8, descriptor(0, 0xFFFFF, DATA_SEGMENT & ~0x80))
    bench.store(TSS + 8, 4, selector)
    assert bench.run("call.far", sel=FREE | 3, uimm=0) == Raised(cause, None)  # nor can the exception be delivered
    assert (bench["cs"], bench["pc"]) == (USER_CODE, CODE)


def test_inner_stack_needs_a_tss_and_room() -> None:
    bench = Bench(3)
    bench.describe(FREE, user_gate())
    bench["tr_limit"] = 8
    assert bench.run("call.far", sel=FREE | 3, uimm=0) == Raised(Cause.OPERAND_TSS, None)
    bench = Bench(3)
    bench.describe(FREE, user_gate())
    bench.store(TSS + 4, 4, 8)
    assert bench.run("call.far", sel=FREE | 3, uimm=0) == Raised(Cause.MEMORY_STACK, None)


# --- software interrupts ---------------------------------------------------------------------------------------------


def test_software_interrupt_between_rings_and_back() -> None:
    bench = Bench(3)
    bench["eflags"] |= IF | TF | NT | AC
    before = bench["eflags"]
    bench.store(IDT + 8 * 0x80, 8, gate(KERNEL_CODE, TARGET, 0xEE))
    assert bench.run("int", uimm=0x80) is None
    assert (bench["cs"], bench["pc"], bench["ss"], bench.cpl) == (KERNEL_CODE, TARGET, KERNEL_DATA, 0)
    assert bench.top(5) == [CODE + 2, USER_CODE, before, STACK, USER_DATA]
    assert bench["eflags"] == before & ~(IF | TF | NT)
    assert bench.run("iret") is None
    assert (bench["cs"], bench["pc"], bench["ss"], bench["r", ESP]) == (USER_CODE, CODE + 2, USER_DATA, STACK)
    assert bench["eflags"] == before


def test_trap_gates_leave_interrupts_on() -> None:
    bench = Bench()
    bench["eflags"] |= IF
    bench.store(IDT + 8 * 0x80, 8, gate(KERNEL_CODE, TARGET, 0x8F))
    assert bench.run("int", uimm=0x80) is None
    assert bench["eflags"] & IF
    assert bench.top(3) == [CODE + 2, KERNEL_CODE, bench["eflags"]]


@pytest.mark.parametrize("name", ["int3", "into"])
def test_short_forms(name: str) -> None:
    bench = Bench()
    bench["eflags"] |= OF
    assert bench.run(name) is None
    assert bench["pc"] == HANDLERS + 16 * (3 if name == "int3" else 4)
    bench = Bench()
    assert bench.run("into") is None
    assert bench["pc"] == CODE + 1


def test_gates_of_the_idt_have_a_level_for_software() -> None:
    bench = Bench(3)
    assert bench.run("int", uimm=0x80) == Raised(Cause.PRIVILEGE, 13)
    assert bench.top(1) == [0x80 << 3 | 2]


@pytest.mark.parametrize(
    ("entry", "cause", "error"),
    [
        (0, Cause.OPERAND_PROTECTION, 0x402),
        (gate(KERNEL_CODE, TARGET, CALL_GATE), Cause.OPERAND_PROTECTION, 0x402),
        (gate(KERNEL_CODE, TARGET, 0x0E), Cause.OPERAND_NOT_PRESENT, 0x402),
        (gate(0, TARGET, 0x8E), Cause.OPERAND_PROTECTION, 0),
        (gate(KERNEL_DATA, TARGET, 0x8E), Cause.OPERAND_PROTECTION, KERNEL_DATA),
        (gate(USER_CODE, TARGET, 0x8E), Cause.PRIVILEGE, USER_CODE & ~3),
        (gate(FREE, TARGET, 0x8E), Cause.OPERAND_NOT_PRESENT, FREE),
        (gate(FREE + 8, TARGET, 0x8E), Cause.MEMORY_SEGMENT, 0),
    ],
)
def test_wrong_gates_of_the_idt(entry: int, cause: Cause, error: int) -> None:
    bench = Bench()
    bench.describe(FREE, descriptor(0, 0xFFFFF, CODE_SEGMENT & ~0x80))
    bench.describe(FREE + 8, descriptor(0, TARGET - 1, 0x409A))
    bench.store(IDT + 8 * 0x80, 8, entry)
    assert bench.run("int", uimm=0x80) == Raised(cause, cause & 0xFF)
    assert bench.top(2) == [error, CODE]


def test_the_idt_ends() -> None:
    bench = Bench()
    bench["idtr_limit"] = 0x80 * 8 + 6
    assert bench.run("int", uimm=0x80) == Raised(Cause.OPERAND_PROTECTION, 13)


# --- exceptions ------------------------------------------------------------------------------------------------------


def test_exception_between_rings() -> None:
    bench = Bench(3, iopl=0)
    bench["eflags"] |= IF
    before = bench["eflags"]
    assert bench.run("hlt") == Raised(Cause.PRIVILEGE, 13)
    assert (bench["cs"], bench["ss"], bench["r", ESP]) == (KERNEL_CODE, KERNEL_DATA, KERNEL_STACK - 24)
    assert bench.top(6) == [0, CODE, USER_CODE, before | RF, STACK, USER_DATA]
    assert bench["eflags"] == before & ~IF


def test_exception_without_an_error_code() -> None:
    for cpl, frame in ((0, []), (3, [STACK, USER_DATA])):
        bench = Bench(cpl)
        cs = bench["cs"]
        bench.store(CODE, 2, 0x0B0F)  # ud2
        assert bench.step() == Raised(Cause.INVALID_OPCODE, 6)
        assert bench.top(3 + len(frame)) == [CODE, cs, 2 | RF, *frame]


def test_what_cannot_be_delivered_shuts_down() -> None:
    bench = Bench(3)
    bench.store(IDT + 8 * 13, 8, 0)
    assert bench.run("hlt") == Raised(Cause.PRIVILEGE, None)
    assert (bench["waiting"], bench["pc"], bench["cs"], bench["r", ESP]) == (1, CODE, USER_CODE, STACK)


# --- returns ---------------------------------------------------------------------------------------------------------


def test_return_to_an_inner_ring() -> None:
    for name, frame in (("ret.far", [KERNEL_CODE, TARGET]), ("iret", [2, KERNEL_CODE, TARGET])):
        bench = Bench(3)
        bench.stack(*frame)
        assert bench.run(name) == Raised(Cause.PRIVILEGE, 13)


@pytest.mark.parametrize(
    ("cs", "ss", "cause"),
    [
        (0, USER_DATA, Cause.OPERAND_PROTECTION),
        (KERNEL_DATA, USER_DATA, Cause.OPERAND_PROTECTION),
        (KERNEL_CODE | 3, USER_DATA, Cause.PRIVILEGE),  # DPL is not RPL
        (FREE | 3, USER_DATA, Cause.OPERAND_NOT_PRESENT),
        (USER_CODE, 0, Cause.OPERAND_PROTECTION),
        (USER_CODE, USER_CODE, Cause.OPERAND_PROTECTION),
        (USER_CODE, KERNEL_DATA, Cause.PRIVILEGE),
        (USER_CODE, (FREE + 8) | 3, Cause.OPERAND_STACK),
        (USER_CODE, USER_DATA, None),
    ],
)
def test_returns_outwards_are_checked(cs: int, ss: int, cause: Cause | None) -> None:
    for name in ("ret.far", "iret"):
        bench = Bench()
        bench.describe(FREE, descriptor(0, 0xFFFFF, level(CODE_SEGMENT & ~0x80, 3)))
        bench.describe(FREE + 8, descriptor(0, 0xFFFFF, level(DATA_SEGMENT & ~0x80, 3)))
        bench.stack(ss, DATA, *([2] if name == "iret" else []), cs, TARGET)
        assert bench.run(name) == (None if cause is None else Raised(cause, cause & 0xFF))
        if cause is None:
            assert (bench["cs"], bench["pc"], bench["ss"], bench["r", ESP]) == (cs, TARGET, ss, DATA)


@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("iopl", [0, 3])
def test_flags_that_iret_restores(cpl: int, iopl: int) -> None:
    bench = Bench(cpl, iopl)
    image = 0x0FD7 | (3 - iopl) << 12 | AC | VIF | RF | IF
    bench.stack(image, bench["cs"], TARGET)
    assert bench.run("iret") is None
    now = bench["eflags"]
    assert now & 0xDD5 == image & 0xDD5
    assert now & AC
    assert now & RF
    assert bool(now & IF) == (cpl <= iopl)
    assert (now >> 12 & 3, bool(now & VIF)) == ((3 - iopl, True) if cpl == 0 else (iopl, False))


def test_returns_that_are_not_described() -> None:
    bench = Bench()
    bench["eflags"] |= NT
    bench.stack(2, KERNEL_CODE, TARGET)
    assert bench.run("iret") == Raised(Cause.OPERAND_TSS, 10)
    bench = Bench()
    bench.stack(2 | 1 << 17, KERNEL_CODE, TARGET)
    assert bench.run("iret") == Raised(Cause.OPERAND_PROTECTION, 13)
    bench = Bench(3)
    bench.stack(2 | 1 << 17, USER_CODE, TARGET)
    assert bench.run("iret") is None
    assert bench["eflags"] == 2  # outside ring 0 the bit is ignored
