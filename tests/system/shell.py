"""A conversation with the shell of the Debian guest."""

from __future__ import annotations

from dataclasses import dataclass

from hypernest.machine import Machine, StopReason

PROMPT = "~ # "
LIMIT = 1_500_000_000
"""Instructions: several times what any step here takes; a guest that hangs fails the test instead of blocking it."""

# The shell prints it as \\036, so what is typed never contains it.
_MARK = "\x1e"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command printed, lines ended by a newline alone, and its exit status."""

    output: str
    status: int


class Shell:
    """The shell on `machine`, which must be booting; returns when it prompts."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.boot_messages = machine.run_until(PROMPT, LIMIT)

    def run(self, command: str) -> Done:
        """Type `command` and let the guest run until it has ended."""
        self.type(f"printf '\\036'; {command}; printf '\\036%d\\036' $?\n")
        self._next()
        output, status = self._next(), self._next()
        self.machine.run_until(PROMPT, LIMIT)
        return Done(output.replace("\r\n", "\n"), int(status))

    def type(self, text: str) -> None:
        self.machine.console.send(text)

    def power_off(self) -> StopReason:
        self.type("poweroff\n")
        return self.machine.run(LIMIT)

    def _next(self) -> str:
        return self.machine.run_until(_MARK, LIMIT).removesuffix(_MARK)
