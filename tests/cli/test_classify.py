"""`hypernest classify` as a person and as a script use it, on the example of a user's own ISA."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypernest.analysis.isas import BUILT_IN
from hypernest.cli.main import run
from tests.cli.conftest import PseudoTerminal

ROOT = Path(__file__).parents[2]
TOY = str(ROOT / "examples" / "isas" / "toy.py")


def classify(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command prints; nothing else may have been said, since no terminal is there."""
    status = run(["classify", *arguments, "--jobs", "1"])
    shown = capsys.readouterr()
    assert (status, shown.err) == (0, "")
    return shown.out


def answers(document: dict[str, Any]) -> dict[str, str]:
    (setting,) = document["settings"]
    return {each["name"]: each["class"] for each in setting["instructions"]}


def changed(folder: Path, change: str) -> str:
    """A file with the toy, changed."""
    isa = folder / "changed.py"
    isa.write_text(
        f"import dataclasses, sys\nsys.path.insert(0, {str(Path(TOY).parent)!r})\nimport toy\n"
        f"MODEL = dataclasses.replace(toy.MODEL, {change})\n"
    )
    return str(isa)


# --- all instructions ------------------------------------------------------------------------------------------------


def test_table_and_files_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, text = tmp_path / "toy.html", tmp_path / "toy.md"
    shown = classify(TOY, "--html", str(page), "--markdown", str(text), capsys=capsys)
    last = " ".join(shown.split())
    said = "No virtual machine monitor by theorem 1 and no hybrid one by theorem 3, because 1 sensitive instruction is"
    assert said in last
    assert re.search(r"^  where +– +supervisor, user +– +yes +– +runs in user", shown, re.MULTILINE)
    assert said in page.read_text()
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert said in text.read_text()
    assert "| where |" in text.read_text()


def test_json_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(classify(TOY, "--json", capsys=capsys))
    assert document["complete"] is True
    found = answers(document)
    assert found["where"] == "sensitive and not privileged"
    assert found["enter"] == "sensitive and privileged"
    assert found["add"] == "innocuous"
    assert found["call"] == "always traps"
    where = next(each for each in document["settings"][0]["instructions"] if each["name"] == "where")
    assert where["findings"]["location_in_user"]["witness"]["reproduced"] is True


def test_other_settings_are_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = "dataclasses.replace(toy.MODEL.settings[0], name='second', title='another')"
    isa = changed(tmp_path, f"settings=(toy.MODEL.settings[0], {second})")
    page = tmp_path / "two.html"
    shown = classify(isa, "--html", str(page), capsys=capsys)
    assert (
        "second: theorem 1 does not hold; theorem 2 does not hold; theorem 3 does not hold; because of where" in shown
    )
    assert shown.count("Theorem 1, ") == 1
    assert "another" in page.read_text()
    both = classify(isa, "--setting", "all", capsys=capsys)
    assert both.count("Theorem 1, ") == 2
    only = classify(isa, "--setting", "second", "--json", capsys=capsys)
    assert [each["name"] for each in json.loads(only)["settings"]] == ["second"]


def test_several_processes_find_what_one_finds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", TOY, "--json", "--jobs", "2"]) == 0
    several = json.loads(capsys.readouterr().out)
    one = json.loads(classify(TOY, "--json", capsys=capsys))
    assert answers(several) == answers(one)


def test_the_isas_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = classify("--list", capsys=capsys)
    for name in BUILT_IN:
        assert re.search(rf"^{name}  \S", shown, re.MULTILINE)
    assert "\n  s-in-u " in shown


def test_a_bar_while_it_works(terminal: PseudoTerminal) -> None:
    process = terminal.start(
        "import sys; from hypernest.cli.main import run; sys.exit(run(sys.argv[1:]))",
        *("classify", TOY, "--jobs", "1"),
    )
    terminal.expect(b"/10")
    terminal.expect(b"Theorem 1, ")
    assert terminal.exit_status() == 0
    assert process.returncode == 0


# --- one instruction -------------------------------------------------------------------------------------------------


def test_an_instruction_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(classify(TOY, "--explain", "WHERE", capsys=capsys).split())
    assert text.startswith("where: sensitive and not privileged")
    assert "Location sensitive (section 3, behavior sensitive): There are two states" in text
    assert "depend on the location in user mode? yes, shown by states that the solver found; the reference" in text
    assert "in user mode in user mode, relocated by " in text
    assert "differs: " in text


def test_a_row_is_explained_by_its_variants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    isa = changed(tmp_path, "variants={'uimm': {0: 'zero', 7: 'seven'}}")
    document = json.loads(classify(isa, "--explain", "where", "--json", capsys=capsys))
    assert document["complete"] is False
    violation = "sensitive and not privileged"
    assert answers(document) == {"where zero": violation, "where seven": violation, "where (any other)": violation}
    shown = classify(isa, "--explain", "where", capsys=capsys)
    assert "\nSensitive and NOT privileged: 3\n" in shown
    assert "\n  where: zero, seven, (any other)\n" in shown
    assert shown.endswith("--explain 'where zero' explains one of them.\n")
    assert classify(isa, "--explain", "where seven", capsys=capsys).startswith("where seven: ")


def test_one_variant_of_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    shown = classify("--explain", "csrrw  satp", capsys=capsys)
    assert shown.startswith("csrrw satp: sensitive and privileged\n")
    assert "resources in S mode? yes" in shown


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("rsicv64", 1, "there is no ISA 'rsicv64' (did you mean riscv64?)"),
        ("./no_such.py", 1, "there is no file no_such.py"),
        ("--setting s-in-v", 2, "riscv64 has no setting 's-in-v' (did you mean s-in-u?), it has s-in-u, "),
        ("--explain sre", 2, "riscv64 has no instruction 'sre' (did you mean sret"),
        ("--explain 'csrrw sstat'", 2, "riscv64 has no instruction 'csrrw sstat' (did you mean csrrw sstatus or "),
        ("--explain ''", 2, "riscv64 has no instruction ''."),
        ("--explain sret --html /tmp/page.html", 2, "--explain is about one instruction"),
        ("--explain sret --list", 2, "--list: not allowed with argument --explain, see hypernest classify --help."),
        ("--html /no/such/page.html", 2, "--html: cannot write '/no/such/page.html': there is no folder '/no/such'"),
        ("--markdown /", 2, "--markdown: cannot write '/': Is a directory"),
        ("--time-limit -1", 2, "--time-limit: "),
        ("--time-limit nan", 2, "--time-limit: 'nan' is not a number of seconds above 0"),
        ("--time-limit soon", 2, "--time-limit: 'soon' is not a number of seconds above 0"),
        ("--jobs 0", 2, "--jobs: '0' is not a whole number above 0"),
    ],
)
def test_a_mistake_is_one_line(line: str, status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", *shlex.split(line)]) == status
    shown = capsys.readouterr()
    assert shown.err.startswith(f"hypernest: {message}")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_without_the_solver_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bitwuzla", None)
    assert run(["classify", TOY]) == 1
    shown = capsys.readouterr()
    assert "hypernest[analysis]" in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_a_disk_that_is_full_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["classify", TOY, "--jobs", "1", "--html", "/dev/full"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "hypernest: --html: cannot write '/dev/full': No space left on device.\n"


def test_help_tells_the_exit_status_and_loads_nothing_heavy() -> None:
    program = (
        "import sys; from hypernest.cli.main import run; run(['classify', '--help']);"
        "sys.exit(', '.join({'bitwuzla', 'rich', 'hypernest.isa'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The exit status is 0 whatever the verdict is" in done.stdout
