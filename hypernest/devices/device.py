"""What every device has in common: registers as a table, behaviour, and a state apart from both.

A device is a class with three parts. `registers` lists what the guest can touch; an access that no row allows is a
`BusError`, which the hart sees as an access fault. For the row called `name`, the methods `read_name` and `write_name`
say what an access does; where one is missing the register is plain storage, the field `name` of the state. `state` is
a data class with all that changes while the machine runs, so that copying it is a snapshot and `restore` the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Flag
from functools import partial
from typing import Any, ClassVar, Protocol

from hypernest.devices.tree import INTERRUPT_CONTROLLER, Phandle, TreeNode, Value, cells64

Output = Callable[[bytes], None]
"""A character back end: takes what the guest wrote. It must not raise."""


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
    reach its parts. A row with `count` above 1 is an array with `stride` bytes from one element to the next; its
    methods get the index as first argument. `reset` is what it reads before the guest has written anything.
    """

    offset: int
    name: str
    sizes: tuple[int, ...]
    access: Access
    doc: str
    reset: int = 0
    count: int = 1
    stride: int = 0

    @property
    def width(self) -> int:
        return max(self.sizes)


@dataclass(slots=True)
class NoState:
    """The state of a device in which nothing changes."""


Reader = Callable[[], int]
Writer = Callable[[int], None]


class RegisterFile:
    """A register table joined to the methods that implement it: the dispatch of every device.

    `owner` supplies `read_…`, `write_…` and `state`. The table is expanded once into a dictionary of callables, so
    that an access costs one look-up.
    """

    def __init__(self, owner: Any, registers: tuple[Register, ...]) -> None:
        self._readers: dict[tuple[int, int], Reader] = {}
        self._writers: dict[tuple[int, int], Writer] = {}
        self._owner = owner
        for register in registers:
            for index in range(register.count):
                self._expand(register, index)

    def _expand(self, register: Register, index: int) -> None:
        read, write = self._whole(register, index)
        start = register.offset + index * register.stride
        for size in register.sizes:
            for part in range(0, register.width, size):
                key = start + part, size
                whole = size == register.width
                if Access.READ in register.access:
                    assert key not in self._readers, f"two registers answer reads at {start + part:#x}"
                    self._readers[key] = read if whole else partial(_read_part, read, part, size)
                if Access.WRITE in register.access:
                    assert key not in self._writers, f"two registers answer writes at {start + part:#x}"
                    self._writers[key] = write if whole else partial(_write_part, read, write, part, size)

    def _whole(self, register: Register, index: int) -> tuple[Reader, Writer]:
        """The accesses to the whole register; what a write-only register holds counts as zero."""
        owner, name = self._owner, register.name
        read = getattr(owner, f"read_{name}", None)
        write = getattr(owner, f"write_{name}", None)
        if register.count > 1:
            read = partial(read, index) if read else lambda: getattr(owner.state, name)[index]
            write = partial(write, index) if write else lambda value: getattr(owner.state, name).__setitem__(index, value)
        elif Access.READ not in register.access:
            read = _zero
        return (
            read or (lambda: getattr(owner.state, name)),
            write or (lambda value: setattr(owner.state, name, value)),
        )

    def read(self, offset: int, size: int) -> int:
        """What the guest reads; raises `BusError` when no row allows this access."""
        reader = self._readers.get((offset, size))
        if reader is None:
            raise BusError(f"{type(self._owner).__name__}: no register for a read of {size} bytes at {offset:#x}")
        return reader()

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the low `size` bytes of `value`; raises `BusError` when no row allows this access."""
        writer = self._writers.get((offset, size))
        if writer is None:
            raise BusError(f"{type(self._owner).__name__}: no register for a write of {size} bytes at {offset:#x}")
        writer(value & ((1 << 8 * size) - 1))


def _zero() -> int:
    return 0


def _read_part(read: Reader, part: int, size: int) -> int:
    return read() >> 8 * part & ((1 << 8 * size) - 1)


def _write_part(read: Reader, write: Writer, part: int, size: int, value: int) -> None:
    mask = (1 << 8 * size) - 1
    write(read() & ~(mask << 8 * part) | value << 8 * part)


class Device:
    """Base of everything that hangs on the bus. Subclasses set `state` before they call `super().__init__()`."""

    registers: tuple[Register, ...] = ()
    """The register table; a class attribute unless it depends on how the device was built."""

    size: ClassVar[int] = 0x1000
    """Bytes of address space that the device occupies."""

    state: Any

    tree_name: ClassVar[str] = ""
    """Generic name of the device's node in the device tree."""

    tree_label: ClassVar[str] = ""
    """Label by which other nodes refer to this device's node, if any do."""

    tree_alias: ClassVar[str] = ""
    """Prefix of the alias that the device gets under /aliases (`serial` gives `serial0`), or none."""

    compatible: ClassVar[tuple[str, ...]] = ()
    """What the kernel chooses a driver by, most specific first."""

    def __init__(self) -> None:
        self._file = RegisterFile(self, self.registers)
        self.read: Callable[[int, int], int] = self._file.read
        self.write: Callable[[int, int, int], None] = self._file.write

    def update(self) -> None:
        """Drive the interrupt lines from the state and the time; called when either may have changed."""

    def restore(self, state: Any) -> None:
        """Continue from `state`, an object of this device's state class, and drive the lines accordingly."""
        self.state = state
        self.update()

    def next_deadline(self) -> int | None:
        """Guest time in nanoseconds at which `update` must be called next, or None if time alone changes nothing."""
        return None

    def tree_properties(self) -> Mapping[str, Value]:
        """Properties of the device's node besides `compatible`, `reg` and `interrupts`."""
        return {}

    def tree_node(self, base: int, interrupt: int | None = None) -> TreeNode:
        """The device's node under /soc when it sits at `base` and raises `interrupt`."""
        properties: dict[str, Value] = {"compatible": self.compatible, "reg": cells64(base, self.size)}
        if interrupt is not None:
            properties |= {"interrupts": interrupt, "interrupt-parent": Phandle(INTERRUPT_CONTROLLER)}
        return TreeNode(f"{self.tree_name}@{base:x}", properties | dict(self.tree_properties()), label=self.tree_label)

    def tree_root_nodes(self) -> list[TreeNode]:
        """Nodes that the device adds to the root of the tree, outside /soc."""
        return []
