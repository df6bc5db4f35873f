"""Repeating a recorded run: a machine that does what it did, and whether it is the same at every mark."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypernest.history.recording.comparing import Comparison
from hypernest.history.recording.difference import Difference, arrive, find_difference
from hypernest.history.recording.loading import Recording, load
from hypernest.history.recording.making import Maker, fork_with
from hypernest.machine.configuration import choice
from hypernest.machine.engines import ENGINES, EngineMaker
from hypernest.machine.outcome import StopReason

if TYPE_CHECKING:
    from hypernest.history.recording.format import End, Mark
    from hypernest.machine.backend import ConsoleBackend
    from hypernest.machine.custom_devices import DeviceChoice
    from hypernest.machine.machine import Machine


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a comparison: `instructions` were executed, and `hashes` of the machine were as recorded."""

    instructions: int
    hashes: int
    difference: Difference | None = None

    @property
    def identical(self) -> bool:
        """Was everything as recorded?"""
        return self.difference is None

    def __str__(self) -> str:
        if self.difference is not None:
            return f"different: {self.difference}"
        if not self.hashes:
            return f"nothing compared: in {self.instructions} instructions there is no hash"
        return f"identical: {self.instructions} instructions, {self.hashes} hashes"


def replay(
    path: str | os.PathLike[str],
    *,
    engine: str | EngineMaker = "auto",
    files: Iterable[str | os.PathLike[str]] = (),
    devices: Sequence[DeviceChoice] = (),
    console: ConsoleBackend | None = None,
    partial: bool = False,
) -> Replay:
    """A machine that will do what the recorded one did, on any engine.

    What it boots is looked for where it was, and in `files`, which may be folders; `devices` are those of the recorded
    machine. `console` sees the output. Raises `BadRecording` for a file that cannot be repeated: see `load` for
    `partial`. Use it as a context manager, or `close` it.
    """
    recording = load(path, partial=partial)
    maker = engine if isinstance(engine, EngineMaker) else EngineMaker(choice("engine", engine, ENGINES))
    return Replay(recording, Maker(recording, files, devices), maker, console)


class Replay:
    """A recorded run that is repeated by `machine`.

    The machine can be run and looked at like any other, with hooks, gdb and ways back. It is live again behind the end.
    Whatever changes its course, such as new input, makes it another run.
    """

    def __init__(
        self, recording: Recording, maker: Maker, engine: EngineMaker, console: ConsoleBackend | None = None
    ) -> None:
        self.recording = recording
        """What the file says."""
        self._maker, self._engine = maker, engine
        self.machine: Machine = maker.make(engine, console)
        """The machine, at the beginning."""
        self._comparison = Comparison(self.machine, recording)
        self.machine.watch_course(self._comparison)

    def verify(self, until: int | None = None) -> Verdict:
        """Run to the end of the recording, or to the count `until`, and compare the machine with all that is recorded.

        If it is not the same, the first instruction that differs is looked for: with other engines, which takes as long
        as the run did and more.
        """
        machine, comparison, end = self.machine, self._comparison, self.recording.end
        last = self.recording.last
        target = min(self.recording.instructions, until if until is not None else self.recording.instructions)
        if machine.instructions < target and comparison.different is None:
            machine.run(target - machine.instructions)
        if comparison.different is None and machine.instructions < target:
            comparison.different = self._next_mark()
        elif comparison.different is None and target == self.recording.instructions and last is not None:
            if end is None:
                if comparison.next_visit == target:
                    comparison.visit()
            elif arrive(machine, end, self.recording.reason):
                comparison.compared += 1
            else:
                comparison.different = end
        return Verdict(machine.instructions, comparison.compared, self._explain(comparison.different))

    def _next_mark(self) -> Mark | End | None:
        """The first moment at which the machine, which has stopped early, cannot be."""
        later = (mark for mark in self.recording.marks if mark.count > self.machine.instructions)
        return next(later, self.recording.end)

    def _explain(self, mark: Mark | End | None) -> Difference | None:
        if mark is None:
            return None
        base = self._comparison.base
        reason: StopReason | None = self.recording.reason if mark is self.recording.end else None

        def make(engine: EngineMaker) -> Machine:
            if base is None:
                return self._maker.make(engine)
            machine = fork_with(base, engine)
            machine.journal.events[:] = self._maker.events()
            machine.journal.position = base.position
            return machine

        return find_difference(make, self._engine, base, self._comparison.alike, mark, reason)

    def close(self) -> None:
        """Close the machine."""
        self.machine.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Replay of {self.recording!r}, at {self.machine.instructions:,}>"
