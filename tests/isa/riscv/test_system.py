"""Environment calls, waiting, fences and cache blocks: when they are illegal and what they do."""

from __future__ import annotations

import pytest

from hypernest.isa.riscv.riscv64 import EXTENSIONS, ISA_STRING, RISCV64
from tests.isa.riscv.bench import CODE, DECODER, DEVICE, MACHINE, RAM, SUPERVISOR, USER, Bench, Raised

TVM, TW = 1 << 20, 1 << 21
MODES = [USER, SUPERVISOR, MACHINE]
V, R, W, X, A, D = 1, 2, 4, 8, 64, 128


def legal(bench: Bench, name: str, **fields: int) -> bool:
    raised = bench.step(name, **fields)
    if raised is not None:
        assert raised == Raised(2, RISCV64.rows[name].encode(**fields))
    return raised is None


@pytest.mark.parametrize(("privilege", "cause"), [(USER, 8), (SUPERVISOR, 9), (MACHINE, 11)])
def test_ecall(privilege: int, cause: int) -> None:
    bench = Bench(privilege)
    assert bench.step("ecall") == Raised(cause, 0)
    assert bench["mepc"] == CODE
    assert bench["retired"] == 0


def test_ebreak_reports_its_address() -> None:
    assert Bench(USER).step("ebreak") == Raised(3, CODE)


@pytest.mark.parametrize("privilege", MODES)
@pytest.mark.parametrize("mstatus", [0, TW, TVM])
def test_wfi(privilege: int, mstatus: int) -> None:
    bench = Bench(privilege, mstatus=mstatus)
    expected = privilege == MACHINE or (privilege == SUPERVISOR and mstatus != TW)
    assert legal(bench, "wfi") == expected
    assert bench["waiting"] == expected


@pytest.mark.parametrize("privilege", MODES)
@pytest.mark.parametrize("mstatus", [0, TW, TVM])
def test_wait_on_reservation_set(privilege: int, mstatus: int) -> None:
    assert legal(Bench(privilege, mstatus=mstatus), "wrs.sto")
    assert legal(Bench(privilege, mstatus=mstatus), "wrs.nto") == (privilege == MACHINE or mstatus != TW)


@pytest.mark.parametrize("name", ["sfence.vma", "sinval.vma"])
@pytest.mark.parametrize("privilege", MODES)
@pytest.mark.parametrize("mstatus", [0, TW, TVM])
def test_translation_fences(name: str, privilege: int, mstatus: int) -> None:
    expected = privilege == MACHINE or (privilege == SUPERVISOR and mstatus != TVM)
    bench = Bench(privilege, mstatus=mstatus)
    assert legal(bench, name, rs1=0, rs2=2) == expected
    assert (bench.hart.flushes, bench.hart.flushed_address) == (expected, None)
    bench = Bench(privilege, mstatus=mstatus)
    bench["x", 1] = 0x1234_5678
    assert legal(bench, name, rs1=1, rs2=2) == expected
    assert (bench.hart.flushes, bench.hart.flushed_address) == (0, 0x1234_5678 if expected else None)


@pytest.mark.parametrize("name", ["sfence.w.inval", "sfence.inval.ir"])
@pytest.mark.parametrize("privilege", MODES)
def test_ordering_of_invalidations(name: str, privilege: int) -> None:
    assert legal(Bench(privilege, mstatus=TVM), name) == (privilege != USER)


def test_fences() -> None:
    bench = Bench(USER)
    before = [bench["x", i] for i in range(33)]
    for code in (0x0FF0_000F, 0x8330_000F, 0x0100_000F, 0x0FF1_828F, 0xF000_000F):  # tso, pause, reserved fields
        row = DECODER.decode(code)
        assert row is not None
        bench.hart.execute(row, code)
    assert [bench["x", i] for i in range(33)] == before
    assert bench.step("fence.i") is None
    assert bench.hart.instruction_flushes == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [(0x0FF0_000F, "fence"), (0x8330_000F, "fence.tso"), (0x0100_000F, "pause"), (0x8340_000F, "fence")],
)
def test_special_fences_are_told_apart(code: int, name: str) -> None:
    row = DECODER.decode(code)
    assert row is not None
    assert row.name == name


# --- cache blocks ----------------------------------------------------------------------------------------------------

FIELDS = {"cbo.inval": 1 << 4, "cbo.clean": 1 << 6, "cbo.flush": 1 << 6, "cbo.zero": 1 << 7}
BLOCK = RAM + 0x1_0040


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("privilege", MODES)
@pytest.mark.parametrize("by_machine", [False, True])
@pytest.mark.parametrize("by_supervisor", [False, True])
def test_cache_blocks_are_enabled_by_each_higher_mode(
    name: str, privilege: int, by_machine: bool, by_supervisor: bool
) -> None:
    others = 0xF0 & ~FIELDS[name] & ~(3 << 4 if name == "cbo.inval" else 0)
    bench = Bench(
        privilege,
        menvcfg=FIELDS[name] if by_machine else others,
        senvcfg=FIELDS[name] if by_supervisor else others,
    )
    bench["x", 1] = BLOCK
    expected = privilege == MACHINE or (by_machine and (privilege == SUPERVISOR or by_supervisor))
    assert legal(bench, name, rs1=1) == expected


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("address", [DEVICE, 0x4000_0000, 0])
def test_cache_blocks_outside_memory_are_store_access_faults(name: str, address: int) -> None:
    bench = Bench()
    bench["x", 1] = address + 3
    assert bench.step(name, rs1=1) == Raised(7, address + 3)
    assert not bench.device.accesses


@pytest.mark.parametrize("offset", [0, 1, 63])
def test_zero_clears_the_block_around_the_address(offset: int) -> None:
    bench = Bench()
    bench.memory.write(BLOCK - 64, bytes([0xFF]) * 192)
    bench["x", 1] = BLOCK + offset
    assert bench.step("cbo.zero", rs1=1) is None
    assert bench.memory.read(BLOCK - 64, 192) == bytes([0xFF]) * 64 + bytes(64) + bytes([0xFF]) * 64


@pytest.mark.parametrize(
    ("name", "flags", "cause"),
    [
        ("cbo.zero", R | X | A | D, 15),
        ("cbo.zero", R | W | X | A | D, None),
        ("cbo.clean", R | X | A, None),
        ("cbo.flush", X | A, 15),
        ("cbo.inval", 0, 15),
    ],
)
def test_cache_blocks_are_translated(name: str, flags: int, cause: int | None) -> None:
    """The code is mapped by one gigapage, the block's gigapage has the flags above."""
    root, virtual = RAM + 0x1_1000, 0x4000_0045
    bench = Bench(SUPERVISOR, satp=8 << 60 | root >> 12, menvcfg=0xD0)
    bench.memory.write_integer(root + 2 * 8, 8, 0x8000_0000 >> 2 | V | R | X | A)
    bench.memory.write_integer(root + 1 * 8, 8, 0x8000_0000 >> 2 | flags | V)
    bench["x", 1] = virtual
    assert bench.step(name, rs1=1) == (None if cause is None else Raised(cause, virtual))


def test_zero_needs_the_whole_block() -> None:
    bench = Bench(MACHINE, pmpcfg=0x93)  # locked NA4 at the end of the block
    bench["pmpaddr", 0] = (BLOCK + 60) >> 2
    bench.memory.write(BLOCK, bytes([0xFF]) * 64)
    bench["x", 1] = BLOCK
    assert bench.step("cbo.zero", rs1=1) == Raised(7, BLOCK)
    assert bench.memory.read(BLOCK, 64) == bytes([0xFF]) * 64


# --- the whole -------------------------------------------------------------------------------------------------------


def test_what_may_change_privilege_interrupts_or_translation_is_marked() -> None:
    marked = {name for name, row in RISCV64.rows.items() if row.system}
    csr_rows = {f"csrr{op}{suffix}" for op in "wsc" for suffix in ("", "i")}
    assert marked == csr_rows | {"ecall", "ebreak", "c.ebreak", "mret", "sret", "wfi", "sfence.vma", "sinval.vma"} | {
        "sfence.w.inval",
        "sfence.inval.ir",
    }


def test_isa_string() -> None:
    base, *names = ISA_STRING.split("_")
    assert base == "rv64imafdc"
    described = {extension.name.lower() for extension in EXTENSIONS}
    assert {*base[4:], *names} - described == {"zicntr", "zihpm", "sstc", "svadu"}  # these have no instructions
    assert described - {*base[4:], *names} == {"s"}  # and this one is mode, not extension
