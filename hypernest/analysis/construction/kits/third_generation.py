"""The kit of the paper's model machine."""

from __future__ import annotations

from random import Random

from hypernest.analysis.construction.embedding import RelocationBounds
from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.third_generation.state import ADDRESSES, WORD, Mode
from hypernest.isa.third_generation.traps import NEW_STATUS, VALUE

_WORDS = 512
_CODE = range(VALUE + 1, 400)  # behind it, status words to be loaded
_CODE_AFTER_RELOCATION = 128
_STATUS_WORDS = range(_CODE.stop, _WORDS, 2)


def _relocation(random: Random) -> tuple[int, int]:
    """(l, b), such that often something lies within."""
    location = random.choice((0, 0, 0, random.randrange(32), random.randrange(_WORDS // 4)))
    if random.random() < 0.05:
        location = random.randrange(2 * _WORDS)
    rest = max(_WORDS - location, 0)
    return location, random.choice((rest, rest, rest + random.randrange(64), random.randrange(1 + rest), ADDRESSES))


def _status(random: Random, user: float) -> int:
    """A packed PSW that leads to code, mostly; in user mode with this probability."""
    mode = Mode.USER if random.random() < user else Mode.SUPERVISOR
    location, bound = _relocation(random)
    return mode << 63 | bound << 40 | location << 20 | random.choice(_CODE[:_CODE_AFTER_RELOCATION])


def _prepare(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    memory.write_integer(NEW_STATUS * WORD, WORD, _status(random, user=0.1))
    for place in _STATUS_WORDS:
        memory.write_integer(place * WORD, WORD, _status(random, user=0.5))
    state["location"], state["bound"] = _relocation(random)
    state["pc"] = random.choice(_CODE[:_CODE_AFTER_RELOCATION])


KIT = Kit(
    embedding=RelocationBounds({"location": "bound"}),
    memory=_WORDS * WORD,
    code=range(_CODE.start * WORD, _CODE.stop * WORD),
    cell=WORD,
    prepare=_prepare,
)
