"""`hypernest run --profile` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.debug.guests import INSTRUCTIONS, SPIN, TWO_FUNCTIONS, build

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from hypernest.cli.main import run; sys.exit(run(['run', *sys.argv[1:]]))"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TWO_FUNCTIONS, tmp_path_factory.mktemp("elf"))


def run(*arguments: str | Path, status: int = 0) -> str:
    """Runs the command, which must end with that status; returns what it said on standard error."""
    command = [sys.executable, "-m", "hypernest", "run", *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr.decode()


def test_all_formats_tell_the_same(program: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.folded", "a.txt", "a.speedscope.json", "a.svg")]
    options = [word for file in files for word in ("--profile", str(file))]
    assert run("--kernel", program, "--memory", "16M", "--profile-period", "1", *options) == ""
    expected = "".join(f"kernel;{name} {steps}\n" for name, steps in sorted(INSTRUCTIONS.items()))
    assert files[0].read_text() == files[1].read_text() == expected
    document = json.loads(files[2].read_text())
    assert sum(document["profiles"][0]["weights"]) == sum(INSTRUCTIONS.values())
    assert {frame["name"] for frame in document["shared"]["frames"]} == {"kernel", *INSTRUCTIONS}
    assert ElementTree.parse(files[3]).getroot().tag.endswith("svg")  # noqa: S314  (our own)


def test_the_limit_and_other_symbols(program: Path, tmp_path: Path) -> None:
    folded, listing = tmp_path / "a.folded", tmp_path / "System.map"
    listing.write_text("0000000080200000 T everything\n0000000080300000 D end\n")
    options = ("--limit", "5000", "--profile", folded, "--profile-period", "1000", "--symbols", listing)
    run("--firmware", program, "--memory", "16M", *options, status=124)
    # The first sample is in the reset ROM.
    assert folded.read_text() == "machine;[machine] 0x1000 1000\nmachine;everything 4000\n"


def test_a_person_who_quits_has_a_profile(terminal: Any, tmp_path: Path) -> None:
    folded = tmp_path / "a.folded"
    guest = build(SPIN, tmp_path)
    terminal.start(
        PROGRAM, "--kernel", str(guest), "--memory", "16M", "--profile-period", "7", "--profile", str(folded)
    )
    terminal.expect(b"!")
    terminal.type(b"\x01x")
    assert terminal.exit_status() == 0
    assert "kernel;spin " in folded.read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--profile", "a.pprof"], "end its name in one of .json, .folded, .txt, .svg"),
        (["--profile", "missing/a.svg"], "there is no folder 'missing'"),
        (["--profile", "/"], "is not known"),
        (["--symbols", "{program}"], "--symbols says more about a profile"),
        (["--profile-period", "5"], "--profile-period says more about a profile"),
        (["--profile", "{folder}/a.svg", "--profile-period", "0"], "not a whole number above 0"),
        (["--profile", "{folder}/a.svg", "--symbols", "missing"], "cannot read 'missing'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    arguments: list[str], why: str, program: Path, tmp_path: Path
) -> None:
    words = [word.format(program=program, folder=tmp_path) for word in arguments]
    said = run("--kernel", program, *words, status=2)
    assert why in said and said.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_symbols_that_are_none(program: Path, tmp_path: Path) -> None:
    said = run("--kernel", program, "--profile", tmp_path / "a.svg", "--symbols", __file__, status=1)
    assert "neither an ELF file nor a list of symbols" in said and said.count("\n") == 1
