"""Registers by name, on every engine."""

from __future__ import annotations

import pytest

from hypernest.errors import BadValue, HypernestError
from hypernest.machine import Machine
from hypernest.machine.registers import NoSuchRegister
from tests.machine.small_guests import KERNEL, bare, hosted, on_every_engine


@on_every_engine
def test_what_is_written_by_name_the_guest_sees(engine: str) -> None:
    with hosted("add a0, a1, a2\n fadd.d fa0, fa1, fa2\n csrr a3, sscratch\n j .", engine=engine) as machine:
        hart = machine.harts[0]
        hart["a1"], hart["x12"] = 40, 2
        hart["fa1"] = hart["f12"] = 0x3FF0_0000_0000_0000
        hart["sscratch"] = -1
        hart["sstatus"] |= 1 << 13
        machine.run(3)
        assert hart["a0"] == hart["x10"] == hart.x["a0"] == 42
        assert hart["fa0"] == hart["f10"] == 0x4000_0000_0000_0000
        assert hart["a3"] == hart["sscratch"] == hart.csr[0x140] == (1 << 64) - 1
        assert hart["pc"] == hart.pc == KERNEL + 12
        hart["pc"] = KERNEL
        hart["a1"] = -2
        machine.run(1)
        assert hart["a0"] == 0


@on_every_engine
def test_the_mode_is_a_register_too(engine: str) -> None:
    with bare("csrr a0, mhartid\n j .", engine=engine) as machine:
        hart = machine.harts[0]
        machine.run(6)  # the reset ROM
        assert (hart["priv"], hart.privilege) == (3, 3)
        hart["priv"] = 1
        machine.run(1)
        assert hart["mcause"] == 1  # without PMP entries S-mode may not even fetch
        assert hart["priv"] == 3


def test_names_that_nothing_has() -> None:
    with hosted("j .") as machine:
        hart = machine.harts[0]
        for name, near in [("mstats", "mstatus"), ("FA0", "fa0"), ("stvek", "stvec")]:
            with pytest.raises(NoSuchRegister, match=rf"no register '{name}' \(did you mean {near}\?\)"):
                hart[name]
        with pytest.raises(NoSuchRegister, match="no register '!!!!!': use a name of the manuals"):
            hart["!!!!!"] = 1
        with pytest.raises(NoSuchRegister, match="no register 10"):
            hart[10]  # type: ignore[index]
        with pytest.raises(NoSuchRegister, match="did you mean satp"):
            hart.csr["satpp"]
        with pytest.raises(KeyError):
            hart["nothing"]


def test_values_that_do_not_fit() -> None:
    with hosted("j .") as machine:
        hart = machine.harts[0]
        for name, value in [("a0", 1 << 64), ("fa0", -(1 << 63) - 1), ("sscratch", 1 << 64), ("pc", 1 << 64)]:
            with pytest.raises(BadValue, match="does not fit"):
                hart[name] = value
        with pytest.raises(BadValue, match="is odd"):
            hart["pc"] = KERNEL + 1
        with pytest.raises(BadValue, match="no privilege mode"):
            hart["priv"] = 2
        with pytest.raises(NoSuchRegister, match="x0 is always zero"):
            hart["zero"] = 1
        with pytest.raises(NoSuchRegister, match="'mhartid' is read-only"):
            hart["mhartid"] = 1
        assert hart["pc"] == KERNEL and hart["zero"] == 0 and hart["priv"] == 1
        assert issubclass(BadValue, HypernestError)


@on_every_engine
def test_reading_changes_nothing(engine: str) -> None:
    with hosted("csrsi sie, 2\n csrr a0, time\n j .", engine=engine, harts=2) as machine:
        machine.run(100)
        before = [_state(machine, number) for number in (0, 1)]
        for hart in machine.harts:
            values = hart.registers()
            assert set(values) >= {"pc", "priv", "ra", "fa0", "mstatus", "satp", "time", "cycle", "pmpaddr15", "mip"}
            assert values["a0"] == hart["a0"] and values["sie"] == hart["sie"]
            repr(values), repr(hart.x), repr(hart.f), repr(hart.csr)
        assert [_state(machine, number) for number in (0, 1)] == before


def _state(machine: Machine, hart: int) -> bytes:
    return machine._state(hart).snapshot()


def test_registers_are_printed_in_columns() -> None:
    with hosted("li s11, -1\n j .") as machine:
        machine.run(2)
        values = machine.harts[0].registers()
        text = repr(values)
        assert "s11           ffffffffffffffff" in text
        assert "fa0" not in text and "mstatus" in text
        assert all(len(line) <= 160 for line in text.splitlines())
        assert "<th>s11</th><td><code>0xffffffffffffffff</code></td>" in values._repr_html_()
        assert "a0 " in repr(machine.harts[0].x) and "ft11" in repr(machine.harts[0].f)


@on_every_engine
def test_every_hart_has_the_machines_time(engine: str) -> None:
    with hosted("li t0, 32\n csrs sie, t0\n li a7, 0x54494D45\n li a0, 500000\n ecall\n wfi\n j .", engine=engine,
                harts=2) as machine:  # fmt: skip
        machine.run(1000)
        assert machine.now > 50_000_000  # it has waited for its timer
        assert [hart["time"] for hart in machine.harts] == [machine.now // 100] * 2
        assert [hart["cycle"] for hart in machine.harts] == [machine.now] * 2
