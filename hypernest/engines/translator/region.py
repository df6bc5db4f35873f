"""Which instructions form a region: everything reachable from a hot place within its page, as far as it was executed.

A region has several *entries*: the head, and the places where control comes back to after something that the region
leaves for (a call, an instruction that is executed completely).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from hypernest.engines.translator.code_page import PAGE_BYTES, CodePage, Instruction
from hypernest.engines.translator.meaning import Place

MOST_INSTRUCTIONS = 300
MOST_ENTRIES = 64


@dataclass(frozen=True, eq=False)
class Region:
    """Instructions by offset in the page, in order; `entries` begins with the head."""

    page: CodePage
    entries: tuple[int, ...]
    instructions: dict[int, Instruction]

    @property
    def span(self) -> tuple[int, int]:
        """The first and the last byte that the region depends on: those of its instructions and of what it jumps to."""
        ends = [each for i in self.instructions.values() for each in (i.offset, i.following - 1)]
        targets = [
            target
            for i in self.instructions.values()
            for distance in i.meaning.branches
            if 0 <= (target := i.offset + distance) < PAGE_BYTES
        ]
        return min(ends + targets), max(ends + targets)

    @property
    def covered(self) -> bytes:
        """A bit for each halfword of the page where one of its instructions begins."""
        bits = sum(1 << at // 2 for at in self.instructions)
        return bits.to_bytes(PAGE_BYTES // 16, "little")

    def successors(self, instruction: Instruction) -> list[int]:
        """Where control may go on inside the region."""
        meaning = instruction.meaning
        if not meaning.quick:
            return []
        following = [instruction.following] if meaning.falls_through else []
        targets = [instruction.offset + distance for distance in meaning.branches] if not meaning.calls else []
        targets += self.entries if meaning.computed else ()
        return [each for each in following + targets if each in self.instructions]


def behind_complete_execution(page: CodePage, head: int) -> int:
    """Where a region can begin that `head` leads to: a trap handler's entry, say, begins with CSR accesses."""
    at, first = head, page.at(head)
    while first is not None and not first.meaning.quick:
        at = first.following
        if not _executed(page, at):
            return head
        first = page.at(at)
    return at


def form_region(page: CodePage, head: int, targets: Iterable[int] = ()) -> Region | None:
    """The region with this head; None if there is nothing to gain.

    `targets` are places in the page to which a computed jump (a dispatch loop, a jump table) may go, as far as known:
    if the region has such a jump, they are entries, too, and it stays inside.
    """
    first = page.at(head)
    if first is None or not first.meaning.quick:
        return None
    included: dict[int, Instruction] = {}
    entries = [head]
    waiting = deque([head])
    while waiting and len(included) < MOST_INSTRUCTIONS:
        at = waiting.popleft()
        while at not in included and len(included) < MOST_INSTRUCTIONS:
            instruction = page.at(at)
            if instruction is None:
                break
            included[at] = instruction
            meaning, following = instruction.meaning, instruction.following
            if meaning.calls or not meaning.quick:
                if len(entries) < MOST_ENTRIES and _executed(page, following):
                    entries.append(following)
                    waiting.append(following)
                break
            waiting.extend(
                target for distance in meaning.branches if _executed(page, target := instruction.offset + distance)
            )
            if meaning.computed:
                more = [each for each in targets if each not in entries][: MOST_ENTRIES - len(entries)]
                entries.extend(more)
                waiting.extend(more)
            if not meaning.falls_through or (meaning.branches and not _executed(page, following)):
                break
            at = following
    instructions = {at: included[at] for at in sorted(included)}
    # The heads of loops, too: where steps may run out, the interpreter takes over, and comes back there.
    for instruction in included.values():
        if not instruction.meaning.calls:
            here = instruction.offset
            entries += [here + each for each in instruction.meaning.branches if each <= 0 and here + each in included]
    # An entry that is not worth a handler of its own, or that the limit cut off, is none.
    kept = [at for at in dict.fromkeys(entries) if at in instructions and instructions[at].meaning.quick]
    return Region(page, tuple(kept[:MOST_ENTRIES]), instructions)


def _executed(page: CodePage, offset: int) -> bool:
    """Was something of the straight line from here executed? Only the first of a sequence is marked."""
    while 0 <= offset < PAGE_BYTES:
        if page.was_executed(offset):
            return True
        instruction = page.at(offset)
        if instruction is None or not instruction.meaning.falls_through or instruction.meaning.branches:
            return False
        offset = instruction.following
    return False


@dataclass(frozen=True)
class Liveness:
    """Per instruction, sets of registers as bits of a number; `places` gives the register of each bit."""

    places: tuple[Place, ...]
    live: dict[int, int]
    """Registers whose value matters when the instruction begins: what an entry must load."""
    dirty: dict[int, int]
    """Registers that may differ from the hart's state when the instruction begins: what leaving must store."""
    dirty_after: dict[int, int]

    def of(self, bits: int) -> list[Place]:
        """The registers in a set."""
        return [place for number, place in enumerate(self.places) if bits >> number & 1]


def liveness(region: Region) -> Liveness:
    """Solve both data-flow problems, which are small, by repetition."""
    instructions = region.instructions
    places = sorted({place for i in instructions.values() for place in i.meaning.reads | i.meaning.may_write})
    bit = {place: 1 << number for number, place in enumerate(places)}

    def mask(each: frozenset[Place]) -> int:
        return sum(bit[place] for place in each)

    reads, writes, may = ({at: mask(getattr(i.meaning, name)) if i.meaning.quick else 0
                           for at, i in instructions.items()} for name in ("reads", "writes", "may_write"))  # fmt: skip
    successors = {at: region.successors(i) for at, i in instructions.items()}
    dirty = dict.fromkeys(instructions, 0)
    waiting = list(instructions)
    while waiting:
        at = waiting.pop()
        after = dirty[at] | may[at]
        for each in successors[at]:
            if after & ~dirty[each]:
                dirty[each] |= after
                waiting.append(each)
    dirty_after = {at: dirty[at] | may[at] for at in instructions}
    leaving = {
        at: (dirty[at] if i.meaning.may_leave or not i.meaning.quick else 0)
        | (dirty_after[at] if _goes_out(region, i) else 0) & ~writes[at]
        for at, i in instructions.items()
    }
    predecessors: dict[int, list[int]] = {at: [] for at in instructions}
    for at, following in successors.items():
        for each in following:
            predecessors[each].append(at)
    live = dict.fromkeys(instructions, -1)
    waiting = list(instructions)
    while waiting:
        at = waiting.pop()
        after = 0
        for each in successors[at]:
            after |= max(live[each], 0)
        # What is only written on some paths keeps its old value on the others.
        value = reads[at] | leaving[at] | (may[at] & ~writes[at]) | (after & ~writes[at])
        if value != live[at]:
            live[at] = value
            waiting.extend(predecessors[at])
    return Liveness(tuple(places), live, dirty, dirty_after)


def _goes_out(region: Region, instruction: Instruction) -> bool:
    """Can control leave the region after the instruction? Where steps may run out, too."""
    meaning, here = instruction.meaning, instruction.offset
    ways = len(meaning.branches) + meaning.falls_through
    return (
        meaning.jumps
        or len(region.successors(instruction)) < ways
        or any(
            0 <= here + distance < PAGE_BYTES and region.page.cost(here, here + distance) < 0
            for distance in meaning.branches
        )
    )
