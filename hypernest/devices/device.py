"""What every device has in common: registers as a table, behaviour, and a state apart from both.

A device is a class with three parts. `registers` lists what the guest can touch; an access that no row allows is a
`BusError`, which the hart sees as an access fault. For the row called `name`, the methods `read_name` and `write_name`
say what an access does; where one is missing the register is plain storage, the field `name` of the state, or if there
is no such field the constant `reset`. `state` is a data class with all that changes while the machine runs, so that
copying it is a snapshot and `restore` the way back: integers of 64 bits, bytes, lists and data classes of these.

The board's own devices are given what they need of the outside when they are made; others, that a user adds, find it in
`clock`, `interrupt` and `memory` once they are on a board (docs/devices.md).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Flag
from functools import partial
from typing import Any, ClassVar, Protocol

from hypernest.devices.direct_memory import DirectMemory
from hypernest.devices.tree import INTERRUPT_CONTROLLER, Phandle, TreeNode, Value, cells64

Output = Callable[[bytes], None]
"""A character back end: takes what the guest wrote. It must not raise."""


NEVER = 1 << 63
"""Guest time (292 years on) that does not come: deadlines from here on are none, and all others fit 63 bits."""


class BusError(Exception):
    """An access that no device or no register answers; the hart takes an access fault."""


class InterruptLine(Protocol):
    """A wire that carries an interrupt request to whatever is at its other end."""

    def set(self, level: bool) -> None:
        """Drive the wire; setting the level it already has must be harmless."""


@dataclass(slots=True)
class Wire:
    """An interrupt line that only remembers its level: for lines nobody listens to, and for tests."""

    level: bool = False

    def set(self, level: bool) -> None:
        self.level = level


class Clock(Protocol):
    """The machine's time."""

    def now(self) -> int:
        """Nanoseconds of guest time since the machine was switched on; never decreases."""


class Access(Flag):
    """What the guest may do with a register."""

    READ = 1
    WRITE = 2
    READ_WRITE = 3


@dataclass(frozen=True, slots=True)
class Register:
    """One row of a register table: what the guest finds at `offset`.

    `sizes` are the access sizes in bytes that the register takes; it is as wide as the largest, and smaller accesses
    reach its parts. A row with a `count` is an array with `stride` bytes from one element to the next; its methods get
    the index, counted from `first`, as first argument. `reset` is what it reads before the guest has written anything.
    """

    offset: int
    name: str
    sizes: tuple[int, ...]
    access: Access
    doc: str
    reset: int = 0
    count: int = 0
    stride: int = 0
    first: int = 0

    @property
    def width(self) -> int:
        return max(self.sizes)


@dataclass(slots=True)
class NoState:
    """The state of a device in which nothing changes."""


Reader = Callable[[], int]
Writer = Callable[[int], None]


class RegisterFile:
    """Register tables joined to the methods that implement them: the dispatch of every device.

    The tables are expanded into a dictionary of callables at the first access that is not in it, so that an access
    costs one look-up, and a device that nobody touches nothing.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._readers: dict[tuple[int, int], Reader] = {}
        self._writers: dict[tuple[int, int], Writer] = {}
        self._added: list[tuple[Any, tuple[Register, ...], int]] = []

    def add(self, owner: Any, registers: tuple[Register, ...], at: int = 0) -> None:
        """Let `owner` (its `read_…` and `write_…` methods and its `state`) answer for `registers`, moved up by `at`."""
        self._added.append((owner, registers, at))

    def expand(self) -> bool:
        """Look at what was added. False if there was nothing."""
        found, self._added = self._added, []
        for owner, registers, at in found:
            self._expand_all(owner, registers, at)
        return bool(found)

    def _expand_all(self, owner: Any, registers: tuple[Register, ...], at: int) -> None:
        for register in registers:
            for element in range(register.count or 1):
                read, write = _accesses(owner, register, register.first + element)
                self._expand(register, at + register.offset + element * register.stride, read, write)

    def _expand(self, register: Register, start: int, read: Reader, write: Writer | None) -> None:
        for size in register.sizes:
            for part in range(0, register.width, size):
                key = start + part, size
                whole = size == register.width
                if Access.READ in register.access:
                    assert key not in self._readers, f"{self._name}: two registers answer reads at {key[0]:#x}"
                    self._readers[key] = read if whole else partial(_read_part, read, part, size)
                if Access.WRITE in register.access:
                    assert key not in self._writers, f"{self._name}: two registers answer writes at {key[0]:#x}"
                    assert write is not None, f"{self._name}: nothing implements writes to {register.name}"
                    self._writers[key] = write if whole else partial(_write_part, read, write, part, size)

    def read(self, offset: int, size: int) -> int:
        """What the guest reads; raises `BusError` when no row allows this access."""
        reader = self._readers.get((offset, size))
        if reader is None and self.expand():
            reader = self._readers.get((offset, size))
        if reader is None:
            raise BusError(f"{self._name}: no register for a read of {size} bytes at {offset:#x}")
        return reader()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value`; raises `BusError` when no row allows this access."""
        writer = self._writers.get((offset, size))
        if writer is None and self.expand():
            writer = self._writers.get((offset, size))
        if writer is None:
            raise BusError(f"{self._name}: no register for a write of {size} bytes at {offset:#x}")
        writer(value & ((1 << 8 * size) - 1))


def _accesses(owner: Any, register: Register, index: int) -> tuple[Reader, Writer | None]:
    """How to read and write one whole register; what a write-only one holds counts as its reset value."""
    name = register.name
    read: Any = getattr(owner, f"read_{name}", None)
    write: Any = getattr(owner, f"write_{name}", None)
    if register.count:
        read, write = read and partial(read, index), write and partial(write, index)
    if hasattr(owner.state, name):
        if register.count:
            read = read or (lambda: getattr(owner.state, name)[index])
            write = write or (lambda value: operator.setitem(getattr(owner.state, name), index, value))
        else:
            read = read or (lambda: getattr(owner.state, name))
            write = write or (lambda value: setattr(owner.state, name, value))
    if read is None or Access.READ not in register.access:
        read = partial(int, register.reset)
    return read, write


def _read_part(read: Reader, part: int, size: int) -> int:
    return read() >> 8 * part & ((1 << 8 * size) - 1)


def _write_part(read: Reader, write: Writer, part: int, size: int, value: int) -> None:
    mask = (1 << 8 * size) - 1
    write(read() & ~(mask << 8 * part) | value << 8 * part)


class StateOwner(Protocol):
    """What has a state that snapshots keep: a data class of integers that fit 64 bits, bytes, lists and the like."""

    state: Any


class Device:
    """Base of everything that hangs on the bus. Subclasses set `state` before they call `super().__init__()`; without
    one, nothing of the device changes."""

    registers: tuple[Register, ...] = ()
    """The register table; a class attribute unless it depends on how the device was built."""

    size: ClassVar[int] = 0x1000
    """Bytes of address space that the device occupies."""

    state: Any

    clock: Clock
    """The machine's time, for a device that was added to a board."""

    interrupt_line: InterruptLine
    """Its interrupt, for a device that was added to a board; `interrupt` drives it."""

    memory: DirectMemory
    """The guest's RAM, for a device that was added to a board."""

    tree_name: ClassVar[str] = ""
    """Generic name of the device's node in the device tree; by default that of the class, in small letters."""

    tree_label: ClassVar[str] = ""
    """Label by which other nodes refer to this device's node, if any do."""

    tree_alias: ClassVar[str] = ""
    """Prefix of the alias that the device gets under /aliases (`serial` gives `serial0`), or none."""

    compatible: ClassVar[tuple[str, ...]] = ()
    """What the kernel chooses a driver by, most specific first."""

    def __init__(self) -> None:
        if not hasattr(self, "state"):
            self.state = NoState()
        self._file = RegisterFile(type(self).__name__)
        self._file.add(self, self.registers)
        self.read: Callable[[int, int], int] = self._file.read
        self.write: Callable[[int, int, int], None] = self._file.write

    def connect(self, clock: Clock, line: InterruptLine, memory: DirectMemory) -> None:
        """The device was added to a board, which gives it these."""
        self.clock, self.interrupt_line, self.memory = clock, line, memory

    def interrupt(self, level: bool) -> None:
        """Ask for the hart's attention, or no longer: the line stays as it is driven. For devices added to a board."""
        self.interrupt_line.set(level)

    def check_tables(self) -> None:
        """AssertionError if the tables contradict themselves or the methods, which the first access tells otherwise."""
        self._file.expand()

    def update(self) -> None:
        """Drive the interrupt lines from the state and the time; called when either may have changed."""

    def state_owners(self) -> tuple[StateOwner, ...]:
        """All objects whose `state` together is that of the device: itself, and what is plugged into it."""
        return (self,)

    def restore(self, *states: Any) -> None:
        """Continue from `states`, one of the class of each owner's state, and drive the lines accordingly."""
        for owner, state in zip(self.state_owners(), states, strict=True):
            owner.state = state
        self.update()

    def next_deadline(self) -> int | None:
        """Guest time in nanoseconds at which `update` must be called next, or None if time alone changes nothing."""
        return None

    def tree_properties(self) -> Mapping[str, Value]:
        """Properties of the device's node besides `compatible`, `reg` and `interrupts`."""
        return {}

    def tree_node(self, base: int, interrupt: int | None = None) -> TreeNode:
        """The device's node under /soc when it sits at `base` and raises `interrupt`."""
        properties: dict[str, Value] = {"compatible": self.compatible} if self.compatible else {}
        properties["reg"] = cells64(base, self.size)
        if interrupt is not None:
            properties |= {"interrupts": interrupt, "interrupt-parent": Phandle(INTERRUPT_CONTROLLER)}
        name = self.tree_name or type(self).__name__.lower()
        return TreeNode(f"{name}@{base:x}", properties | dict(self.tree_properties()), label=self.tree_label)

    def tree_root_nodes(self) -> list[TreeNode]:
        """Nodes that the device adds to the root of the tree, outside /soc."""
        return []
