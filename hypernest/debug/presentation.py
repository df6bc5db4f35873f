"""How a machine shows itself in a terminal and in Jupyter. What it shows may be the guest's: all of it is escaped."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine

_LAST_LINES, _LAST_BYTES = 6, 2000
_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]|[@-Z\\-_])")


def machine_text(machine: Machine) -> str:
    """One line: what it is, how far it has come, and where it is."""
    return f"<Machine {', '.join(_facts(machine).values())}>"


def machine_html(machine: Machine) -> str:
    """A small table, with the end of what the console has printed and nobody has read."""
    facts = _facts(machine)
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items()
    )  # fmt: skip
    lines = _last_lines(machine)
    console = f"<tr><th>console</th><td><pre>{escape(lines)}</pre></td></tr>" if lines else ""
    return f"<table>{rows}{console}</table>"


def _facts(machine: Machine) -> dict[str, str]:
    setup = machine.setup
    harts = f"{setup.harts} hart" + ("s" if setup.harts > 1 else "")
    facts = {
        "image": _printable(setup.title) or "without a name",
        "hardware": f"{harts}, {setup.memory_size >> 20} MiB",
        "engine": setup.engine.name,
        "executed": f"{machine.instructions:,} instructions",
        "time": f"{machine.now / 1e9:.6f} s of guest time",
    }
    try:
        pc = machine.running_hart.pc
    except HypernestError:
        return facts | {"state": "closed"}
    facts["place"] = f"pc {pc:#x}{_symbol(machine, pc)}"
    return facts if machine.stopped is None else facts | {"state": str(machine.stopped)}


def _symbol(machine: Machine, pc: int) -> str:
    try:
        symbol = machine.symbols.find(pc)
    except HypernestError:  # a damaged file is no reason not to show the rest
        return ""
    return "" if symbol is None else f" <{symbol}>"


def _last_lines(machine: Machine) -> str:
    text = _ESCAPE_SEQUENCE.sub("", machine.console.last(_LAST_BYTES)).replace("\r", "")
    return "\n".join(_printable(line) for line in text.rstrip("\n").split("\n")[-_LAST_LINES:])


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in text)
