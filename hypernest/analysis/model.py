"""An ISA seen as the machine of Popek and Goldberg (1974, section 2): S = <E, M, P, R>.

The description of an ISA says what instructions do. A `MachineModel` says which part of the state plays which part in
the paper: E is memory, M the mode, P the program counter, R the relocation-bounds register. Two things in it go beyond
the paper, because the machines do:

* Registers for control (trap vectors, interrupt enables, tables' addresses) stand beside R as *resources*: whoever
  holds them holds the machine, so a monitor must (Robin and Irvine's rules 3B and 3C; Penneman's configuration
  registers).
* With paging there is no register that relocates. There the location is the address map itself (`Memory.MAPPED`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from hypernest.isa.isa import Isa
from hypernest.isa.trace import Bits

if TYPE_CHECKING:
    from hypernest.analysis.concrete import ConcreteState
    from hypernest.analysis.construction.kit import Kit

Rule = Callable[[Any], Any]  # of a register's value, an int or a `Word`: may a register hold it?


class Memory(Enum):
    """What "the same program at another place" means (section 3, behavior sensitive: <e|r> and <e|r+x>)."""

    RELOCATED = "relocated"
    """The paper's definition to the letter. Accesses go through the ISA's own relocation to physical memory, and the
    state compared with has all of memory, and what points there, shifted by x."""
    MAPPED = "mapped"
    """The extension to paging. E|R is memory as the program sees it through its address map. The two states show the
    same there, whatever their maps are; which accesses fault may differ, and such pairs are left out as memory traps.
    What translation structures hold differs, so reading one shows the location, and writing one changes the map."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A question: may software written for one mode run in another, under these control bits?"""

    name: str
    title: str
    summary: str = ""
    supervisor: str = "supervisor"  # the mode that the software was written for
    user: str = "user"  # the mode it is run in by a monitor
    fixed: Mapping[str, Bits] = field(
        default_factory=dict
    )  # control bits the monitor has set, in every register of the name
    tables_guarded: bool = True  # MAPPED: accesses to translation structures fault, as a monitor arranges
    expected: str = ""  # what the literature says, with its source


@dataclass(frozen=True, kw_only=True)
class MachineModel:
    """Which part of an ISA's state is what in the paper's <E, M, P, R>, and the questions to ask of it.

    Masks are by register name and hold for each register of a file. Raises ValueError on names that the ISA lacks.
    """

    isa: Isa
    title: str
    summary: str = ""
    modes: Mapping[str, Mapping[str, Bits]]  # M: the bits that are the mode, and what they are in each
    resources: Mapping[str, int]  # R: bits of the map and of control; a change without a trap is control sensitivity
    configuration: Mapping[str, int] = field(default_factory=dict)
    """The resources in which a virtual machine's real state may differ arbitrarily from the virtual one (a subset of
    `resources`). The others only ever differ as `shifted` says."""
    shifted: frozenset[str] = frozenset()  # registers that hold a real address: relocation by x adds x
    cell: int = 1  # bytes of memory that one address of the program stands for
    unit: int = 1  # bytes of memory that relocation by 1 moves
    granule: int = 1  # relocation moves by multiples of this: a page, where memory is MAPPED
    memory: Memory = Memory.RELOCATED
    memory_size: int = 1 << 32  # bytes: physical memory is [0, memory_size)
    memory_traps: frozenset[int] = frozenset()  # causes of traps that the definitions leave out of consideration
    legal: Mapping[str, int] = field(default_factory=dict)  # the bits that a register can have; all where not listed
    rules: Mapping[str, Rule] = field(default_factory=dict)  # what else must hold of a register's value
    invariant: Callable[[Callable[[str], Any]], Iterable[Any]] | None = None
    """What else must hold between registers that stand alone: conditions on what the given function gives by name."""
    variants: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Operands by whose values an instruction is several (CSR numbers), with the name of each value."""
    ignored: frozenset[str] = frozenset()  # registers that belong to the engine or the board, which no program sees
    settings: tuple[Setting, ...]
    realize: Callable[[ConcreteState], None] | None = None
    """MAPPED: give a concrete state page tables, so that the program sees `ConcreteState.seen` through them."""
    kit: Kit | None = None
    """What building a monitor needs besides (`analysis.construction`); without it none is built."""

    def __post_init__(self) -> None:
        registers = self.isa.registers_by_name
        for what in (*self.modes.values(), self.resources, self.configuration, self.legal, self.rules,
                     *(setting.fixed for setting in self.settings)):  # fmt: skip
            for name in what:
                if name not in registers:
                    raise ValueError(f"{self.isa.name} has no register {name!r}")
        for name in (*self.shifted, *self.ignored):
            if name not in registers:
                raise ValueError(f"{self.isa.name} has no register {name!r}")
        for setting in self.settings:
            for mode in (setting.supervisor, setting.user):
                if mode not in self.modes:
                    raise ValueError(f"setting {setting.name} names the mode {mode!r}, which {self.isa.name} lacks")
        for name, mask in self.configuration.items():
            if mask & ~self.resources.get(name, 0):
                raise ValueError(f"configuration bits of {name} are no resources")

    @property
    def relocates(self) -> bool:
        """Can a program be elsewhere? Behind a map always; else only if a register says where."""
        return bool(self.shifted) or self.memory is Memory.MAPPED

    def setting(self, name: str) -> Setting:
        """The setting of this name. KeyError if there is none."""
        return {each.name: each for each in self.settings}[name]

    def mode_mask(self, register: str) -> int:
        """The bits of a register that are part of the mode."""
        mask = 0
        for bits in self.modes.values():
            mask |= bits[register].mask if register in bits else 0
        return mask
