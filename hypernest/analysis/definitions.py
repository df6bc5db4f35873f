"""Popek and Goldberg's definitions (1974, section 3), stated of runs of an instruction.

A run is a state before and a state after. The functions here work on expressions, for the solver, and on constants, to
check on the reference engine what the solver said: the same lines decide both.

Two readings are the paper's intention rather than its letter, and are taken here:
* A change of mode or map by a *trap* does not count as sensitivity: it is what hands control to the monitor.
* Pairs in which a run traps, for whatever reason, say nothing about behaviour: the monitor sees the trap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hypernest.analysis.content import Content, Reader
from hypernest.analysis.model import MachineModel
from hypernest.analysis.states import ENGINE_OWN, MEMORY, WAITING
from hypernest.analysis.symbolic_state import SymbolicState
from hypernest.isa.word import Word, word

_STAYS, _SAME = word(0), word(0, 1)


@dataclass(frozen=True)
class Outcome:
    """A run: where it began and ended, and how far its real addresses are from those of the first run of the pair."""

    model: MachineModel
    before: SymbolicState
    after: SymbolicState
    shift: Word
    reader: Reader

    @property
    def memory_trapped(self) -> Word:
        """Did it end in a memory trap (section 2)? The definitions leave such states out."""
        is_one = word(0, 1)
        for cause in sorted(self.model.memory_traps):
            is_one = is_one | (self.after.cause == cause)
        return self.after.trap & is_one

    @property
    def completed(self) -> Word:
        """It did not trap at all."""
        return ~self.after.trap


@dataclass(frozen=True)
class Probes:
    """The place of each file of registers and of memory at which contents are compared.

    An unknown place stands for "at some place": the solver looks for one.
    """

    places: dict[str, Word]

    def of(self, name: str) -> Word:
        return self.places[name]


# --- section 3, "privileged" ------------------------------------------------------------------------------------------


# "For any pair of states S1 = <e, s, p, r>, S2 = <e, u, p, r> for which i(S1) and i(S2) do not memory trap", i(S2)
# traps and i(S1) does not. In the paper both memory trap or none does, as r is the same. Where the mode matters to
# that, each half is asked of the run that it speaks of, whatever the other does: so fewer instructions are privileged.


def runs_in_user_mode(user: Outcome) -> Word:
    """Contradicts "i(S2) traps": in user mode it completes."""
    return user.completed


def traps_in_supervisor_mode(supervisor: Outcome, unrelated: Outcome) -> Word:
    """Contradicts "i(S1) does not" trap: in supervisor mode it does, and it is no memory trap.

    An encoding that never completes in supervisor mode (a write of a read-only register) is none of the machine's
    instructions, so there must be a state, `unrelated` but for the instruction, in which it does.
    """
    return supervisor.after.trap & ~supervisor.memory_trapped & unrelated.completed


# --- section 3, "control sensitive" -----------------------------------------------------------------------------------


def control_sensitive(run: Outcome, probes: Probes) -> Word:
    """It completes, and (a) r1 != r2 or (b) m1 != m2: the mode, the map or another resource has changed."""
    if run.completed.value == 0:
        return run.completed
    changed = run.before.tables != run.after.tables
    for name, mask in _resource_masks(run.model).items():
        one = _differs(name, mask, run.before, run.after, _STAYS, run.reader, probes)
        changed = changed if one.value == 0 else changed | one
    return run.completed & changed


def _resource_masks(model: MachineModel) -> dict[str, int]:
    names = dict.fromkeys((*model.resources, *(name for mode in model.modes.values() for name in mode), WAITING))
    return {name: _owned(model, name) for name in names}


def _owned(model: MachineModel, name: str) -> int:
    """The bits of a register that belong to whoever holds the machine."""
    return 1 if name == WAITING else model.resources.get(name, 0) | model.mode_mask(name)


# --- section 3, "behavior sensitive" ----------------------------------------------------------------------------------


def behaviour_sensitive(first: Outcome, second: Outcome, probes: Probes) -> Word:
    """Both complete, and (a) the memory that the program sees, or its registers, or (b) P differ afterwards.

    *Location sensitive* for states at different places in the same mode, *mode sensitive* for different modes at the
    same place.
    """
    completed, differs = first.completed & second.completed, word(0, 1)
    if completed.value == 0:
        return completed
    for name in visible(first.model, first.after):
        one = result_differs(name, first, second, probes)
        differs = differs if one.value == 0 else differs | one
    return completed & differs


def visible(model: MachineModel, state: SymbolicState) -> list[str]:
    """What a program has of its own: the names of registers that are not all resources, and memory."""
    names = [name for name in (*state.registers, *state.files) if name not in ENGINE_OWN | model.ignored]
    return [*names, MEMORY]


def result_differs(name: str, first: Outcome, second: Outcome, probes: Probes) -> Word:
    """Does a register or memory, seen from the program, differ after the two runs?"""
    model, every = first.model, -1
    shift = second.shift - first.shift if name in model.shifted else _STAYS
    return _differs(name, every & ~_owned(model, name), first.after, second.after, shift, first.reader, probes)


def _differs(
    name: str, mask: int, first: SymbolicState, second: SymbolicState, shift: Word, reader: Reader, probes: Probes
) -> Word:
    if name in first.registers:
        one, other = first.registers[name], second.registers[name]
    else:
        contents = _contents(name, first), _contents(name, second)
        if contents[0] is contents[1]:
            return _SAME
        one, other = (reader.read(content, probes.of(name)) for content in contents)
    if shift is _STAYS and (one is other or (one.value is not None and one.value == other.value)):
        return _SAME
    if shift.value != 0:
        other = other - shift.trunc(other.width)
    kept = mask & ((1 << one.width) - 1)
    return (one & kept) != (other & kept)


def _contents(name: str, state: SymbolicState) -> Content:
    return state.memory if name == MEMORY else state.files[name]


def control_places(run: Outcome, places: Mapping[str, set[int]]) -> list[tuple[str, int]]:
    """The registers of a concrete run in which resources or the mode changed, by name and number."""
    return [
        (name, at)
        for name, mask in _resource_masks(run.model).items()
        for at in sorted(places.get(name, {0}))
        if _differs(name, mask, run.before, run.after, word(0), run.reader, Probes({name: word(at)})).value == 1
    ]
