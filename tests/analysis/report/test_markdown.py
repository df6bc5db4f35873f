"""The page of the documentation: reproducible, and what is in it read as it is meant."""

from __future__ import annotations

from dataclasses import replace

from hypernest.analysis.report.markdown import page, text
from hypernest.analysis.results import Finding
from tests.analysis.report.toy import BROKEN, HOSTILE, VIRTUALIZABLE


def test_times_are_not_in_it() -> None:
    slower = replace(
        BROKEN,
        seconds=99.0,
        verdicts=tuple(
            replace(
                each,
                findings={q: Finding(q, f.answer, f.method, 77.0, f.witness) for q, f in each.findings.items()},
            )
            for each in BROKEN.verdicts
        ),
    )
    assert page([slower]) == page([BROKEN])


def test_all_is_in_it() -> None:
    found = page([BROKEN, VIRTUALIZABLE])
    assert found.startswith("# The toy machine\n\nMade by `hypernest classify toy --setting all --markdown FILE`;")
    assert "\n| `plain`: kernel software run in user mode | does not hold | does not hold | not decided |\n" in found
    assert "\n### Sensitive and NOT privileged: 1\n" in found
    assert "\n| readmode | base | – | – | yes | – | – | runs in user |\n" in found
    assert "\n| set, clear: key0–4 | base | kernel | – | – | – | – |  |\n" in found
    assert "\n* Theorem 1, a virtual machine monitor: **does not hold**: " in found
    assert "(first in program 3, step 12, readmode r3)" in found
    assert "Expected: not virtualizable (Somebody 1999)." in found
    assert found.count("\n## Definitions\n") == 1
    assert found.endswith("\n") and not found.endswith("\n\n")


def test_tables_have_as_many_cells_in_every_row() -> None:
    lines = page([BROKEN]).splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and lines[number - 1].startswith("|"):
            cells = [each.replace("\\|", "").count("|") for each in (lines[number - 1], line)]
            assert cells[0] == cells[1], line


def test_names_are_text() -> None:
    assert text("a_b*c\n|d|") == r"a\_b\*c \|d\|"
    assert HOSTILE not in page([BROKEN])
    assert text(HOSTILE) in page([BROKEN])
