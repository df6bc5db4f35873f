"""What gdb is told of the registers: the numbers it expects, all CSRs, and XML that parses."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from hypernest.debug.gdb.description import target_description
from hypernest.debug.gdb.registers import gdb_registers
from hypernest.isa.riscv.riscv64 import RISCV64

ROOT = ElementTree.fromstring(target_description(gdb_registers(RISCV64).values()))  # noqa: S314  our own text
NUMBERS = {reg.get("name"): int(reg.get("regnum", "")) for reg in ROOT.iter("reg")}


def test_gdb_s_numbers() -> None:
    known = {"zero": 0, "sp": 2, "t6": 31, "pc": 32, "ft0": 33, "ft11": 64, "mstatus": 65 + 0x300, "priv": 4161}
    assert {name: NUMBERS[name] for name in known} == known


def test_every_csr_is_there_once() -> None:
    assert {number - 65: name for name, number in NUMBERS.items() if 65 <= number < 4161} == {
        number: csr.name for number, csr in RISCV64.csrs.items()
    }
    assert len(NUMBERS) == len(list(ROOT.iter("reg"))) == 32 + 1 + 32 + len(RISCV64.csrs) + 1


def test_the_features_that_gdb_asks_for() -> None:
    features = {feature.get("name"): feature for feature in ROOT.iter("feature")}
    assert list(features) == [f"org.gnu.gdb.riscv.{name}" for name in ("cpu", "fpu", "virtual", "csr")]
    floating = [reg.get("name") for reg in features["org.gnu.gdb.riscv.fpu"].iter("reg")]
    assert floating[-3:] == ["fflags", "frm", "fcsr"]
    assert ROOT.findtext("architecture") == "riscv:rv64"
