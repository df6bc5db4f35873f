"""Many instructions in few words, none of them lost."""

from __future__ import annotations

import pytest

from hypernest.analysis.report.families import families, in_short, shortened, variant
from tests.analysis.report.toy import BROKEN


@pytest.mark.parametrize(
    ("names", "short"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["c3", "c4", "c5"], ["c3–5"]),
        (["c3", "c4"], ["c3", "c4"]),
        (["c5", "c3", "c4", "c9"], ["c3–5", "c9"]),
        (["a1", "b1", "x", "a2", "b2", "a3", "b3", "b5"], ["a1–3", "b1–3", "b5", "x"]),
        (["c01", "c02", "c03"], ["c01", "c02", "c03"]),
        (["1", "2", "3"], ["1", "2", "3"]),
        (["(any other)"], ["(any other)"]),
        (["c99999999999999999999", "c2"], ["c99999999999999999999", "c2"]),
    ],
)
def test_consecutive_numbers_are_a_range(names: list[str], short: list[str]) -> None:
    assert shortened(names) == short


def test_rows_with_the_same_variants_are_one_family() -> None:
    found = families(BROKEN.verdicts, BROKEN.setting)
    names = {family.names for family in found}
    assert "set, clear: key0–4" in names
    assert "set: other" in names
    assert sorted(each.name for family in found for each in family.verdicts) == sorted(
        each.name for each in BROKEN.verdicts
    )


def test_families_answer_alike() -> None:
    mixed = [each for each in BROKEN.verdicts if each.name in ("add", "clock", "readmode")]
    assert [family.names for family in families(mixed, BROKEN.setting)] == ["add", "clock", "readmode"]


def test_names_in_short() -> None:
    wanted = [each for each in BROKEN.verdicts if each.row in ("add", "clock", "set", "clear")]
    assert in_short(wanted) == ["add, clock", "set: key0–4, other", "clear: key0–4"]


def test_what_a_name_has_beyond_its_row() -> None:
    assert {each.name: variant(each) for each in BROKEN.verdicts if each.row in ("add", "set")} == {
        "add": "",
        **{f"set key{number}": f"key{number}" for number in range(5)},
        "set other": "other",
    }
