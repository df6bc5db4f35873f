"""`hypernest run` with Debian, as a person and as a script use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUN = (sys.executable, "-m", "hypernest", "run")
EVERY_BYTE = bytes(range(256))

# Boots in the terminal the tests made.
PROGRAM = "import sys; from hypernest.cli.main import run; sys.exit(run(['run', *sys.argv[1:]]))"


@pytest.fixture(scope="module", autouse=True)
def debian() -> None:
    """Fetched once, with a message of its own if that fails."""
    from hypernest.images import pull

    pull("debian")


def run(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*RUN, *arguments], input=text, capture_output=True, cwd=ROOT, timeout=300, check=False)


def test_a_command_gives_its_output_and_its_status_unaltered(tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    done = run("--exec", r"printf 'a\n\r\t\000\377z'; exit 43", "--stats", str(stats))
    assert (done.returncode, done.stdout, done.stderr) == (43, b"a\n\r\t\x00\xffz", b"")
    figures = json.loads(stats.read_text())
    assert figures["instructions"] > 100_000_000
    assert figures["peak_memory_bytes"] > figures["guest_memory_bytes"] > 0


def test_a_command_reads_standard_input_to_its_end() -> None:
    text = EVERY_BYTE * 20 + b"\nunfinished"
    done = run("--exec", "cat", text=text)
    assert (done.returncode, done.stdout, done.stderr) == (0, text, b"")


def test_a_shell_reads_a_script_from_a_pipe() -> None:
    done = run(text=b"echo $((6 * 7)) $(uname -m)\npoweroff\n")
    assert done.returncode == 0
    assert b"\r\n42 riscv64\r\n" in done.stdout


def test_the_limit_ends_it_with_its_own_status() -> None:
    done = run("--limit", "1_000_000")
    assert done.returncode == 124
    assert done.stderr == b"hypernest: the limit of instructions was reached\n"


def test_a_person_at_a_terminal(terminal: Any) -> None:
    terminal.start(PROGRAM)
    terminal.expect(b"~ # ")
    terminal.type(b"echo term=$TERM size=$(stty size)\r")
    terminal.expect(b"term=xterm size=40 100")
    terminal.resize(132, 50)
    terminal.type(b"echo $((6 * 7)); sleep 1000\r")
    terminal.expect(b"\n42\r")
    terminal.type(b"\x03")
    terminal.expect(b"~ # ")
    terminal.type(b"echo size=$(stty size)\r")
    terminal.expect(b"size=50 132")
    terminal.type(b"\x01x")
    assert terminal.exit_status() == 0
    assert terminal.mode() == terminal.mode_before


def test_power_off_at_a_terminal_gives_it_back(terminal: Any) -> None:
    terminal.start(PROGRAM)
    terminal.expect(b"~ # ")
    terminal.type(b"\x04")
    assert terminal.exit_status() == 0
    assert terminal.mode() == terminal.mode_before


def test_a_command_whose_kernel_dies_ends() -> None:
    done = run("--exec", "echo c >/proc/sysrq-trigger")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"hypernest: the guest asked for a reset"


def test_a_kernel_with_too_little_memory_says_so() -> None:
    done = run("--memory", "64M", "--limit", "300_000_000")
    assert done.returncode == 124
    assert b"Kernel panic - not syncing: memblocks_present: Failed to allocate" in done.stdout
