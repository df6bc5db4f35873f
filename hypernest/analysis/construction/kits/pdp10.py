"""The kit of the PDP-10. With User In-out, user mode is allowed what is privileged: the monitor interprets it."""

from __future__ import annotations

from random import Random

from hypernest.analysis.construction.embedding import RelocationBounds
from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.pdp10.input_output import APR, PI
from hypernest.isa.pdp10.state import WORD
from hypernest.isa.pdp10.traps import CALL, INTERRUPT, UNASSIGNED

_BLOCK = 1024  # words
_BLOCKS = 3
_CODE = range(0o100, 0o100 + 400)
_DATA = range(_CODE.stop, _CODE.stop + 400)


def _word(random: Random) -> int:
    """A pointer to code or data, with a left half that says something to some instructions."""
    left = random.choice((0, 0, random.getrandbits(18) & ~0o37, random.getrandbits(18)))
    return left << 18 | random.choice((random.choice(_CODE), random.choice(_DATA), random.randrange(_BLOCKS * _BLOCK)))


def _relocates(state: HartState) -> bool:
    return bool(state["user"] | state["relocates_executive"])


def _has_user_io(state: HartState) -> bool:
    return bool(state["user"] & state["user_io"])


def _prepare(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    for place in _DATA:
        memory.write_integer(place * WORD, WORD, _word(random))
    for place in (CALL + 1, UNASSIGNED + 1, INTERRUPT):
        memory.write_integer(place * WORD, WORD, random.choice(_CODE))
    state["relocates_executive"] = setting.fixed["relocates_executive"].value
    state["user_io"] = random.random() < 0.1
    state["relocation"] = random.choice((0, 0, 0, random.randrange(_BLOCKS), random.getrandbits(8)))
    state["protection"] = random.choice((_BLOCKS, _BLOCKS, random.randrange(_BLOCKS), 0xFF))
    state["pc"] = random.choice(_CODE)
    for index in range(16):
        if random.random() < 0.8:
            state["ac", index] = _word(random)


KIT = Kit(
    embedding=RelocationBounds({"relocation": "protection"}, last=True, active=_relocates),
    memory=_BLOCKS * _BLOCK * WORD,
    code=range(_CODE.start * WORD, _CODE.stop * WORD),
    alignment=_BLOCK * WORD,
    cell=WORD,
    prepare=_prepare,
    interpreted=_has_user_io,
    likely={"i": (0, 0, 0, 1), "x": (0, 0, 0, *range(16)), "device": (APR, PI, 2)},
)
