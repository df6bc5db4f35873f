"""What a machine may be made of: the checks of everything that a user can ask for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from operator import index
from typing import SupportsIndex

from hypernest.disks import Disk, DiskFile, DiskMode, OverlayDisk, VersionedDisk
from hypernest.errors import BadConfiguration

MAXIMUM_HARTS = 8
SMALLEST_MEMORY, LARGEST_MEMORY = 1 << 20, 256 << 30
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_PAGE = 4096

FilePath = str | os.PathLike[str]
DiskChoice = FilePath | tuple[FilePath, DiskMode | str | bool]


def whole_number(value: SupportsIndex, what: str) -> int:
    """`value` as an int; `BadConfiguration` if it is a text, a fraction or nothing at all."""
    try:
        return index(value)
    except TypeError:
        raise BadConfiguration(f"{value!r} is no {what}: give a whole number") from None


def memory_size(memory: int | str, owner: str = "a machine") -> int:
    """Bytes of RAM, from their number or a text such as `512M` or `2GiB`; `BadConfiguration` if it is not usable."""
    if isinstance(memory, str):
        match = re.fullmatch(r"(\d{1,15})([KMGT]?)(?:I?B)?", memory.strip().upper())
        if match is None:
            raise BadConfiguration(f"{memory!r} is not a size of memory: write it like 512M or 2G")
        memory = int(match[1]) * _UNITS[match[2]]
    memory = whole_number(memory, "size of memory")
    if not SMALLEST_MEMORY <= memory <= LARGEST_MEMORY:
        raise BadConfiguration(f"{owner} cannot have {memory} bytes of memory: give it 1M to 256G")
    if memory % _PAGE:
        raise BadConfiguration(f"{memory} bytes of memory are not whole pages: give a multiple of {_PAGE}")
    return memory


def number_of_harts(harts: int) -> int:
    """1 to 8, else `BadConfiguration`."""
    harts = whole_number(harts, "number of harts")
    if not 1 <= harts <= MAXIMUM_HARTS:
        raise BadConfiguration(f"a machine cannot have {harts} harts: give it 1 to {MAXIMUM_HARTS}")
    return harts


def choice(name: str, value: str, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`, else `BadConfiguration`."""
    if value not in allowed:
        raise BadConfiguration(f"there is no {name} {value!r}: choose one of {', '.join(allowed)}")
    return value


def disk_mode(mode: DiskMode | str | bool) -> DiskMode:
    """What may be done with a disk, from its name or whether it is read-only; `BadConfiguration` if it is neither."""
    if isinstance(mode, bool):
        return DiskMode.READONLY if mode else DiskMode.WRITABLE
    if isinstance(mode, DiskMode):
        return mode
    return DiskMode(choice("disk mode", mode, [each.value for each in DiskMode]))


def disk_choice(disk: DiskChoice) -> tuple[FilePath, DiskMode]:
    """The path of a disk, and what may be done with it; without a mode it is writable."""
    return (disk[0], disk_mode(disk[1])) if isinstance(disk, tuple) else (disk, DiskMode.WRITABLE)


def open_disks(disks: Sequence[DiskChoice]) -> list[VersionedDisk]:
    """Open the disks, paths or pairs with a mode (see `disk_mode`); on an error none stays open."""
    if isinstance(disks, str | bytes | os.PathLike):
        raise BadConfiguration("disks is one file: give a list of files, as in disks=[path]")
    opened: list[VersionedDisk] = []
    modes: list[tuple[FilePath, DiskMode]] = []
    try:
        for disk in disks:
            path, mode = disk_choice(disk)
            for other, its_mode in modes:
                if DiskMode.WRITABLE in (mode, its_mode) and _same_file(path, other):
                    raise BadConfiguration(
                        f"disk {path} is given twice: give each disk once, or read-only or as an overlay every time"
                    )
            opened.append(VersionedDisk(_open_disk(path, mode)))
            modes.append((path, mode))
    except BaseException:
        for each in opened:
            each.close()
        raise
    return opened


def _open_disk(path: FilePath, mode: DiskMode) -> Disk:
    file = DiskFile(path, mode is not DiskMode.WRITABLE)
    return OverlayDisk(file, on_close=file.close) if mode is DiskMode.OVERLAY else file


def _same_file(path: FilePath, other: FilePath) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False
