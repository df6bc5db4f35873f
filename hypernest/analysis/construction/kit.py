"""What building a monitor and trying it out needs to know of an ISA beyond its description and its `MachineModel`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from hypernest.analysis.construction.embedding import EmbeddingFactory
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import Setting
from hypernest.engines.hart_state import HartState

Prepare = Callable[[Random, HartState, Storage, Setting], None]


def unprepared(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    """Random states and memory are good enough."""


def nothing(state: HartState) -> bool:
    """The setting's user mode is what its bits in the state say."""
    return False


@dataclass(frozen=True, kw_only=True)
class Kit:
    """For one family of ISAs: how a virtual machine is embedded, and what a sensible random program looks like.

    Sizes are in bytes. Random bytes are put in all of the memory, random instructions in `code`, addresses and numbers
    in the registers that are the program's; the others are as at reset. `prepare` then sets what such values seldom
    make sense for: the resources, vectors, tables and the program counter. The mode is in the state already.
    """

    embedding: EmbeddingFactory
    memory: int  # of a virtual machine in a trial
    code: range  # where its instructions are
    own: int = 0  # what a monitor needs of the memory below for itself
    alignment: int = 8  # of the places of both
    cell: int = 1  # from one address to the next
    prepare: Prepare = unprepared
    interpreted: Callable[[HartState], bool] = nothing
    """Virtual states in the setting's user mode that are not of the kind which the setting deprivileges to."""
    preferred: frozenset[str] = (
        frozenset()
    )  # rows to be in programs more often, besides those that trap or are sensitive
    likely: Mapping[str, Sequence[int]] = field(default_factory=dict)  # values of a field that are worth trying
