"""Walkers are the registers that only ever move by constants in the innermost loop."""

from __future__ import annotations

from dataclasses import replace

from hypernest.engines.translator.code_page import Translations
from hypernest.engines.translator.loops import find_walkers
from hypernest.engines.translator.region import form_region
from hypernest.isa.hart import Hart
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.row import Extension
from hypernest.isa.word import word
from tests.engines.translator.pages import page_of, region_of, x


def test_a_loop_over_memory() -> None:
    found = find_walkers(region_of("nop\n ld a0, 0(s0)\n addi s0, s0, 8\n add a1, a1, a0\n bne s0, s1, 4\n ret"))
    assert found == dict.fromkeys((4, 8, 12, 16), x("s0 s1"))


def test_a_register_that_moves_otherwise_as_well_is_none() -> None:
    found = find_walkers(region_of("ld a0, 0(s0)\n addi s0, s0, 8\n andi s0, s0, -16\n bne s0, s1, 0\n ret"))
    assert found[0] == x("s1")


def test_what_is_only_moved_by_a_branch_side_counts() -> None:
    found = find_walkers(region_of("beqz a0, 8\n mv s0, s1\n ld a1, 0(s0)\n bnez a2, 0\n ret"))
    assert found[8] == x("a0 s1 a2"), "s0 is written on one side"


def test_a_register_that_may_be_written_otherwise_is_none() -> None:
    """Even if the instruction does so on one of its paths only."""
    extension = Extension("test")

    @extension.row("sometimes rd, rs1", "000000000000 rs1 000 rd 0001011")
    def sometimes(h: Hart) -> None:
        if h.rs1 == 0:
            h.rd = word(0)

    tables = Translations(replace(RISCV64, rows={**RISCV64.rows, **extension.rows}))
    page = page_of("ld a0, 0(s0)\n sometimes s0, a1\n bnez a0, 0\n ret", tables=tables)
    region = form_region(page, 0)
    assert region and find_walkers(region)[0] == x("a1")


def test_the_innermost_loop_has_the_last_word() -> None:
    text = "ld s0, 0(s2)\n lbu a0, 0(s0)\n addi s0, s0, 1\n bnez a0, 4\n addi s2, s2, 8\n bne s2, s3, 0\n ret"
    found = find_walkers(region_of(text))
    inner, outer = x("s0"), x("s2 s3")
    assert found == {0: outer, 4: inner, 8: inner, 12: inner, 16: outer, 20: outer}


def test_a_loop_of_one_instruction() -> None:
    assert find_walkers(region_of("bnez a0, 0\n ret")) == {0: x("a0")}
    assert find_walkers(region_of("j .")) == {0: set()}


def test_no_loop_no_walkers() -> None:
    assert find_walkers(region_of("addi s0, s0, 8\n beqz s0, 12\n nop\n ret")) == {}
    assert find_walkers(region_of("addi s0, s0, 8\n jal ra, 0\n ret")) == {}, "a call back is no loop"
    elsewhere = region_of("addi s0, s0, 8\n ret\n bnez s0, 0\n ret", executed=[8, 12], head=8)
    assert find_walkers(elsewhere) == {}, "its head is not in the region"
