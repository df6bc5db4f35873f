"""Draws docs/boot.svg, the picture in README.md, from a real session: boots Debian, types, and records what it shows.

usage: .venv/bin/python tools/boot_picture.py
"""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from hypernest.images import pull
from hypernest.machine.machine import Machine

PICTURE = Path(__file__).parents[1] / "docs" / "boot.svg"
PROMPT = "# "
COMMANDS = ("uname -a", "grep -E 'hart|mmu' /proc/cpuinfo | grep -v isa", "ls /", "poweroff")
COLUMNS = 110


def session() -> str:
    """What a person sees, from the command line to the end."""
    begin = time.perf_counter()
    with Machine(pull("debian"), harts=2, append=f"hypernest.size={COLUMNS}x40") as machine:
        shown = ["$ hypernest run --harts 2\n", machine.run_until(PROMPT)]
        seconds = time.perf_counter() - begin
        for command in COMMANDS[:-1]:
            machine.console.send(command + "\n")
            shown.append(machine.run_until(PROMPT))
        machine.console.send(COMMANDS[-1] + "\n")
        machine.run()
        shown.append(machine.console.read())
        instructions = machine.instructions
    shown.append(f"\n(a shell after {seconds:.1f} s; {instructions / 1e6:,.0f} million instructions in all)")
    return "".join(shown)


def draw(text: str) -> None:
    """Write the picture."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    lines = text.replace("\r", "").replace("\x1b[6n", "").splitlines()
    console.print(Text.from_ansi("\n".join(line for line in lines if line.strip())))
    picture = console.export_svg(title="hypernest")
    # Without the font from elsewhere the reader's own monospaced one is used.
    PICTURE.write_text(re.sub(r"@font-face *{.*?}", "", picture, flags=re.DOTALL))


if __name__ == "__main__":
    draw(session())
    print(f"wrote {PICTURE}")
