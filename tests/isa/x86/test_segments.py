"""Accesses through segments, what loading a segment register checks and remembers, and questions about descriptors."""

from __future__ import annotations

from collections.abc import Callable

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
    KERNEL_CODE,
    KERNEL_DATA,
    LOCAL,
    STACK,
    TASK,
    USER_CODE,
    USER_DATA,
    Bench,
    Raised,
    descriptor,
    gate,
    level,
)

EAX, EBX, ESI = 0, 3, 6
ZF = 1 << 6
GENERAL = 13
EXPAND_DOWN = 4
SMALL = 0x40_92  # data, limit in bytes


def load(bench: Bench, offset: int) -> Raised | None:
    bench["r", ESI] = offset
    return bench.run("mov.load", dst=EAX, base=ESI, imm=0)


def store(bench: Bench, offset: int) -> Raised | None:
    bench["r", ESI] = offset
    return bench.run("mov.store", src=EAX, base=ESI, imm=0)


def move(bench: Bench, name: str, selector: int) -> Raised | None:
    bench["r", EBX] = 0xABCD_0000 | selector
    return bench.run(f"mov.to.{name}", src=EBX)


# --- accesses --------------------------------------------------------------------------------------------------------


def test_base_is_added_and_wraps() -> None:
    bench = Bench()
    bench["ds_base"] = 0xFFFF_FF00
    bench.store(0x20, 4, 0x1234_5678)
    assert load(bench, 0x120) is None
    assert bench["r", EAX] == 0x1234_5678


@pytest.mark.parametrize(("offset", "fits"), [(0, True), (0xFC, True), (0xFD, False), (0xFFFF_FFFE, False)])
@pytest.mark.parametrize("access", [load, store])
def test_limit(access: Callable[[Bench, int], Raised | None], offset: int, fits: bool) -> None:
    bench = Bench()
    bench["ds_base"], bench["ds_limit"] = DATA, 0xFF
    expected = None if fits else Raised(Cause.MEMORY_SEGMENT, GENERAL)
    assert access(bench, offset) == expected
    if not fits:
        assert bench.top(4) == [0, CODE, KERNEL_CODE, 2 | 1 << 16]  # error code, EIP of the instruction, RF


@pytest.mark.parametrize(("offset", "fits"), [(0xFF, False), (0x100, True), (0xFFFC, True), (0xFFFD, False)])
def test_limit_of_a_segment_that_expands_down(offset: int, fits: bool) -> None:
    bench = Bench()
    bench["ds_limit"], bench["ds_rights"] = 0xFF, 0x92 | EXPAND_DOWN
    assert (load(bench, offset) is None) == fits


def test_types() -> None:
    for rights, readable, writable in [
        (DATA_SEGMENT, True, True),
        (DATA_SEGMENT & ~2, True, False),
        (CODE_SEGMENT, True, False),
        (CODE_SEGMENT & ~2, False, False),
        (0, False, False),
    ]:
        for access, allowed in ((load, readable), (store, writable)):
            bench = Bench()
            bench["ds_rights"] = rights
            assert access(bench, DATA) == (None if allowed else Raised(Cause.MEMORY_SEGMENT, GENERAL))


def test_stack_limit() -> None:
    bench = Bench()
    bench["ss_limit"] = 0xFF
    bench["r", ESP] = 0x102
    assert bench.run("push", src=EAX) == Raised(Cause.MEMORY_STACK, None)  # nor is there room for the exception
    bench = Bench(3)
    bench["ss_limit"], bench["r", ESP] = 0xFF, 0xFE
    assert bench.run("pop", dst=EAX) == Raised(Cause.MEMORY_STACK, 12)
    assert bench["r", EAX] == 0


def test_fetch_limit() -> None:
    bench = Bench()
    bench["cs_limit"] = CODE
    assert bench.run("nop") is None
    bench["pc"] = CODE
    assert bench.run("mov", dst=0, src=1) == Raised(Cause.MEMORY_SEGMENT, GENERAL)


def test_nothing_there_reads_as_ones() -> None:
    bench = Bench()
    assert load(bench, 0x8000_0000) is None
    assert bench["r", EAX] == 0xFFFF_FFFF


# --- loading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ds", "es", "fs", "gs"])
def test_loading_remembers_the_descriptor(name: str) -> None:
    bench = Bench(3)
    bench.describe(FREE, descriptor(0x1234_5678, 0x9ABCD, 0xC0F2))
    assert move(bench, name, FREE | 3) is None
    assert (bench[name], bench[f"{name}_base"]) == (FREE | 3, 0x1234_5678)
    assert (bench[f"{name}_limit"], bench[f"{name}_rights"]) == (0x9ABC_DFFF, 0xC0F2)
    bench.describe(FREE, 0)  # the table does not matter any more
    assert bench.run(f"push.{name}") is None
    assert bench.top(1) == [FREE | 3]


def test_null_can_be_loaded_but_not_used() -> None:
    bench = Bench(3)
    assert move(bench, "ds", 3) is None
    assert (bench["ds"], bench["ds_rights"], bench["ds_limit"]) == (3, 0, 0)
    assert load(bench, DATA) == Raised(Cause.MEMORY_SEGMENT, GENERAL)


def test_local_descriptor_table() -> None:
    bench = Bench()
    bench.describe(0x0C, descriptor(0x5000, 0xFF, SMALL))
    assert move(bench, "fs", 0x0C) == Raised(Cause.OPERAND_PROTECTION, GENERAL)
    bench = Bench()
    bench.describe(0x0C, descriptor(0x5000, 0xFF, SMALL))
    bench.use_ldt()
    assert move(bench, "fs", 0x0C) is None
    assert bench["fs_base"] == 0x5000


@pytest.mark.parametrize("cpl", [0, 3])
@pytest.mark.parametrize("rpl", [0, 1, 3])
@pytest.mark.parametrize("dpl", [0, 1, 3])
@pytest.mark.parametrize("kind", [DATA_SEGMENT, CODE_SEGMENT, CODE_SEGMENT | CONFORMING])
def test_privilege_of_data_segments(cpl: int, rpl: int, dpl: int, kind: int) -> None:
    bench = Bench(cpl)
    bench.describe(FREE, descriptor(0, 0xFFFFF, level(kind, dpl)))
    allowed = kind & 0xC == 0xC or (cpl <= dpl and rpl <= dpl)
    assert move(bench, "es", FREE | rpl) == (None if allowed else Raised(Cause.PRIVILEGE, GENERAL))
    if not allowed:
        assert bench.top(1) == [FREE]


@pytest.mark.parametrize(
    ("selector", "entry", "cause"),
    [
        (0x100, 0, Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, 0, CODE_SEGMENT & ~2), Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, 0, 0x82), Cause.OPERAND_PROTECTION),
        (FREE, descriptor(0, 0, DATA_SEGMENT & ~0x80), Cause.OPERAND_NOT_PRESENT),
    ],
)
def test_wrong_operands(selector: int, entry: int, cause: Cause) -> None:
    bench = Bench()
    bench.describe(selector, entry)
    assert move(bench, "gs", selector) == Raised(cause, cause & 0xFF)
    assert bench.top(1) == [selector]


@pytest.mark.parametrize(
    ("cpl", "selector", "access", "cause"),
    [
        (0, FREE, level(DATA_SEGMENT, 0), None),
        (3, FREE | 3, level(DATA_SEGMENT, 3), None),
        (0, FREE | 3, level(DATA_SEGMENT, 0), Cause.PRIVILEGE),
        (0, FREE, level(DATA_SEGMENT, 3), Cause.PRIVILEGE),
        (3, FREE | 3, level(DATA_SEGMENT, 0), Cause.PRIVILEGE),
        (0, FREE, DATA_SEGMENT & ~2, Cause.OPERAND_PROTECTION),
        (0, FREE, CODE_SEGMENT, Cause.OPERAND_PROTECTION),
        (0, FREE, DATA_SEGMENT & ~0x80, Cause.OPERAND_STACK),
        (0, 0, DATA_SEGMENT, Cause.OPERAND_PROTECTION),
    ],
)
def test_stack_segment(cpl: int, selector: int, access: int, cause: Cause | None) -> None:
    for how in ("mov", "pop", "lss"):
        bench = Bench(cpl)
        bench.describe(FREE, descriptor(0, 0xFFFFF, access))
        if how == "mov":
            raised = move(bench, "ss", selector)
        elif how == "pop":
            bench.stack(selector)
            raised = bench.run("pop.ss")
        else:
            bench.store(DATA, 8, selector << 32 | 0x7000)
            bench["r", ESI] = DATA
            raised = bench.run("lss", dst=ESP, base=ESI, imm=0)
        assert raised == (None if cause is None else Raised(cause, cause & 0xFF))
        if cause is None:
            assert bench["ss"] == selector
            assert bench["r", ESP] == (0x7000 if how == "lss" else STACK)


def test_far_pointers_are_checked_before_anything_is_written() -> None:
    bench = Bench(3)
    bench.store(DATA, 8, KERNEL_DATA << 32 | 0x1111)
    bench["r", ESI] = DATA
    assert bench.run("les", dst=EAX, base=ESI, imm=0) == Raised(Cause.PRIVILEGE, GENERAL)
    assert (bench["r", EAX], bench["es"]) == (0, USER_DATA)


# --- reading selectors: no check at any level ------------------------------------------------------------------------


@pytest.mark.parametrize("cpl", [0, 3])
def test_cs_shows_the_privilege_level(cpl: int) -> None:
    bench = Bench(cpl)
    bench["r", EAX] = 0xFFFF_FFFF
    assert bench.run("mov.from.cs", dst=EAX) is None
    assert bench["r", EAX] & 3 == cpl
    assert bench["r", EAX] >> 16 == 0
    assert bench.run("push.cs") is None
    assert bench.top(1)[0] & 3 == cpl


# --- questions -------------------------------------------------------------------------------------------------------

ENTRIES = {
    "kernel data": descriptor(0, 0x12345, level(0xC092, 0)),
    "user data": descriptor(0, 0x12345, level(0xC092, 3)),
    "user read-only": descriptor(0, 0x345, level(0x4090, 3)),
    "user code": descriptor(0, 0x345, level(0x409A, 3)),
    "execute-only": descriptor(0, 0x345, level(0x4098, 3)),
    "conforming": descriptor(0, 0x345, level(0x409E, 0)),
    "tss": descriptor(0, 0x67, level(0x89, 3)),
    "ldt": descriptor(0, 0x67, level(0x82, 3)),
    "call gate": gate(KERNEL_CODE, 0, 0xEC),
    "interrupt gate": gate(KERNEL_CODE, 0, 0xEE),
    "absent": descriptor(0, 0x345, level(0x4012, 3)),
}


@pytest.mark.parametrize(
    ("name", "entries"),
    [
        ("lar", {*ENTRIES} - {"kernel data", "interrupt gate"}),
        ("lsl", {*ENTRIES} - {"kernel data", "interrupt gate", "call gate"}),
        ("verr", {"user data", "user read-only", "user code", "conforming", "absent"}),
        ("verw", {"user data", "absent"}),
    ],
)
def test_what_user_mode_learns(name: str, entries: set[str]) -> None:
    seen = set()
    for number, entry in enumerate(ENTRIES.values()):
        bench = Bench(3)
        bench.describe(FREE + 8 * number, entry)
        bench["r", EBX] = FREE + 8 * number | 3
        bench["r", EAX] = 0x5555
        fields = {"src": EBX} | ({"dst": EAX} if name in ("lar", "lsl") else {})
        assert bench.run(name, **fields) is None
        if bench["eflags"] & ZF:
            seen.add([*ENTRIES][number])
            if name == "lar":
                assert bench["r", EAX] == entry >> 32 & 0x00F0_FF00
            if name == "lsl":
                limit = entry & 0xFFFF | (entry >> 48 & 0xF) << 16
                assert bench["r", EAX] == (limit << 12 | 0xFFF if entry >> 55 & 1 else limit)
        else:
            assert bench["r", EAX] == 0x5555
    assert seen == entries


@pytest.mark.parametrize("name", ["lar", "lsl", "verr", "verw"])
@pytest.mark.parametrize("selector", [0, 3, 0x100, 0xFF, USER_CODE & ~3 | 4])
def test_no_descriptor_no_answer(name: str, selector: int) -> None:
    bench = Bench()
    bench["eflags"] |= ZF
    bench["r", EBX] = selector
    assert bench.run(name, src=EBX, **({"dst": EAX} if name in ("lar", "lsl") else {})) is None
    assert bench["eflags"] & ZF == 0


def test_questions_depend_on_the_mode() -> None:
    answers = []
    for cpl in (0, 3):
        bench = Bench(cpl)
        bench["r", EBX] = KERNEL_DATA
        bench.run("verr", src=EBX)
        answers.append(bench["eflags"] & ZF)
    assert answers == [ZF, 0]


@pytest.mark.parametrize("selector", [TASK, LOCAL])
def test_system_descriptors_cannot_be_read(selector: int) -> None:
    bench = Bench()
    bench["r", EBX] = selector
    bench.run("verr", src=EBX)
    assert bench["eflags"] & ZF == 0


@pytest.mark.parametrize(("mine", "callers"), [(0, 3), (2, 1), (1, 1)])
def test_arpl(mine: int, callers: int) -> None:
    bench = Bench(3)
    bench["r", EAX], bench["r", EBX] = 0xFFFF_0040 | mine, callers
    assert bench.run("arpl", dst=EAX, src=EBX) is None
    assert bench["r", EAX] == 0xFFFF_0040 | max(mine, callers)
    assert bool(bench["eflags"] & ZF) == (mine < callers)
