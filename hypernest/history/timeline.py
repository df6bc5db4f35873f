"""The past of a machine, kept well enough to be there again: what going backwards is made of.

As the machine runs, snapshots are taken now and then. A moment in the past is reached from the snapshot before it, by
running again with the same input from the journal, and with no hook called. What a program outside has changed, in
registers or memory, cannot be repeated by running; so a snapshot is taken behind it, which then stays: a *cut*.

How far apart snapshots are follows from what they cost. When they take more memory than they may, one is dropped whose
neighbours are near each other, the more so the longer ago it was: the recent past stays the quickest to reach.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypernest.errors import HypernestError
from hypernest.machine.outcome import StopKind, StopReason
from hypernest.memory import PAGE

if TYPE_CHECKING:
    from hypernest.machine.hooks import Hook, HookEvent
    from hypernest.machine.machine import Machine
    from hypernest.machine.snapshot import Snapshot

MEMORY_LIMIT = 512 << 20
_MOST_SNAPSHOTS = 256
_SECONDS_APART = 0.1
_LARGEST_SHARE = 0.2  # of the time, that is spent on taking snapshots
_FIRST_SPACING = 10_000_000  # instructions, before anything was measured
_SMALLEST_SPACING = 100_000
_NEARER = 16  # on the way to a moment, snapshots are taken at this fraction of the distance that is left
_NEAR_ENOUGH = 200_000  # instructions, that are run again in no time

BEGINNING = StopReason(StopKind.BREAK, message="this is the beginning of what is known of the past")


class NoHistory(HypernestError):
    """The machine's past is not known: it was not kept, or not that far back."""


_Hit = tuple[int, str]
"""At which count something was found, and where that is, in words."""


@dataclass(slots=True)
class _Checkpoint:
    """A snapshot on the way, how many of its pages the one before it does not have, and whether it is a cut."""

    snapshot: Snapshot
    fresh_pages: int
    cut: bool

    @property
    def count(self) -> int:
        return self.snapshot.instructions


_Search = Callable[[_Checkpoint, int], _Hit | None]
"""Finds the last hit from a checkpoint, at which the machine is, to before a count."""


class Timeline:
    """Keeps the past of `machine` from here on, with about `memory_limit` bytes of host memory."""

    def __init__(self, machine: Machine, memory_limit: int = MEMORY_LIMIT) -> None:
        self._machine, self._memory_limit = machine, memory_limit
        self._checkpoints: list[_Checkpoint] = []
        self._end = 0  # how far the past, or the future that is known of it, goes
        self._spacing = _FIRST_SPACING
        self._taken_at = 0.0
        self._harts: list[bytes] = []  # as they were when the machine stopped
        self._written = self._returning = False
        self._next_visit = 0
        self.found: list[tuple[Hook, int]] = []
        """Which hooks the last search for one has ended at, and on which hart."""
        self.begin_anew()

    def __repr__(self) -> str:
        return (
            f"<Timeline from {self.beginning:,} to {self._end:,} instructions,"
            f" {len(self._checkpoints)} snapshots with {self.memory >> 20} MiB of their own>"
        )

    @property
    def next_visit(self) -> int | None:
        """The count of instructions at which the machine should stop by for `visit`."""
        return None if self._returning else self._next_visit

    @property
    def beginning(self) -> int:
        """The count of instructions at which the known past begins."""
        return self._checkpoints[0].count

    @property
    def end(self) -> int:
        """The largest count at which the machine has been, on the way that it has taken."""
        return max(self._end, self._machine.instructions)

    @property
    def counts(self) -> list[int]:
        """The counts at which there are snapshots."""
        return [each.count for each in self._checkpoints]

    @property
    def memory(self) -> int:
        """About how many bytes of host memory the snapshots take for themselves."""
        return sum(each.fresh_pages for each in self._checkpoints) * PAGE

    # --- while the machine runs ------------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Nothing before this moment is known any more, and nothing after it."""
        self._checkpoints.clear()
        self._end = 0
        self._take(cut=True)
        self._look()

    def watch_memory(self, address: int, count: int) -> None:
        """RAM was written from outside the harts, perhaps by the host."""
        self._written |= not self._returning and self._machine.scheduler.in_other_hands

    def begin_run(self) -> None:
        """The machine is about to run. What was changed since it stopped becomes a cut."""
        if not self._returning:
            self._notice()

    def end_run(self) -> None:
        """The machine has stopped."""
        if not self._returning:
            self._end = self.end
            self._look()

    def visit(self) -> None:
        """The machine has run up to `next_visit`."""
        present = self._machine.instructions
        if present >= self._end:
            self._take()
            return
        following = self._following(present)
        if following is not None and following.count == present and following.cut:
            self.branch()  # what the host changed here is not repeated, so it goes another way
            self._take()
        else:
            self._plan_visit()

    def around(self, deliver: Callable[[], None]) -> None:
        """Callbacks of hooks are called: see whether they change the guest."""
        self._look()
        try:
            deliver()
        finally:
            self._notice()

    def branch(self) -> None:
        """What was known of the time behind this moment will not happen."""
        present = self._machine.instructions
        self._checkpoints = [each for each in self._checkpoints if each.count <= present] or self._checkpoints[:1]
        self._end = present

    def _look(self) -> None:
        """Remember the state, to see later whether somebody has changed it."""
        self._harts = self._machine.hart_words()
        self._written = False

    def _notice(self) -> None:
        if self._written or self._harts != self._machine.hart_words():
            self.branch()
            self._take(cut=True)
            self._look()

    def _take(self, cut: bool = False) -> None:
        """Keep this moment. What is measured says how far away the next one should be."""
        began = time.perf_counter()
        snapshot = self._machine.snapshot()
        count, now = snapshot.instructions, time.perf_counter()
        at = bisect_right(self.counts, count)
        before = self._checkpoints[at - 1] if at else None
        if before is not None and before.count == count:  # the later state at the same count is what goes on
            cut |= before.cut
            self._remove(at - 1)
            at -= 1
        fresh = _fresh_pages(snapshot, self._checkpoints[at - 1].snapshot if at else None)
        self._checkpoints.insert(at, _Checkpoint(snapshot, fresh, cut))
        if at == len(self._checkpoints) - 1 and before is not None and not self._returning:
            speed = (count - before.count) / max(began - self._taken_at, 1e-6)
            apart = max(_SECONDS_APART, (now - began) / _LARGEST_SHARE)
            self._spacing = max(_SMALLEST_SPACING, int(speed * apart))
        self._taken_at = time.perf_counter()
        self._end = max(self._end, count)
        self._thin()
        self._plan_visit()

    def _plan_visit(self) -> None:
        present = self._machine.instructions
        following = self._following(present + 1)
        self._next_visit = present + self._spacing if following is None else max(following.count, present + 1)

    def _following(self, count: int) -> _Checkpoint | None:
        """The first checkpoint at `count` or behind it that matters: one that is a cut."""
        return next((each for each in self._checkpoints if each.count >= count and each.cut), None)

    def _thin(self) -> None:
        """Drop snapshots, never the first and the last, until what is left is within the limits."""
        while len(self._checkpoints) > _MOST_SNAPSHOTS or self.memory > self._memory_limit:
            counts, present = self.counts, self._checkpoints[-1].count
            candidates = [at for at in range(1, len(counts) - 1) if not self._checkpoints[at].cut]
            if not candidates:
                if len(counts) <= 2:
                    return
                self._remove(0)  # cuts cannot be dropped from the middle: forget the oldest past
                continue
            self._remove(min(candidates, key=lambda at: (counts[at + 1] - counts[at - 1]) / (present - counts[at] + 1)))

    def _remove(self, at: int) -> None:
        del self._checkpoints[at]
        if at < len(self._checkpoints):
            each = self._checkpoints[at]
            each.fresh_pages = _fresh_pages(each.snapshot, self._checkpoints[at - 1].snapshot if at else None)

    # --- going back ------------------------------------------------------------------------------------------------

    def go_to(self, count: int) -> None:
        """Be where the machine was, or will be if it is left alone, after `count` instructions of all harts."""
        self._notice()
        if count < self.beginning:
            raise NoHistory(
                f"nothing is known of what was before instruction {self.beginning}: keep history from earlier on"
            )
        self._end = self.end
        before = self._checkpoints[bisect_right(self.counts, count) - 1]
        at = self._machine.instructions
        if not before.count <= at <= count or (before.cut and before.count == at):
            self._return_to(before)
        self._run_again(count)
        self._look()
        self._plan_visit()

    def _return_to(self, checkpoint: _Checkpoint) -> None:
        self._machine.become(checkpoint.snapshot)

    def _run_again(self, count: int) -> None:
        """Run up to `count` as before, and keep some moments on the way, the nearer the more."""
        machine = self._machine
        with self._alone():
            while (left := count - machine.instructions) > _NEAR_ENOUGH:
                machine.run(left - left // _NEARER)
                if count - machine.instructions == left:
                    return  # it has stopped for good, or has nothing to do
                self._take()
            machine.run(left)

    def last_hit(self, hooks: Collection[Hook]) -> StopReason:
        """Go back to before what one of `hooks` would have been called for last; to the beginning if there is none."""
        self.found.clear()
        reason = self._find_last(lambda checkpoint, limit: self._last_hit(checkpoint, limit, hooks))
        harts = self._machine.harts
        if any(hook.watched.execute and harts[hart].pc not in hook.watched.execute for hook, hart in self.found):
            self._enter_handler(hooks)
        return reason

    def _enter_handler(self, hooks: Collection[Hook]) -> None:
        """Let the interrupt be taken that comes before the next instruction, the first of its handler."""

        def stop(hook: Hook, event: HookEvent) -> None:
            if hook.watched.execute:
                event.stop()

        with self._machine.hooks.searching(hooks, stop), self._alone():
            self._machine.run(1)
        self._machine.scheduler.show_again()
        self._look()

    def last_time(self, condition: Callable[[Machine], bool]) -> StopReason:
        """Go back to the latest earlier moment at which `condition` holds; it is asked after every instruction."""
        limit = self._machine.instructions
        if limit > self.beginning:
            self.go_to(limit - 1)  # which leaves snapshots on the way: near moments are asked first
        return self._find_last(lambda checkpoint, limit: self._last_time(checkpoint, limit, condition), limit)

    def _find_last(self, search: _Search, limit: int | None = None) -> StopReason:
        """Search from one checkpoint to the next, the latest first, before `limit` (the present)."""
        self._notice()
        self._end = self.end
        limit = self._machine.instructions if limit is None else limit
        for checkpoint in reversed([each for each in self._checkpoints if each.count < limit]):
            self._return_to(checkpoint)
            hit = search(checkpoint, limit)
            if hit is not None:
                self.go_to(hit[0])
                return StopReason(StopKind.BREAK, message=f"back {hit[1]}")
            limit = checkpoint.count
        self.go_to(self.beginning)
        return BEGINNING

    def _last_hit(self, checkpoint: _Checkpoint, limit: int, hooks: Collection[Hook]) -> _Hit | None:
        last: list[_Hit] = []

        def found(hook: Hook, event: HookEvent) -> None:
            count = self._machine.instructions
            if count < limit:
                if [count] != [at for at, _ in last]:
                    self.found.clear()
                last[:] = [(count, event.where)]
                self.found.append((hook, event.hart.number))

        with self._machine.hooks.searching(hooks, found), self._alone():
            self._machine.run(limit - checkpoint.count)
        return last[0] if last else None

    def _last_time(self, checkpoint: _Checkpoint, limit: int, condition: Callable[[Machine], bool]) -> _Hit | None:
        machine, last = self._machine, None
        with self._alone():
            while (count := machine.instructions) < limit:
                if condition(machine):
                    last = count, "where the condition holds"
                machine.run(1)
                if machine.instructions == count:
                    break
        return last

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A `with` block in which the machine runs as it did, and nothing is kept but what is asked for."""
        self._returning = True
        try:
            with self._machine.repeating():
                yield
        finally:
            self._returning = False


def _fresh_pages(snapshot: Snapshot, before: Snapshot | None) -> int:
    """Pages of the host that `snapshot` needs and `before` does not."""
    changed = snapshot.memory.changed
    if before is None or before.memory.file is not snapshot.memory.file:
        return len(changed) + (0 if before is None else snapshot.memory.file.pages)
    known = before.memory.changed
    return sum(1 for page, content in changed.items() if known.get(page) is not content)
