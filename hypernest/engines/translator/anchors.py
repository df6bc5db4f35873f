"""Where an instruction that must be left to complete execution begins anew.

It need not be the instruction itself: as long as nothing was stored to memory, what came before it can simply be done
once more, from an *anchor* a little earlier. Then the instructions after an anchor share its exit, and what the exit
has to write back. In return the registers' values at the anchor must be kept until then, so anchors stand close.
"""

from __future__ import annotations

from hypernest.engines.translator.code_page import Instruction
from hypernest.engines.translator.meaning import Place
from hypernest.engines.translator.region import Region

_MOST_INSTRUCTIONS = 16
_MOST_OVERWRITTEN = 3  # registers with an older value to keep


def find_anchors(region: Region) -> dict[int, int]:
    """For each instruction that may be left, the offset of its anchor: its own or that of one before it."""
    alone = only_after_the_one_before(region)
    anchors: dict[int, int] = {}
    anchor: Instruction | None = None
    overwritten: set[Place] = set()
    count = 0
    for at, instruction in region.instructions.items():
        meaning = instruction.meaning
        if at not in alone or count >= _MOST_INSTRUCTIONS or len(overwritten) > _MOST_OVERWRITTEN:
            anchor = None
        if not meaning.quick:
            anchor = None
            continue
        if meaning.may_leave:
            if anchor is None:
                anchor, overwritten, count = instruction, set(), 0
            anchors[at] = anchor.offset
        count += 1
        overwritten |= meaning.may_write
        if meaning.stores:
            anchor = None
    return anchors


def only_after_the_one_before(region: Region) -> set[int]:
    """The instructions that control reaches only from the one before them in the page, and always in that case."""
    sources: dict[int, list[Instruction]] = {}
    for instruction in region.instructions.values():
        for each in region.successors(instruction):
            sources.setdefault(each, []).append(instruction)
    return {
        at
        for at, before in sources.items()
        if at not in region.entries
        and len(before) == 1
        and before[0].following == at
        and not before[0].meaning.branches
    }
