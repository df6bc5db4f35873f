"""The virtio disk (Virtio 1.2, section 5.2) over whatever holds a disk's content.

Whatever the host fails at is reported to the guest as an I/O error, and the machine goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from hypernest.devices.device import Access, NoState, Register
from hypernest.devices.virtio.device import VirtioDevice
from hypernest.devices.virtio.queue import Chain, Queue, QueueError
from hypernest.disks.disk import SECTOR, Disk

_SEG_MAX, _RO, _BLK_SIZE, _FLUSH, _DISCARD, _WRITE_ZEROES = (1 << bit for bit in (2, 5, 6, 9, 13, 14))
_OK, _IO_ERROR, _UNSUPPORTED = 0, 1, 2
_UNMAP = 1
_QUEUE_SIZE = 256
_HEADER = Struct("<IIQ")
_SEGMENT = Struct("<QII")
_IDENTIFIER_SIZE = 20
_MAXIMUM_SEGMENTS = 16
_MAXIMUM_SEGMENT_SECTORS = 1 << 15  # 16 MiB: bounds the work of one request.
_CHUNK = 1 << 20


class _Refused(Exception):
    """A well-formed request that fails; its argument is the status that the driver gets."""


def _row(offset: int, size: int, name: str, value: int = 0) -> Register:
    sizes = tuple(part for part in (1, 2, 4, 8) if part <= size)
    return Register(offset, name, sizes, Access.READ, name.replace("_", " "), reset=value)


class VirtioBlock(VirtioDevice):
    """A disk of `disk.sectors` sectors; read-only if the disk is. The guest can ask for `serial`.

    A write is on the host's storage when it completes, unless the driver has accepted FLUSH and so asks for that
    itself (section 5.2.6.2).
    """

    device_id = 2
    queue_sizes = (_QUEUE_SIZE,)
    configuration = (
        _row(0, 8, "capacity"),
        _row(8, 4, "size_max"),
        _row(12, 4, "seg_max", _QUEUE_SIZE - 2),
        _row(16, 4, "geometry"),
        _row(20, 4, "blk_size", SECTOR),
        _row(24, 8, "topology"),
        _row(32, 4, "writeback_and_num_queues"),
        _row(36, 4, "max_discard_sectors", _MAXIMUM_SEGMENT_SECTORS),
        _row(40, 4, "max_discard_seg", _MAXIMUM_SEGMENTS),
        _row(44, 4, "discard_sector_alignment", 1),
        _row(48, 4, "max_write_zeroes_sectors", _MAXIMUM_SEGMENT_SECTORS),
        _row(52, 4, "max_write_zeroes_seg", _MAXIMUM_SEGMENTS),
        _row(56, 4, "write_zeroes_may_unmap", 1),
    )

    state: NoState

    def __init__(self, disk: Disk, serial: str = "") -> None:
        self.state = NoState()
        self._disk = disk
        self._serial = serial.encode("ascii", "replace")[:_IDENTIFIER_SIZE]
        self.features = _SEG_MAX | _BLK_SIZE | _FLUSH | (_RO if disk.readonly else _DISCARD | _WRITE_ZEROES)
        self._requests: dict[int, Callable[[Chain, int], int]] = {
            0: self._read,
            1: self._write,
            4: self._flush,
            8: self._identify,
            11: self._discard,
            13: self._write_zeroes,
        }

    def read_capacity(self) -> int:
        return self._disk.sectors

    def serve(self, index: int, queue: Queue) -> None:
        for chain in queue:
            queue.put(chain, self._answer(chain))

    def _answer(self, chain: Chain) -> int:
        """Do what `chain` asks, store the status, and return how many bytes were stored from the start on."""
        room = chain.writable_size - 1
        if chain.readable_size < _HEADER.size or room < 0:
            raise QueueError("a disk request without header or status byte")
        kind, _, sector = _HEADER.unpack(chain.read(0, _HEADER.size))
        request = self._requests.get(kind)
        try:
            if request is None:
                raise _Refused(_UNSUPPORTED)
            stored, status = request(chain, sector), _OK
        except _Refused as refusal:
            stored, status = 0, int(refusal.args[0])
        except OSError:
            stored, status = 0, _IO_ERROR
        chain.write(room, bytes((status,)))
        return stored + 1 if stored == room else stored

    def _check(self, sector: int, count: int) -> int:
        """The byte offset of `sector`, if whole sectors up to `count` bytes from there exist."""
        if count % SECTOR or sector + count // SECTOR > self._disk.sectors:
            raise _Refused(_IO_ERROR)
        return sector * SECTOR

    def _check_writable(self) -> None:
        if self._disk.readonly:
            raise _Refused(_IO_ERROR)

    def _read(self, chain: Chain, sector: int) -> int:
        room = chain.writable_size - 1
        start = self._check(sector, room)
        for done in range(0, room, _CHUNK):
            chain.write(done, self._disk.read(start + done, min(_CHUNK, room - done)))
        return room

    def _write(self, chain: Chain, sector: int) -> int:
        self._check_writable()
        count = chain.readable_size - _HEADER.size
        start = self._check(sector, count)
        for done in range(0, count, _CHUNK):
            self._disk.write(start + done, chain.read(_HEADER.size + done, min(_CHUNK, count - done)))
        self._written()
        return 0

    def _written(self) -> None:
        if not self.transport.features & _FLUSH:
            self._disk.flush()

    def _flush(self, chain: Chain, sector: int) -> int:
        if not self._disk.readonly:
            self._disk.flush()
        return 0

    def _identify(self, chain: Chain, sector: int) -> int:
        room = chain.writable_size - 1
        return chain.write(0, self._serial.ljust(_IDENTIFIER_SIZE, b"\0")[:room])

    def _segments(self, chain: Chain, allowed_flags: int) -> list[tuple[int, int, int]]:
        """Byte offset, byte count and flags of each range of a discard or write-zeroes request."""
        self._check_writable()
        count = chain.readable_size - _HEADER.size
        if not count or count % _SEGMENT.size or count > _MAXIMUM_SEGMENTS * _SEGMENT.size:
            raise _Refused(_IO_ERROR)
        segments = []
        for sector, sectors, flags in _SEGMENT.iter_unpack(chain.read(_HEADER.size, count)):
            if flags & ~allowed_flags:
                raise _Refused(_UNSUPPORTED)
            if not 0 < sectors <= _MAXIMUM_SEGMENT_SECTORS:
                raise _Refused(_IO_ERROR)
            segments.append((self._check(sector, sectors * SECTOR), sectors * SECTOR, flags))
        return segments

    def _discard(self, chain: Chain, sector: int) -> int:
        for offset, count, _ in self._segments(chain, 0):
            self._disk.discard(offset, count)
        return 0

    def _write_zeroes(self, chain: Chain, sector: int) -> int:
        for offset, count, flags in self._segments(chain, _UNMAP):
            if flags & _UNMAP:
                self._disk.discard(offset, count)
            else:
                self._disk.zero(offset, count)
        self._written()
        return 0
