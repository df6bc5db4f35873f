"""Which instructions are a region, where one comes into it, and which registers matter where."""

from __future__ import annotations

import pytest

from hypernest.engines.translator.code_page import PAGE_BYTES, CodePage
from hypernest.engines.translator.region import (
    MOST_ENTRIES,
    MOST_INSTRUCTIONS,
    Liveness,
    Region,
    behind_complete_execution,
    form_region,
    liveness,
)
from tests.engines.translator.pages import TABLES, page_of, region_of, x


def shape(region: Region) -> tuple[list[int], list[int]]:
    """(instructions, entries)"""
    return list(region.instructions), list(region.entries)


# --- what is included ------------------------------------------------------------------------------------------------


def test_a_straight_line_to_where_it_ends() -> None:
    assert shape(region_of("nop\n c.nop\n nop\n ret\n nop")) == ([0, 4, 6, 10], [0])
    assert shape(region_of("nop\n c.nop\n nop\n .word 0")) == ([0, 4, 6], [0])
    assert shape(region_of("nop\n c.nop\n nop\n ret\n nop", head=4)) == ([4, 6, 10], [4])


@pytest.mark.parametrize("text", ["ecall\n nop", ".word 0\n nop"])
def test_a_head_that_is_not_quick_has_no_region(text: str) -> None:
    assert form_region(page_of(text), 0) is None


def test_both_sides_of_a_branch() -> None:
    text = "beqz a0, 12\n nop\n ret\n nop\n ret"
    assert shape(region_of(text)) == ([0, 4, 8, 12, 16], [0])


def test_sides_that_were_never_executed_are_left_out() -> None:
    text = "beqz a0, 12\n nop\n ret\n nop\n ret"
    assert shape(region_of(text, executed=[0, 4, 8])) == ([0, 4, 8], [0])
    assert shape(region_of(text, executed=[0, 12, 16])) == ([0, 12, 16], [0])
    assert shape(region_of(text, executed=[0])) == ([0], [0])


def test_a_mark_further_on_in_the_straight_line_is_enough() -> None:
    text = "beqz a0, 12\n nop\n ret\n nop\n nop\n ret"
    assert shape(region_of(text, executed=[0, 20]))[0] == [0, 12, 16, 20]
    text = "beqz a0, 12\n nop\n ret\n j 20\n nop\n nop\n ret"  # behind a jump, another line begins
    assert shape(region_of(text, executed=[0, 20]))[0] == [0]
    text = "beqz a0, 12\n nop\n ret\n beqz a1, 20\n nop\n nop\n ret"  # and behind a branch
    assert shape(region_of(text, executed=[0, 20]))[0] == [0]


def test_what_is_out_of_the_page_is_left_out() -> None:
    assert shape(region_of("beqz a0, -8\n ret")) == ([0, 4], [0])
    last = CodePage(TABLES, page_of("c.nop").code[:2].rjust(PAGE_BYTES, b"\0"), -1)
    region = form_region(last, PAGE_BYTES - 2)
    assert region and shape(region) == ([PAGE_BYTES - 2], [PAGE_BYTES - 2])


def test_no_more_instructions_than_the_limit() -> None:
    region = region_of("nop\n" * 1000)
    assert list(region.instructions) == [4 * n for n in range(MOST_INSTRUCTIONS)]
    region = region_of("nop\n" * 9 + "ecall\n" + ("nop\n" * 9 + "ecall\n") * 40)  # entry after entry
    assert len(region.instructions) == MOST_INSTRUCTIONS and region.entries == tuple(range(0, 1200, 40))


# --- entries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", ["jal ra, 16", "jalr ra, 0(a5)", "ecall"])
def test_where_control_comes_back_is_an_entry(leaving: str) -> None:
    text = f"nop\n {leaving}\n nop\n ret\n nop\n ret"
    assert shape(region_of(text)) == ([0, 4, 8, 12], [0, 8])
    assert shape(region_of(text, executed=[0, 4])) == ([0, 4], [0])


def test_what_would_leave_at_once_is_no_entry() -> None:
    assert shape(region_of("nop\n ecall\n ecall\n nop\n ret")) == ([0, 4, 8, 12, 16], [0, 12])


def test_heads_of_loops_are_entries() -> None:
    text = "nop\n nop\n nop\n bnez a0, 8\n bnez a1, 4\n j .\n"
    assert shape(region_of(text)) == ([0, 4, 8, 12, 16, 20], [0, 8, 4, 20])
    assert shape(region_of("beqz a0, 8\n nop\n ret"))[1] == [0]  # a branch ahead makes none
    assert shape(region_of("nop\n nop\n jal ra, 4\n ret"))[1] == [0, 12]  # nor does a call back


def test_a_computed_jump_may_go_to_all_targets() -> None:
    text = "nop\n jr a5\n nop\n ret\n addi a0, a0, 1\n j 4"
    region = region_of(text, targets=[16, 0, 8])
    assert shape(region) == ([0, 4, 8, 12, 16, 20], [0, 16, 8, 4])
    assert sorted(region.successors(region.instructions[4])) == [0, 4, 8, 16]


@pytest.mark.parametrize("jump", ["ret", "jalr ra, 0(a5)", "j 16"])
def test_without_a_computed_jump_targets_are_of_no_use(jump: str) -> None:
    assert 8 not in region_of(f"nop\n {jump}\n nop\n ret\n ret", [0, 4, 16], targets=[8]).instructions


def test_no_more_entries_than_the_limit() -> None:
    region = region_of("addi a0, a0, 1\n ecall\n" * 100)
    assert len(region.entries) == MOST_ENTRIES
    region = region_of("jr a5\n" + "nop\n" * 200, targets=range(4, 800, 4))
    assert len(region.entries) == MOST_ENTRIES and region.entries[0] == 0
    assert set(region.entries) <= set(region.instructions)
    assert len(region_of("jr a5\n" + "ret\n" * 200, targets=range(4, 800, 4)).instructions) == MOST_ENTRIES
    loops = "".join(f"bnez a0, {4 * n}\n" for n in range(100)) + "ret"
    assert len(region_of(loops).entries) == MOST_ENTRIES


# --- what is told of it ----------------------------------------------------------------------------------------------


def test_the_span_is_of_its_bytes_and_of_where_it_jumps_to() -> None:
    text = "nop\n nop\n bnez a0, {}\n ret"
    own = [4, 8, 12]
    assert region_of(text.format(4), own, head=4).span == (4, 15)
    assert region_of(text.format(0), own, head=4).span == (0, 15)
    assert region_of(text.format(100), own, head=4).span == (4, 100)
    assert region_of(text.format(-40), own, head=4).span == (4, 15)
    assert region_of("nop\n nop\n jal ra, 200\n c.nop", own, head=4).span == (4, 200)
    assert region_of("c.nop").span == (0, 1)


def test_it_covers_where_its_instructions_begin() -> None:
    covered = region_of("nop\n c.nop\n ecall\n nop\n ret", executed=[0, 4, 6]).covered
    assert len(covered) == 256 and int.from_bytes(covered, "little") == 1 << 0 | 1 << 2 | 1 << 3


def test_successors() -> None:
    region = region_of("beqz a0, 12\n jal ra, 12\n ecall\n j 0\n")
    assert {at: sorted(region.successors(each)) for at, each in region.instructions.items()} == {
        0: [4, 12],
        4: [],  # the call leaves
        8: [],
        12: [0],
    }
    region = region_of("beqz a0, 12\n nop\n ret\n nop", executed=[0, 4])
    assert region.successors(region.instructions[0]) == [4]


# --- liveness --------------------------------------------------------------------------------------------------------


class Flow:
    """The solution for a region, by the names of integer registers."""

    def __init__(self, region: Region) -> None:
        self.solution: Liveness = liveness(region)

    def live(self, at: int) -> set[tuple[str, int]]:
        return set(self.solution.of(self.solution.live[at]))

    def dirty(self, at: int) -> set[tuple[str, int]]:
        return set(self.solution.of(self.solution.dirty[at]))

    def dirty_after(self, at: int) -> set[tuple[str, int]]:
        return set(self.solution.of(self.solution.dirty_after[at]))


def test_a_straight_line_loads_what_it_reads_and_stores_what_it_wrote() -> None:
    flow = Flow(region_of("add a0, a1, a2\n add a3, a0, a0\n sub a0, a1, a3\n ret"))
    assert [flow.live(at) for at in (0, 4, 8, 12)] == [x("a1 a2 ra"), x("a0 a1 ra"), x("a1 a3 ra"), x("a0 a3 ra")]
    assert [flow.dirty(at) for at in (0, 4, 8, 12)] == [set(), x("a0"), x("a0 a3"), x("a0 a3")]
    assert flow.dirty_after(0) == x("a0")


def test_what_is_completed_elsewhere_reads_and_writes_nothing_here() -> None:
    region = region_of("addi a0, a0, 1\n csrrw a1, 0x340, a2\n addi a3, a4, 1\n ret")
    flow = Flow(region)
    assert flow.live(0) == x("a0") and flow.live(4) == x("a0") == flow.dirty_after(4)
    assert flow.dirty(8) == set() and flow.live(8) == x("a4 ra")


def test_what_may_be_left_needs_what_was_written_before() -> None:
    flow = Flow(region_of("addi a0, x0, 1\n ld a1, 0(a2)\n addi a0, x0, 2\n ret"))
    assert flow.live(4) == x("a0 a2 ra"), "the old a0 is stored when the load leaves"
    assert flow.live(0) == x("a2 ra")
    flow = Flow(region_of("addi a0, x0, 1\n add a1, a2, a2\n addi a0, x0, 2\n ret"))
    assert flow.live(4) == x("a2 ra")


def test_a_loop_is_dirty_from_its_second_round() -> None:
    flow = Flow(region_of("mv a1, a0\n addi a0, a0, -1\n bnez a0, 0\n add a2, a1, a1\n ret"))
    assert flow.dirty(0) == flow.dirty_after(8) == x("a0 a1")
    assert flow.live(0) == x("a0 ra")
    assert flow.live(8) == x("a0 a1 ra")
    assert x("a2") <= flow.dirty(16)


def test_a_jump_back_stores_as_the_steps_may_run_out_there() -> None:
    assert Flow(region_of("addi a1, x0, 7\n j 0")).live(4) == x("a1")
    ahead = Flow(region_of("addi a1, x0, 7\n j 12\n ret\n addi a1, x0, 8\n ret"))
    assert ahead.live(4) == x("ra"), "one ahead does not, and a1 is written once more"


def test_what_a_call_writes_is_stored_and_needs_no_old_value() -> None:
    flow = Flow(region_of("addi a0, x0, 1\n jal ra, 100\n addi a1, a2, 1\n ret"))
    assert flow.dirty_after(4) == x("a0 ra") and flow.live(4) == x("a0") and flow.live(0) == set()
    assert flow.dirty(8) == set(), "the call left, and came back to an entry"
    assert flow.live(8) == x("a2 ra")


def test_sides_that_are_not_in_the_region_need_what_is_dirty() -> None:
    text = "addi a0, x0, 1\n beqz a1, 16\n addi a0, x0, 2\n ret\n ret"
    inside, outside = Flow(region_of(text)), Flow(region_of(text, executed=[0, 4, 8, 12]))
    assert inside.live(4) == x("a0 a1 ra")
    assert outside.live(4) == x("a0 a1 ra")
    both_write = "addi a0, x0, 1\n beqz a1, 16\n addi a0, x0, 2\n ret\n addi a0, x0, 3\n ret"
    assert Flow(region_of(both_write)).live(4) == x("a1 ra")
    assert Flow(region_of(both_write, executed=[0, 4, 8, 12])).live(4) == x("a0 a1 ra")


def test_entries_after_a_computed_jump_are_dirty_with_what_came_before() -> None:
    flow = Flow(region_of("addi a0, x0, 1\n jr a5\n addi a1, x0, 2\n ret", targets=[8]))
    assert flow.dirty(8) == x("a0") and flow.live(8) == x("a0 ra"), "the entry loads it, to store it in the end"


def test_a_region_begins_behind_what_is_executed_completely() -> None:
    assert behind_complete_execution(page_of("csrrw sp, 0x140, sp\n csrrs t0, 0x141, zero\n nop\n ret"), 0) == 8
    assert behind_complete_execution(page_of("nop\n ret"), 0) == 0
    assert behind_complete_execution(page_of("ecall\n .word 0"), 0) in (0, 4)
