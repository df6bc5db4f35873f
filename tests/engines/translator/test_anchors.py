"""Anchors are shared by what can be done once more, and by nothing else."""

from __future__ import annotations

from hypernest.engines.translator.anchors import find_anchors, only_after_the_one_before
from hypernest.engines.translator.region import MOST_ENTRIES
from tests.engines.translator.pages import ALL, region_of


def anchors(text: str, targets: tuple[int, ...] = ()) -> dict[int, int]:
    return find_anchors(region_of(text, ALL, 0, targets))


def test_loads_share_the_first_ones_anchor() -> None:
    assert anchors("nop\n ld a0, 0(s0)\n ld a1, 8(s0)\n add a2, a0, a1\n ld a3, 0(a2)\n ret") == {4: 4, 8: 4, 16: 4}


def test_what_cannot_be_left_has_none() -> None:
    assert anchors("add a0, a1, a2\n j 8\n ret") == {}


def test_a_store_may_share_but_nothing_shares_across_it() -> None:
    assert anchors("ld a0, 0(s0)\n sd a0, 8(s0)\n ld a1, 0(s0)\n sd a1, 8(s0)\n sd a2, 8(s0)\n ret") == {
        0: 0,
        4: 0,
        8: 8,
        12: 8,
        16: 16,
    }


def test_an_entry_has_its_own() -> None:
    assert anchors("ld a0, 0(s0)\n ecall\n ld a1, 0(s0)\n ld a2, 0(s0)\n ret") == {0: 0, 8: 8, 12: 8}
    straight = "ld a0, 0(s0)\n ld a1, 0(s0)\n ld a2, 0(s0)\n jr a5"
    assert anchors(straight) == {0: 0, 4: 0, 8: 0}
    assert anchors(straight, targets=(4,)) == {0: 0, 4: 4, 8: 4}


def test_where_ways_meet_or_part_begins_a_new_one() -> None:
    # A forward branch to 12, whose fall-through side is 8.
    assert anchors("ld a0, 0(s0)\n beqz a0, 12\n ld a1, 0(s0)\n ld a2, 0(s0)\n ret") == {0: 0, 8: 8, 12: 12}
    # A loop from 8 to 4.
    assert anchors("ld a0, 0(s0)\n ld a1, 0(s0)\n bnez a1, 4\n ld a2, 0(s0)\n ret") == {0: 0, 4: 4, 12: 12}
    # What 20 is reached from is not what stands before it.
    text = "beqz a2, 12\n ld a0, 0(s0)\n j 20\n ld a1, 0(s0)\n ret\n ld a2, 0(s0)\n ret"
    assert anchors(text) == {4: 4, 12: 12, 20: 20}


def test_a_head_that_is_also_reached_from_before_has_its_own() -> None:
    region = region_of("ld a0, 0(s0)\n ld a1, 0(s0)\n ld a2, 0(s0)\n j 0", head=8)
    assert find_anchors(region) == {0: 0, 4: 0, 8: 8}


def test_the_head_of_a_loop_has_its_own_even_if_there_are_too_many_entries() -> None:
    at = 4 * MOST_ENTRIES
    loops = "bnez a0, .\n" * MOST_ENTRIES
    region = region_of(f"{loops} ld a0, 0(s0)\n ld a1, 0(s0)\n bnez a1, {at + 4}\n ret")
    assert at + 4 not in region.entries
    assert find_anchors(region) == {at: at, at + 4: at + 4}


def test_few_registers_are_kept_with_older_values() -> None:
    loads = "".join(f"ld a{n}, 0(s0)\n" for n in range(6))
    assert anchors(loads + "ret") == {0: 0, 4: 0, 8: 0, 12: 0, 16: 16, 20: 16}
    same = "ld a0, 0(s0)\n" * 6
    assert set(anchors(same + "ret").values()) == {0}


def test_only_what_is_written_from_the_anchor_on_counts() -> None:
    before = "".join(f"addi a{n}, a{n}, 1\n" for n in range(6)) + "nop\n" * 20
    first = 4 * 26
    assert anchors(before + "ld s1, 0(s0)\n ld s2, 0(s0)\n ret") == {first: first, first + 4: first}


def test_an_anchor_is_no_more_than_sixteen_instructions_back() -> None:
    found = anchors("ld a0, 0(s0)\n" + "nop\n" * 14 + "ld a0, 0(s0)\n" * 3 + "ret")
    assert found == {0: 0, 60: 0, 64: 64, 68: 64}


def test_only_after_the_one_before() -> None:
    text = "nop\n nop\n beqz a0, 20\n nop\n nop\n nop\n bnez a1, 0\n ecall\n nop\n ret"
    #       0     4     8            12    16    20    24           28      32    36
    # 0 and 32 are entries, 12 and 28 stand behind branches, 20 is reached from two places.
    assert only_after_the_one_before(region_of(text)) == {4, 8, 16, 24, 36}
    assert only_after_the_one_before(region_of("j 8\n ret\n j 4")) == set()
