"""Address translation, put to the solver: what the verdicts on mapped memory take for granted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.isas.toy import MODEL as TOY
from hypernest.analysis.models.riscv64 import MODEL
from hypernest.analysis.results import Answer
from hypernest.analysis.translation import TranslationVerdict, translations
from hypernest.isa.hart import Hart, Routine, Trap, routine
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.riscv.traps import Cause
from hypernest.isa.word import Word

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN
SECONDS = 120.0
S_IN_U = MODEL.setting("s-in-u")


@pytest.mark.parametrize(
    ("setting", "differs"),
    [
        ("s-in-u", NO),  # the same tables, in two modes: U, SUM and MXR decide about faults only
        ("m-in-u", YES),  # M-mode does not translate
    ],
)
def test_riscv(setting: str, differs: Answer) -> None:
    found = translations(MODEL, MODEL.setting(setting), SECONDS)
    assert [each.access for each in found] == ["read", "write", "execute"]
    assert [(each.differs, each.permits) for each in found] == [(differs, YES)] * 3


def translated_by(walk: Routine) -> TranslationVerdict:
    found = translations(replace(MODEL, isa=replace(MODEL.isa, translate=walk)), S_IN_U, SECONDS)
    assert len({(each.differs, each.permits) for each in found}) == 1
    return found[0]


@routine(arguments=(64, 64), results=(64,))
def by_mode(h: Hart, address: Word, access: Word) -> Word:
    """A map of its own for each mode, as in machines with a register of it for user and one for supervisor."""
    if h.priv == Privilege.USER:
        return address + 0x1000
    return address


@routine(arguments=(64, 64), results=(64,))
def marking(h: Hart, address: Word, access: Word) -> Word:
    """A walk that leaves a trace of the mode in memory."""
    if h.priv == Privilege.USER:
        h.physical_store(address, h.satp)
    return address


@routine(arguments=(64, 64), results=(64,))
def fenced(h: Hart, address: Word, access: Word) -> Word:
    if h.priv == Privilege.USER:
        raise Trap(Cause.LOAD_ACCESS_FAULT, address)
    return address


@routine(arguments=(64, 64), results=(64,))
def alike(h: Hart, address: Word, access: Word) -> Word:
    return address ^ h.satp


def test_a_map_that_the_mode_chooses_is_found() -> None:
    found = translated_by(by_mode)
    assert (found.differs, found.permits) == (YES, NO)
    assert str(found).startswith("to read reaches different addresses in the two modes")


def test_what_a_walk_writes_counts() -> None:
    assert translated_by(marking).differs is YES


def test_who_may_access_is_another_question() -> None:
    found = translated_by(fenced)
    assert (found.differs, found.permits) == (NO, YES)
    assert str(found).endswith("may fault in one mode only, which a monitor sees as a memory trap")


def test_a_map_for_all_modes() -> None:
    found = translated_by(alike)
    assert (found.differs, found.permits) == (NO, NO)
    assert (
        str(found) == "to read reaches the same address in both modes wherever neither faults, and faults in both alike"
    )


def test_what_takes_too_long_is_said() -> None:
    found = translations(MODEL, S_IN_U, 0.001)[0]
    assert found.differs is UNKNOWN
    assert "the solver did not finish" in str(found)


def test_relocation_is_followed_by_the_instructions_themselves() -> None:
    assert translations(TOY, TOY.settings[0], SECONDS) == ()
