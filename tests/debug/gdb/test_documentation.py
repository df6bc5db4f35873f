"""The session in docs/gdb.md is what gdb really prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from hypernest.debug.gdb.monitor import _COMMANDS
from tests.debug.gdb.driving import DEADLINE_SECONDS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "gdb.md").read_text()
SESSION = re.search(r"## A session.*?```c\n(.*?)```.*?\n    (riscv64\S* .*?)\n.*?```\n(.*?)```", TEXT, re.DOTALL)


def comparable(text: str) -> list[str]:
    """Lines without what another compiler would make differently: addresses, and how many instructions there are."""
    text = re.sub(r"^\(gdb\) (continue|stepi) $\n", "", text, flags=re.MULTILINE)  # what reverse- commands are made of
    return re.sub(r"0x[0-9a-f]+|^\d+$", "0x", text, flags=re.MULTILINE).strip().splitlines()


def test_the_session(tmp_path: Path) -> None:
    assert SESSION
    source, compiler, session = SESSION.groups()
    (tmp_path / "lab.c").write_text(source)
    subprocess.run(compiler.split(), cwd=tmp_path, check=True, timeout=DEADLINE_SECONDS)
    commands = re.findall(r"^\(gdb\) (.*)$", session, re.MULTILINE)
    assert len(commands) > 8
    (tmp_path / "session").write_text(
        "\n".join(["delete", "define hookpost-monitor", "end", "set trace-commands on", *commands])
    )
    done = subprocess.run(
        [sys.executable, "-m", "hypernest", "debug", "lab", "--memory", "16M", "--batch", "--ex", "source session"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=True,
    )
    shown = re.sub(r"^\+", "(gdb) ", done.stdout.partition("+")[1] + done.stdout.partition("+")[2], flags=re.MULTILINE)
    assert comparable(shown.rpartition("[Inferior")[0]) == comparable(session)


def test_all_monitor_commands_are_described() -> None:
    table = TEXT[TEXT.index("## monitor") :]
    for name in _COMMANDS:
        assert re.search(rf"`(monitor )?{name}[ `]", table), name
