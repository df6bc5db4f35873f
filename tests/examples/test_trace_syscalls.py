"""The trace of a guest's system calls: the ones that a simple command is known to make, and the table."""

from __future__ import annotations

import re
import subprocess

import pytest

from examples import trace_syscalls
from examples.trace_syscalls import SYSCALLS


@pytest.mark.usefixtures("debian_image")
def test_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    lines = trace_syscalls.main(["cat /etc/hostname /missing; echo ab | tr a z"])
    calls = [line.split(" ", 1)[1] for line in lines]
    assert any(call.startswith('execve("/proc/self/exe", ["cat", "/etc/hostname", "/missing"], ["') for call in calls)
    assert 'openat(AT_FDCWD, "/etc/hostname", 0, 00) = 3' in calls
    assert 'openat(AT_FDCWD, "/missing", 0, 00) = -1 ENOENT' in calls
    assert "write(2, \"cat: can't open '/missing': No such file\"..., 54) = 54" in calls
    assert 'write(1, "zb\\n", 3) = 3' in calls
    assert "exit_group(1) ..." in calls
    assert "exit_group(0) ..." in calls
    assert not any(call.startswith(("ppoll", "wait4")) for call in calls)  # those are the shell's
    assert "hypernest\ncat: can't open '/missing'" in capsys.readouterr().out


@pytest.mark.usefixtures("debian_image")
def test_the_shell_too() -> None:
    lines = trace_syscalls.main(["--shell", "cd /proc"])
    assert any('chdir("/proc") = 0' in line for line in lines)
    assert any('read(0, "c", 1) = 1' in line for line in lines)


def test_the_table() -> None:
    """Against the headers that programs are compiled with."""
    command = ["riscv64-linux-gnu-gcc", "-E", "-dM", "-include", "asm/unistd.h", "-xc", "/dev/null"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    defined = dict(re.findall(r"#define (__NR\w+) (\w+)", text))

    def number(name: str) -> int:
        value = defined[name]
        return int(value) if value.isdigit() else number(value)

    extra = {"__NR_riscv_hwprobe": 258, "__NR_riscv_flush_icache": 259}  # sums in the headers, or too new
    assert len(SYSCALLS) > 120
    assert [
        (wanted, row.name)
        for wanted, row in SYSCALLS.items()
        if extra.get(f"__NR_{row.name}") != wanted and number(f"__NR_{row.name}") != wanted
    ] == []
    assert {letter for row in SYSCALLS.values() for letter in row.kinds} <= set("duxosfwra-")
