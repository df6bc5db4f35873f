"""Starting a guest: where its files go in memory, and in what state the harts begin.

Addresses are those that QEMU's `virt` board uses, because firmware and small kernels have them built in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Protocol

from hypernest.devices.device import BusError, Device
from hypernest.errors import BadConfiguration, BadImage
from hypernest.isa.riscv.state import Privilege
from hypernest.machine.board import RAM, RESET_ROM, Board
from hypernest.machine.boot_files import BootFile, Program, Source, read_program
from hypernest.machine.configuration import LARGEST_MEMORY
from hypernest.memory import GuestMemory

KERNEL_OFFSET = 0x20_0000
_LARGE_PAGE = 0x20_0000
_HIGHEST_TREE = 3 << 30  # firmware wants the device tree below this
_FARTHEST_INITRD = 512 << 20
_TREE_ROOM = 0x1_0000  # firmware edits the device tree in place
_PAGE = 4096

_DYNAMIC_INFO = Struct("<6Q")  # OpenSBI, include/sbi/fw_dynamic.h
_DYNAMIC_MAGIC, _DYNAMIC_VERSION, _DYNAMIC_AT = 0x4942_534F, 2, 0x40

# QEMU's: everything behind it is reached relative to pc.
_RESET_CODE = """
    auipc t0, 0
    addi  a2, t0, 0x40
    csrr  a0, mhartid
    ld    a1, 0x20(t0)
    ld    t0, 0x18(t0)
    jr    t0
"""


@dataclass(frozen=True, slots=True)
class BootPlan:
    """What boots: a kernel or a firmware or both, initrds to concatenate, the kernel command line."""

    kernel: Source | None
    initrds: tuple[Source, ...]
    append: str
    firmware: Source | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was loaded: `what` it is, and the guest-physical address of its first segment."""

    source: Source
    what: str
    address: int


class Monitor(Protocol):
    """What starts the kernel when no firmware does."""

    def start(self, hart: int, address: int, argument: int) -> None:
        """Let a stopped hart begin at `address` in S-mode, with its number in a0 and `argument` in a1."""


def boot(board: Board, plan: BootPlan, monitor: Monitor | None) -> tuple[Loaded, ...]:
    """Load what `plan` says and prepare the harts. Without a firmware, `monitor` starts the kernel.

    Returns the firmware and the kernel, as far as there are such.

    Raises `BadImage` for files that are damaged or do not fit into memory.
    """
    firmware = kernel = None
    occupied: list[tuple[int, int]] = []
    kernel_address = RAM + KERNEL_OFFSET
    if plan.firmware is not None:
        firmware = read_program(plan.firmware, "firmware", RAM, RAM)
        occupied += _load(board.memory, firmware)
        kernel_address = max(kernel_address, _align_up(firmware.end, _LARGE_PAGE))
    if plan.kernel is not None:
        kernel = read_program(plan.kernel, "kernel", RAM, kernel_address)
        occupied += _load(board.memory, kernel, occupied)
    end = max(end for _, end in occupied)

    tree_address = _align_down(min(board.memory.end, _HIGHEST_TREE) - _TREE_ROOM, _LARGE_PAGE)
    if tree_address < end:
        tree_address = _align_down(board.memory.end - _TREE_ROOM, _PAGE)
    initrd = _load_initrds(board.memory, plan.initrds, end, tree_address)
    tree = board.device_tree(plan.append, initrd)
    if tree_address < (initrd[1] if initrd else end):
        advice = _advice(board.memory, end, initrd[1] if initrd else end)
        raise BadImage(f"the kernel leaves no room for the device tree; {advice}")
    if tree_address + len(tree) > board.memory.end or len(tree) > _TREE_ROOM:
        raise BadConfiguration(f"the kernel command line of {len(plan.append)} characters is too long: shorten it")
    board.memory.write(tree_address, tree)

    if firmware is not None:
        _start_firmware(board, firmware.entry, kernel.entry if kernel is not None else 0, tree_address)
    else:
        assert monitor is not None and kernel is not None, "a kernel without firmware needs a monitor"
        monitor.start(0, kernel.entry, tree_address)
    parts = ((plan.firmware, "firmware", firmware), (plan.kernel, "kernel", kernel))
    return tuple(Loaded(source, what, part.segments[0].address) for source, what, part in parts if source and part)


def _align_up(address: int, unit: int) -> int:
    return -(-address // unit) * unit


def _align_down(address: int, unit: int) -> int:
    return address // unit * unit


def _load(memory: GuestMemory, program: Program, occupied: Sequence[tuple[int, int]] = ()) -> list[tuple[int, int]]:
    """Store the segments of `program`; returns what they occupy."""
    for segment in program.segments:
        end = segment.address + segment.size
        if not memory.contains(segment.address, segment.size):
            raise program.file.bad(
                f"does not fit: it needs {segment.address:#x} to {end:#x}, and memory is {memory.base:#x} to"
                f" {memory.end:#x}; {_advice(memory, segment.address, end)}"
            )
        if any(segment.address < other_end and start < end for start, other_end in occupied):
            raise program.file.bad("overlaps the firmware: link it elsewhere")
        _copy(memory, program.file, segment.offset, segment.count, segment.address)
    return [(segment.address, segment.address + segment.size) for segment in program.segments]


def _advice(memory: GuestMemory, start: int, end: int) -> str:
    """What to do about something that needs `start` to `end`, with room behind it for a device tree."""
    highest = memory.base + LARGEST_MEMORY - 2 * _LARGE_PAGE
    if not memory.base <= start < highest:
        return "link it elsewhere"
    if end > highest:
        return "no machine has that much, give a smaller one"
    size = _align_up(end - memory.base, _LARGE_PAGE) + 2 * _LARGE_PAGE
    return f"give the machine more memory: --memory {size >> 20}M would do"


def _copy(memory: GuestMemory, file: BootFile, offset: int, count: int, address: int) -> None:
    for data in file.chunks(offset, count):
        memory.write(address, data)
        address += len(data)


def _load_initrds(memory: GuestMemory, sources: Sequence[Source], lowest: int, end: int) -> tuple[int, int] | None:
    """Store the initrds one behind the other, at QEMU's place if they fit there; (first address, end), or None."""
    files = [BootFile(source, "initrd", packed=True) for source in sources]
    if not files:
        return None
    size = sum(_align_up(file.size, 4) for file in files)
    start = max(memory.base + min(memory.size // 2, _FARTHEST_INITRD), _align_up(lowest, _PAGE))
    if start + size > end:
        start = _align_up(lowest, _PAGE)
    if start + size > end:
        advice = _advice(memory, start, start + size)
        raise BadImage(f"the initrd of {size} bytes does not fit behind the kernel; {advice}")
    address = start
    for file in files:
        _copy(memory, file, 0, file.size, address)
        address += _align_up(file.size, 4)  # the kernel looks for the next archive at a multiple of four
    return start, address


@dataclass(slots=True)
class RomState:
    """What is burnt into the ROM; zeros follow."""

    contents: bytes


class ResetRom(Device):
    """The first instructions of every hart, and what firmware is told: read-only memory."""

    size = 0x1000
    tree_name = "rom"

    state: RomState

    def __init__(self, contents: bytes = b"") -> None:
        self.state = RomState(contents)
        super().__init__()
        self.read = self._read

    def _read(self, offset: int, size: int) -> int:
        if offset % size or offset + size > self.size:
            raise BusError(f"no aligned {size} bytes of the reset ROM at {offset:#x}")
        return int.from_bytes(self.state.contents[offset : offset + size], "little")


def attach_rom(board: Board, contents: bytes = b"") -> None:
    """Put the reset ROM where the harts of a board with firmware begin."""
    board.bus.attach(RESET_ROM, ResetRom(contents))


def _start_firmware(board: Board, entry: int, kernel_entry: int, tree_address: int) -> None:
    """All harts begin in the reset ROM, in M-mode, which jumps to the firmware with the tree's address in a1."""
    from hypernest.isa.assembler import assemble

    csrs = {row.name: number for number, row in board.isa.csrs.items()}
    code = assemble(_RESET_CODE, RESET_ROM, board.isa.rows, csrs)
    words = Struct("<2Q").pack(entry, tree_address)
    next_hart = 0
    info = _DYNAMIC_INFO.pack(_DYNAMIC_MAGIC, _DYNAMIC_VERSION, kernel_entry, Privilege.SUPERVISOR, 0, next_hart)
    attach_rom(board, (code + words).ljust(_DYNAMIC_AT, b"\0") + info)
