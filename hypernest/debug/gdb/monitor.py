"""gdb's `monitor` commands: what a debugger of a whole machine can ask beyond gdb's own commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypernest.debug.gdb.target import TargetError

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine
    from hypernest.machine.snapshot import Snapshot

_MOST_SNAPSHOTS = 64
_ROW, _MOST_DUMPED = 16, 4096
_FORGET = "gdb still shows what it had read before; say: maintenance flush register-cache\n"


@dataclass(frozen=True)
class MonitorCommand:
    """A command, what its arguments are called, what it does, and who does it with its arguments."""

    name: str
    arguments: str
    help: str
    execute: Callable[..., str]

    @property
    def usage(self) -> str:
        return f"{self.name} {self.arguments}".rstrip()


class Monitor:
    """Executes `monitor` commands on `machine`. Snapshots have names, for as long as this lives.

    `go_to` goes to a count of instructions, or as far as gdb has the patience to wait.
    """

    def __init__(self, machine: Machine, go_to: Callable[[int], None]) -> None:
        self._machine, self._go_to = machine, go_to
        self._snapshots: dict[str, Snapshot] = {}

    def execute(self, line: str, hart: int) -> str:
        """What one command prints, ended by a newline. `TargetError`, with a sentence, for what cannot be done."""
        name, _, rest = line.strip().partition(" ")
        command = _COMMANDS.get(name or "help")
        if command is None:
            raise TargetError(f"there is no command {name!r}: see monitor help")
        try:
            words = [rest.strip()] if command.name == "console" else shlex.split(rest)
        except ValueError as error:
            raise TargetError(f"these arguments cannot be read ({error}): quote them as for a shell") from None
        if len(words) != len(command.arguments.split()) or "" in words:
            raise TargetError(f"usage: monitor {command.usage}")
        return command.execute(self, hart, *words).rstrip("\n") + "\n"

    # --- looking ---------------------------------------------------------------------------------------------------

    def _help(self, hart: int) -> str:
        width = max(len(command.usage) for command in _COMMANDS.values())
        return "\n".join(f"{command.usage:<{width}}  {command.help}" for command in _COMMANDS.values())

    def _info(self, hart: int) -> str:
        machine = self._machine
        lines = [
            f"{machine.instructions:,} instructions, {machine.now / 1e9:.9f} s of guest time",
            f"harts: {len(machine.harts)}, memory: {machine.memory.size >> 20} MiB at {machine.memory.base:#x}",
            f"engine: {machine.stats.engine}",
            f"history: {machine.history!r}",
        ]
        return "\n".join(lines)

    def _instructions(self, hart: int) -> str:
        return str(self._machine.instructions)

    def _registers(self, hart: int) -> str:
        return repr(self._machine.harts[hart].registers())

    def _translate(self, hart: int, address: str) -> str:
        virtual = _number(address)
        physical = self._machine.harts[hart].translate(virtual)
        return f"{virtual:#x} is not mapped" if physical is None else f"{virtual:#x} is guest-physical {physical:#x}"

    def _physical(self, hart: int, address: str, count: str) -> str:
        start, size = _number(address), _number(count)
        if size > _MOST_DUMPED:
            raise TargetError(f"{size} bytes are too many to show: ask for {_MOST_DUMPED} at most")
        data = self._machine.memory.read(start, size)
        return "\n".join(f"{start + at:#x}: {data[at : at + _ROW].hex(' ', 4)}" for at in range(0, len(data), _ROW))

    # --- travelling ------------------------------------------------------------------------------------------------

    def _snapshot(self, hart: int, name: str) -> str:
        if name not in self._snapshots and len(self._snapshots) == _MOST_SNAPSHOTS:
            raise TargetError(f"{_MOST_SNAPSHOTS} snapshots are kept already: use the name of one of them again")
        snapshot = self._snapshots[name] = self._machine.snapshot()
        return f"{name}: {snapshot!r}"

    def _list(self, hart: int) -> str:
        return "\n".join(f"{name}: {snapshot!r}" for name, snapshot in self._snapshots.items()) or "there are none"

    def _restore(self, hart: int, name: str) -> str:
        if name not in self._snapshots:
            raise TargetError(f"there is no snapshot {name!r}: see monitor snapshots")
        self._machine.restore(self._snapshots[name])
        return f"at {self._machine.instructions:,} instructions\n{_FORGET}"

    def _goto(self, hart: int, count: str) -> str:
        self._go_to(_number(count))
        return f"at {self._machine.instructions:,} instructions\n{_FORGET}"

    # --- what the machine is told ----------------------------------------------------------------------------------

    def _console(self, hart: int, text: str) -> str:
        self._machine.console.send(text + "\n")
        return "typed; the guest gets it when it runs"


def _number(text: str) -> int:
    """A number as people write it: decimal, or with 0x in hexadecimal; digits may be grouped."""
    try:
        value = int(text.replace(",", "_"), 0)
    except ValueError:
        raise TargetError(f"{text!r} is no number: write 1000000 or 0x80200000") from None
    if not 0 <= value < 1 << 64:
        raise TargetError(f"{text} has more than 64 bits, or is negative")
    return value


_COMMANDS = {
    command.name: command
    for command in (
        MonitorCommand("help", "", "these commands", Monitor._help),
        MonitorCommand("info", "", "the machine and where it is", Monitor._info),
        MonitorCommand("instructions", "", "how many instructions all harts have executed", Monitor._instructions),
        MonitorCommand("regs", "", "the registers of this hart", Monitor._registers),
        MonitorCommand("translate", "ADDRESS", "where a virtual address leads on this hart", Monitor._translate),
        MonitorCommand("physical", "ADDRESS COUNT", "bytes at a guest-physical address", Monitor._physical),
        MonitorCommand("goto", "COUNT", "go to a count of instructions, back or forth", Monitor._goto),
        MonitorCommand("snapshot", "NAME", "keep the machine as it is now", Monitor._snapshot),
        MonitorCommand("snapshots", "", "what was kept", Monitor._list),
        MonitorCommand("restore", "NAME", "be again as was kept", Monitor._restore),
        MonitorCommand("console", "TEXT", "type a line at the guest's console", Monitor._console),
    )
}  # fmt: skip
