"""The fuzzer finds the bug, the same way each time; and parser.elf is what parser.c says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from examples import fuzz_parser, who_wrote_it
from hypernest import Machine


def test_it_finds_the_bug(capsys: pytest.CaptureFixture[str]) -> None:
    found = fuzz_parser.main([])
    assert found.crash is not None
    assert found.runs < 10_000
    assert re.match(r"#0 +0x\w+ in panic at ./parser.c:\d+\n#1 +0x\w+ in parse\+0x\w+ at ./parser.c", found.report)
    assert f"{found.runs} runs in" in capsys.readouterr().out

    again = fuzz_parser.main(["--runs", str(found.runs)])
    assert (again.runs, again.crash, list(again.corpus)) == (found.runs, found.crash, list(found.corpus))


def test_coverage_is_what_leads_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random changes of the sample alone do not."""
    monkeypatch.setattr("hypernest.machine.coverage.Coverage.new", lambda self: [])
    found = fuzz_parser.main(["--runs", "3000"])
    assert found.crash is None
    assert list(found.corpus) == [fuzz_parser.SAMPLE]


def test_the_program_is_its_source(tmp_path: Path) -> None:
    """The command in the source makes a program that goes wrong in the same way, at the same lines."""
    source = fuzz_parser.PARSER.with_suffix(".c")
    shutil.copy(source, tmp_path)
    command = re.search(r"(riscv64-linux-gnu-gcc .*? parser\.c)\n", source.read_text(), re.DOTALL)
    assert command is not None
    subprocess.run(re.sub(r"\\\n \*", "", command[1]), shell=True, cwd=tmp_path, check=True)
    stories = []
    for program in (fuzz_parser.PARSER, tmp_path / "parser.elf"):
        with Machine(kernel=program, memory="4M") as vm:
            story = who_wrote_it.investigate(vm, who_wrote_it.PICTURE)
        stories.append([re.sub(r"^ *\d+ instructions|sb \w+,0\(\w+\)|\+0x\w+", "", line) for line in story])
    assert stories[0] == stories[1]
