"""The guest's RAM as one sparse mapping of the host, so that native code and Python see the same bytes.

The mapping is backed by a file without a name, in memory where the host has such: it can be mapped a second time (host
pages as shadow page tables), and once it is frozen, privately by any number of machines (see `image`).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from struct import Struct

from hypernest.errors import BadConfiguration, OutOfRange
from hypernest.memory.image import PAGE, FrozenFile, MemoryImage, data_runs, empty_file
from hypernest.memory.written_pages import copied_runs

WriteListener = Callable[[int, int], None]

# Python's mmap cannot replace a mapping at its place.
_HOST_MAP = ctypes.CDLL(None, use_errno=True).mmap
_HOST_MAP.restype = ctypes.c_void_p
_HOST_MAP.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_FIXED = 0x10
# Python knows it from 3.12 on. Hosts refuse large sparse mappings without it.
_NO_RESERVE: int = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)

_MANY_CHANGES = 32768  # pages that differ from a frozen file, beyond which a new one is made
_FEW_CHANGES = 256  # pages that are rather copied into a machine than a file of its own made for its image

_INTEGERS = {1: Struct("<B"), 2: Struct("<H"), 4: Struct("<I"), 8: Struct("<Q")}


class GuestMemory:
    """RAM at guest-physical addresses `base` to `base + size` (exclusive), zero at first, sparse on the host.

    Every access outside it raises `OutOfRange` and changes nothing; nothing is ever clipped. After `close` every
    access is outside. Raises `BadConfiguration` when `size` is not a positive multiple of the host's page size or
    the host cannot reserve that much address space. With an `image` it holds that at first, shared until it is written.
    """

    base: int
    size: int
    end: int
    host_address: int
    """Address of the first byte in this process, for native code; valid until `close`."""

    def __init__(self, base: int, size: int, image: MemoryImage | None = None) -> None:
        if size <= 0 or size % mmap.PAGESIZE or base < 0 or base % mmap.PAGESIZE or base + size > 1 << 56:
            raise BadConfiguration(
                f"memory of {size} bytes at {base:#x} is not possible: give a positive size in whole pages"
                f" of {mmap.PAGESIZE} bytes, such as 512M"
            )
        _refuse_other_size(image, size)
        self.base, self.size, self.end = base, size, base + size
        self._file: int | None = None
        self._image: MemoryImage | None = None
        self._listeners: list[WriteListener] = []
        try:
            # Only a place: an object that is made of a file would keep that open as long as it lives.
            self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
            self._view = memoryview(self._map)
            self.host_address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
            if image is None:
                self._file = empty_file(size)
                self._map_file(self._file, mmap.MAP_SHARED)
            else:
                self._adopt(_to_share(image))
        except (OSError, OverflowError, ValueError) as error:
            self._close_file()
            raise BadConfiguration(
                f"the host cannot reserve {size} bytes of guest memory ({error}): give the machine less memory"
            ) from error

    @property
    def file(self) -> int | None:
        """The descriptor of the file that holds RAM from its first byte, to map it again; None once it is frozen."""
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

    # --- images ----------------------------------------------------------------------------------------------------

    def freeze(self) -> MemoryImage:
        """The content as it is now, which later writes do not change. Costs by what was written since the last one."""
        if self._image is None:
            assert self._file is not None, "memory that was not closed has a file or an image"
            frozen, self._file = FrozenFile(self._file, self.size), None
            self._adopt(MemoryImage(frozen, {}))
        elif (changed := self._changed(self._image)) != self._image.changed:
            image = MemoryImage(self._image.file, changed)
            if len(changed) > _MANY_CHANGES:
                image = MemoryImage(image.flat, {})
                self._adopt(image)
            self._image = image
        assert self._image is not None
        return self._image

    def _changed(self, image: MemoryImage) -> dict[int, bytes]:
        """The pages that differ from the image's file, those that are as in the image by the same objects."""
        known, now = image.changed, {}
        for first, end in self._copies():
            for page in range(first, end):
                content = self._map[page * PAGE : (page + 1) * PAGE]
                old = known.get(page)
                now[page] = old if old == content else content
        return now

    def nonzero_pages(self) -> Iterator[tuple[int, bytes]]:
        """All pages that are not zero with their numbers, in order; nothing may write meanwhile."""
        zero = bytes(PAGE)
        for first, end in self._data_runs():
            for page in range(first, end):
                content = self._map[page * PAGE : (page + 1) * PAGE]
                if content != zero:
                    yield page, content

    def _data_runs(self) -> list[tuple[int, int]]:
        """Runs (first, end) of pages outside which all is zero, in order."""
        if self._image is None:
            assert self._file is not None, "memory that was not closed has a file or an image"
            return data_runs(self._file, self.size)
        runs: list[tuple[int, int]] = []
        for first, end in sorted(data_runs(self._image.file.descriptor, self.size) + self._copies()):
            if runs and first <= runs[-1][1]:
                runs[-1] = runs[-1][0], max(end, runs[-1][1])
            else:
                runs.append((first, end))
        return runs

    def _copies(self) -> list[tuple[int, int]]:
        """Runs (first, end) of pages that are not shared with the image's file."""
        try:
            return list(copied_runs(self.host_address, self.size))
        except OSError:
            return self._differences()

    def _differences(self) -> list[tuple[int, int]]:
        """The same by comparing, for hosts that do not tell."""
        assert self._image is not None
        with mmap.mmap(self._image.file.descriptor, self.size, prot=mmap.PROT_READ) as origin:
            pages = range(0, self.size, PAGE)
            return [(at // PAGE, at // PAGE + 1) for at in pages if self._map[at : at + PAGE] != origin[at : at + PAGE]]

    def _adopt(self, image: MemoryImage) -> None:
        """Hold that from now on, at the same place in the host."""
        self._map_file(image.file.descriptor, mmap.MAP_PRIVATE | _NO_RESERVE)
        self._image = image
        self._write_pages(image.changed)

    def _map_file(self, file: int, flags: int) -> None:
        place, protection = ctypes.c_void_p(self.host_address), mmap.PROT_READ | mmap.PROT_WRITE
        if _HOST_MAP(place, self.size, protection, flags | _FIXED, file, 0) != self.host_address:
            raise OSError(ctypes.get_errno(), "the host cannot map guest memory")

    def _write_pages(self, pages: Mapping[int, bytes]) -> None:
        for page, content in pages.items():
            self._map[page * PAGE : (page + 1) * PAGE] = content

    def restore(self, image: MemoryImage) -> list[tuple[int, int]]:
        """Hold the content of `image` again; returns runs (first, end) of pages that may have changed. No listeners.

        Costs by what differs if it was frozen from this memory, or one that began with the same image.
        """
        _refuse_other_size(image, self.size)
        own = self._image
        if own is None or own.file is not image.file:
            image = _to_share(image)
        if own is None or own.file is not image.file:
            self._adopt(image)
            self._close_file()
            return [(0, self.size // PAGE)]
        copies = self._copies()
        for first, end in copies:
            self._drop(first, end, image.changed)
        for page, content in image.changed.items():
            if self._map[page * PAGE : (page + 1) * PAGE] != content:
                self._map[page * PAGE : (page + 1) * PAGE] = content
        self._image = image
        return copies + [(page, page + 1) for page in image.changed]

    def _drop(self, first: int, end: int, kept: Mapping[int, bytes]) -> None:
        """Make the pages of a run the file's again, except for those that will be written anyway."""
        while first < end:
            stop = next((page for page in range(first, end) if page in kept), end) if kept else end
            if stop > first and mmap.PAGESIZE == PAGE:
                self._map.madvise(mmap.MADV_DONTNEED, first * PAGE, (stop - first) * PAGE)
            elif stop > first:
                assert self._image is not None
                origin = os.pread(self._image.file.descriptor, (stop - first) * PAGE, first * PAGE)
                self._map[first * PAGE : stop * PAGE] = origin
            first = stop + 1

    @property
    def resident_size(self) -> int:
        """Bytes of host memory that the RAM occupies now, without what it shares with an image."""
        if not self.size:
            return 0
        if self._file is not None:
            return os.fstat(self._file).st_blocks * 512
        return sum(end - first for first, end in self._copies()) * PAGE

    def close(self) -> None:
        """Give the memory back to the host; harmless when repeated. `host_address` is invalid from here on."""
        if not self.size:
            return
        self.size, self.end = 0, -1
        self.host_address = 0
        self._view.release()
        self._map.close()
        self._close_file()
        self._image = None

    def __del__(self) -> None:
        """Who forgets to close the memory does not use up the host's descriptors."""
        if getattr(self, "_file", None) is not None:
            self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> GuestMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"GuestMemory(base={self.base:#x}, size={self.size:#x})"


def _to_share(image: MemoryImage) -> MemoryImage:
    """What to begin with: an image that lacks little has that copied in, of another a whole file is made."""
    return image if len(image.changed) <= _FEW_CHANGES else MemoryImage(image.flat, {})


def _refuse_other_size(image: MemoryImage | None, size: int) -> None:
    if image is not None and image.size != size:
        raise BadConfiguration(
            f"an image of {image.size} bytes is no content for a memory of {size} bytes: give it as much memory"
        )
