"""A machine that remembers: snapshots of it, digests of its state, and its past."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from hypernest.engines.watched import NOTHING
from hypernest.errors import BadConfiguration
from hypernest.machine.configuration import memory_size, whole_number
from hypernest.machine.hooks import BadHook, Hook
from hypernest.machine.outcome import LIMIT_REACHED, StopReason
from hypernest.machine.running import RunningMachine
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.state import BadState, state_digest

if TYPE_CHECKING:
    from hypernest.history.timeline import Timeline
    from hypernest.machine.machine import Machine


class RememberingMachine(RunningMachine):
    """The verbs that keep moments, compare them, and go back to them."""

    def snapshot(self) -> Snapshot:
        """The machine as it is now, to go back to or to fork. Copies nothing but what was written since the last."""
        board = self._open_board()
        return Snapshot(
            setup=self._setup,
            state=board.capture(),
            memory=board.freeze(),
            disks=tuple(disk.freeze() for disk in self._disks),
            boot=self._boot,
            past=self._past.instructions,
            reason=self._reason,
            programs=self._programs,
            journal=self._journal,
            position=self._journal.position,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Be again as `snapshot` says: one of this machine, of one that began with its snapshots, or of its origin.

        Quick if memory began with the same image, as it does then. What was to come according to the journal is
        forgotten. Raises `BadState` if the machine has other harts, memory or devices, and then nothing has changed.
        """
        self.become(snapshot)
        if snapshot.journal is self._journal:
            self._journal.forget_after(snapshot.position)
        else:
            self._journal.begin_anew()
        if self._timeline is not None:
            self._timeline.begin_anew()

    def become(self, snapshot: Snapshot) -> None:
        """Be as `snapshot` says, with what lay ahead then according to the journal lying ahead again. For `history`."""
        board = self._open_board()
        if self._witness is not None:
            self._witness.leave()
        sizes = [version.sectors for version in snapshot.disks], [disk.sectors for disk in self._disks]
        if snapshot.setup.memory_size != self._setup.memory_size or sizes[0] != sizes[1]:
            raise BadState("the snapshot is of a machine with other memory or disks: fork it instead")
        board.restore(snapshot.state)
        board.restore_memory(snapshot.memory)
        for disk, version in zip(self._disks, snapshot.disks, strict=True):
            disk.restore(version)
        self._boot = board.scheduler.boot = snapshot.boot
        self._past = replace(self._past, instructions=snapshot.past)
        self._reason, self._programs = snapshot.reason, snapshot.programs
        if snapshot.journal is self._journal:
            self._journal.position = snapshot.position

    def hart_words(self) -> list[bytes]:
        """The registers of all harts, for tools that look whether anything has changed."""
        return self._open_board().capture_harts()

    def brief_hash(self) -> bytes:
        """A digest of 16 bytes like `state_hash`, but without memory: cheap enough to take often."""
        return state_digest(self._open_board().capture())

    def nonzero_pages(self) -> Iterator[tuple[int, bytes]]:
        """All pages of RAM that are not zero, with their numbers, in order."""
        return self._open_board().memory.nonzero_pages()

    def state_hash(self) -> str:
        """A digest, in hexadecimal, of all that the machine's course depends on, except for disks.

        Equal on every engine and host for the same inputs at the same count of instructions.
        """
        digest = blake2b(state_digest(self._open_board().capture()), digest_size=32)
        for page, content in self.nonzero_pages():
            digest.update(page.to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()

    # --- the past --------------------------------------------------------------------------------------------------

    def keep_history(self, memory: int | str = "512M") -> Timeline:
        """From here on keep the past, so that the machine can go back; returns what is known of it.

        `memory` is about how much of the host's memory the past may take: if it is more, moments become farther apart.
        Costs some of the speed: a fifth of a long run, up to half of a boot. Calling it again begins anew.
        """
        from hypernest.history.timeline import Timeline

        self._timeline = Timeline(self._whole, memory_size(memory, "the past"))
        self._journal.on_note = self._timeline.branch
        self.hooks.around = self._timeline.around
        self._board.memory.on_write(self._timeline.watch_memory)
        return self._timeline

    @property
    def history(self) -> Timeline:
        """The known past; `NoHistory` if it is not kept."""
        if self._timeline is None:
            from hypernest.history.timeline import NoHistory

            raise NoHistory("the past of this machine is not kept: call keep_history() before it runs")
        return self._timeline

    def goto(self, count: int) -> None:
        """Be where the machine was after `count` instructions of all harts, or run up to there. No hook is called.

        Running on from the past repeats the same input; with new input, or if registers or memory are changed, the
        machine goes another way and what was known of the time behind is forgotten. Raises `NoHistory` for a time
        before `keep_history`.
        """
        self.history.go_to(whole_number(count, "count of instructions"))

    def reverse_step(self, count: int = 1) -> StopReason:
        """Go back by `count` instructions, at most to the beginning of what is known; says where that is."""
        count = whole_number(count, "number of instructions")
        if count < 0:
            raise BadConfiguration(f"{count} instructions cannot be gone back: give a number that is not negative")
        target = self.instructions - count
        if target < self.history.beginning:
            from hypernest.history.timeline import BEGINNING

            self.history.go_to(self.history.beginning)
            return BEGINNING
        self.history.go_to(target)
        return LIMIT_REACHED

    def reverse_run(self, hooks: Collection[Hook] | None = None) -> StopReason:
        """Go back to before whatever one of `hooks` (all that are attached) would have been called for last.

        No callback is called. Returns where that is, or that the beginning of the known past was reached. Raises
        `BadHook` for one of `hooks` that is detached, disabled or on console output: it cannot be looked for.
        """
        for hook in hooks or ():
            if not hook.active or hook.watched == NOTHING:
                raise BadHook(
                    f"{hook!r} cannot be looked for: give one that is attached and enabled, and not on console output"
                )
        return self.history.last_hit([*self.hooks] if hooks is None else hooks)

    def reverse_until(self, condition: int | str | Hook | Callable[[Machine], bool]) -> StopReason:
        """Go back to the latest earlier moment of that kind, or to the beginning; returns which.

        An address or a symbol: before it is executed. A hook, such as one on writes to a range: before what it is
        called for. Anything else is called with the machine, after every instruction, and tells whether it is the
        moment; that is slow, some 20,000 instructions a second, and asks the recent past first.
        """
        if isinstance(condition, Hook):
            return self.reverse_run([condition])
        if not isinstance(condition, int | str):
            return self.history.last_time(condition)
        with self.hooks.execute(condition, lambda event: None) as hook:
            return self.reverse_run([hook])

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """A `with` block in which the machine runs as it did: with noted input only, unseen, without hooks."""
        self._journal.sealed = self.console.muted = True
        try:
            with self.hooks.suspended():
                yield
        finally:
            self._journal.sealed = self.console.muted = False
