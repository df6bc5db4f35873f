"""Command lines that cannot be understood, help, and what ends a command: the line shown and the exit status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypernest.cli.main import COMMANDS, run

ROOT = Path(__file__).parents[2]


def test_alone_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command} " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert f"usage: hypernest {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rum", "unknown command rum (did you mean run?), see hypernest --help."),
        ("frobnicate", "unknown command frobnicate, see hypernest --help."),
        ("--verison", "unknown option --verison (did you mean --version?), see hypernest --help."),
        ("run --memroy 1G", "unknown option --memroy (did you mean --memory?), see hypernest run --help."),
        ("run --xyzzy=3", "unknown option --xyzzy, see hypernest run --help."),
        ("run --mem 1G", "unknown option --mem (did you mean --memory?), see hypernest run --help."),
        ("run debian more", "'more' is one argument too many, see hypernest run --help."),
        ("run --memory 512", "a machine cannot have 512 bytes of memory: give it 1M to 256G"),
        ("run --memory -1G", "--memory: expected one argument, see hypernest run --help."),
        ("run --memory lots", "'lots' is not a size of memory: write it like 512M or 2G"),
        ("run --harts none", "--harts: 'none' is not a whole number above 0, see hypernest run --help."),
        ("run --harts 0", "--harts: '0' is not a whole number above 0, see hypernest run --help."),
        ("run --harts 9", "a machine cannot have 9 harts: give it 1 to 8"),
        ("run nonsense", "there is no image 'nonsense', see hypernest images."),
        ("run debain", "there is no image 'debain' (did you mean debian?), see hypernest images."),
        ("run --kernel /dev/null --exec ls", "--exec needs an image with a shell, such as debian: "),
        ("run --stats debian", "--stats debian: to boot that image name it first, "),
        ("run --limit 1.5", "--limit: '1.5' is not a whole number above 0, see hypernest run --help."),
        ("run --kernel", "--kernel: expected one argument, see hypernest run --help."),
        (
            "run --kernel /no/such",
            "--kernel: cannot read '/no/such': No such file or directory, see hypernest run --help.",
        ),
        ("run --initrd /", "--initrd: cannot read '/': Is a directory, see hypernest run --help."),
        ("run --disk ,readonly", "--disk: the name of a disk file is missing, see hypernest run --help."),
        ("version now", "'now' is one argument too many, see hypernest version --help."),
        ("bench --only nonsense", "nonsense is not one of "),
        ("pull nonsense", "there is no image 'nonsense', only "),
    ],
)
def test_a_mistake_is_one_line(line: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(line.split())
    shown = capsys.readouterr()
    assert shown.err.startswith(f"hypernest: {message}")
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert status == (1 if line.startswith("pull") else 2)


def test_an_engine_that_does_not_exist_is_answered_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--engine", "steam"]) == 2
    assert "reference" in capsys.readouterr().err


def test_version_names_what_it_stands_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", "/some/cache")
    assert run(["version"]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert int(shown["LLVM"].partition(".")[0]) >= 20
    assert shown["cache"] == "/some/cache"
    assert {"hypernest", "llvmlite"} <= shown.keys()


def test_a_reader_that_has_gone_is_no_mistake() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "hypernest", "version"],
        stdout=writer,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told_in_a_line() -> None:
    done = subprocess.run(
        f"{sys.executable} -m hypernest version > /dev/full",
        shell=True,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"hypernest: the output cannot be written: No space left on device.\n")


def test_closed_streams_are_as_good_as_unread_ones() -> None:
    done = subprocess.run(
        f"{sys.executable} -m hypernest version >&- 2>&-", shell=True, capture_output=True, cwd=ROOT, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_starting_up_loads_nothing_heavy() -> None:
    program = (
        "import sys; from hypernest.cli.main import run; run(['run', '--help']);"
        "sys.exit(', '.join({'llvmlite', 'rich', 'msgspec', 'elftools', 'hypernest.isa'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
