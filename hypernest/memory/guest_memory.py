"""The guest's RAM as one sparse mapping of the host, so that native code and Python see the same bytes.

The mapping is backed by an anonymous memory file where the host has them: such a file can be mapped a second time
(snapshots, host pages as shadow page tables), which an anonymous mapping cannot.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable
from struct import Struct
from types import TracebackType

from hypernest.errors import BadConfiguration, OutOfRange

WriteListener = Callable[[int, int], None]

_INTEGERS = {1: Struct("<B"), 2: Struct("<H"), 4: Struct("<I"), 8: Struct("<Q")}


class GuestMemory:
    """RAM at guest-physical addresses `base` to `base + size` (exclusive), zero at first, sparse on the host.

    Every access outside it raises `OutOfRange` and changes nothing; nothing is ever clipped. After `close` every
    access is outside. Raises `BadConfiguration` when `size` is not a positive multiple of the host's page size or
    the host cannot reserve that much address space.
    """

    base: int
    size: int
    end: int
    host_address: int
    """Address of the first byte in this process, for native code; valid until `close`."""

    def __init__(self, base: int, size: int) -> None:
        if size <= 0 or size % mmap.PAGESIZE or base < 0 or base % mmap.PAGESIZE or base + size > 1 << 56:
            raise BadConfiguration(
                f"memory of {size} bytes at {base:#x} is not possible: give a positive size in whole pages"
                f" of {mmap.PAGESIZE} bytes, such as 512M"
            )
        self.base, self.size, self.end = base, size, base + size
        self._file: int | None = None
        try:
            self._map = self._reserve(size)
        except (OSError, OverflowError, ValueError) as error:
            self._close_file()
            raise BadConfiguration(
                f"the host cannot reserve {size} bytes of guest memory ({error}): give the machine less memory"
            ) from error
        self._view = memoryview(self._map)
        self.host_address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._listeners: list[WriteListener] = []

    def _reserve(self, size: int) -> mmap.mmap:
        if not hasattr(os, "memfd_create"):
            return mmap.mmap(-1, size)
        self._file = os.memfd_create("hypernest-guest-memory", os.MFD_CLOEXEC)
        os.ftruncate(self._file, size)
        return mmap.mmap(self._file, size)

    @property
    def file(self) -> int | None:
        """The descriptor of the file that holds the RAM from its first byte, to map it again; None if there is none."""
        return self._file

    def contains(self, address: int, count: int) -> bool:
        """Whether all of the `count` bytes at `address` are RAM; a negative count never is."""
        return count >= 0 and self.base <= address and address + count <= self.end

    def _offset(self, address: int, count: int) -> int:
        if count >= 0 and self.base <= address and address + count <= self.end:
            return address - self.base
        raise OutOfRange(
            f"{count} bytes at guest-physical address {address:#x} are not all in RAM,"
            f" which is {self.base:#x} to {self.end:#x}: use an address inside it"
        )

    def read(self, address: int, count: int) -> bytes:
        """The `count` bytes at guest-physical `address`."""
        offset = self._offset(address, count)
        return self._map[offset : offset + count]

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store `data` (bytes-like) at guest-physical `address` and tell the listeners."""
        count = len(data) if not isinstance(data, memoryview) else data.nbytes
        offset = self._offset(address, count)
        self._map[offset : offset + count] = data
        for listener in self._listeners:
            listener(address, count)

    def read_integer(self, address: int, size: int) -> int:
        """The unsigned little-endian integer of `size` (1, 2, 4 or 8) bytes at `address`, aligned or not."""
        value: int = _INTEGERS[size].unpack_from(self._view, self._offset(address, size))[0]
        return value

    def write_integer(self, address: int, size: int, value: int) -> None:
        """Store the low `size` (1, 2, 4 or 8) bytes of `value` at `address`, little-endian; tell the listeners."""
        mask = (1 << 8 * size) - 1
        _INTEGERS[size].pack_into(self._view, self._offset(address, size), value & mask)
        for listener in self._listeners:
            listener(address, size)

    def on_write(self, listener: WriteListener) -> None:
        """Have `listener(address, count)` called after every write from the host side, in order of registration."""
        self._listeners.append(listener)

    @property
    def resident_size(self) -> int:
        """Bytes of host memory that the RAM occupies now."""
        if not self.size:
            return 0
        if self._file is not None:
            return os.fstat(self._file).st_blocks * 512
        residency = (ctypes.c_ubyte * (self.size // mmap.PAGESIZE))()
        if ctypes.CDLL(None).mincore(ctypes.c_void_p(self.host_address), ctypes.c_size_t(self.size), residency):
            raise OSError("mincore failed on the guest's memory")
        return sum(page & 1 for page in residency) * mmap.PAGESIZE

    def close(self) -> None:
        """Give the memory back to the host; harmless when repeated. `host_address` is invalid from here on."""
        if not self.size:
            return
        self.size, self.end = 0, -1
        self.host_address = 0
        self._view.release()
        self._map.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> GuestMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"GuestMemory(base={self.base:#x}, size={self.size:#x})"
