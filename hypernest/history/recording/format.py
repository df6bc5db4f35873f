"""How a recording is laid out, and the checks of everything that one says.

    0    magic, version
    12   record, record, ...       only ever appended

A record is the length of its content, a BLAKE2b over the digest of the record before it and the content, and the
content in MessagePack: first `Origin`, then the `Contents` that it speaks of, then `Input`, `Mark` as the run goes, at
last `End`. So every prefix that ends between two records can be checked, and nothing can be left out of it.

The file is not trusted: nothing is allocated that is larger than the part of the file it is read from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from hypernest.history.recording.errors import BadRecording

VERSION = 1
DIGEST, BRIEF = 32, 16

MAGIC = b"\x89HNREC\r\n"
_HEADER = Struct("<8sI")
_RECORD = Struct("<I16s")
LARGEST_CONTENT = 256 << 20
_LARGEST_PATH = 4096
_LARGEST_TEXT = 1000

Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
HostPath = Annotated[bytes, Meta(min_length=1, max_length=_LARGEST_PATH)]
Text = Annotated[str, Meta(max_length=_LARGEST_TEXT)]
Digest = Annotated[bytes, Meta(min_length=DIGEST, max_length=DIGEST)]
Brief = Annotated[bytes, Meta(min_length=BRIEF, max_length=BRIEF)]


class File(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the machine booted. Without a `path` it came from memory, and its content is in the recording."""

    what: Text
    path: HostPath | None
    size: Count
    digest: Digest


class DiskFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A disk as it was when the machine was switched on; `digest` is that of `hypernest.disks.content_digest`."""

    path: HostPath
    mode: Text
    sectors: Count
    digest: Digest


class KeptSnapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The snapshot that the machine went on with."""

    archive: HostPath
    name: Text
    digest: Digest


class Origin(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="origin"):
    """What the machine was made of; `kernel`, `firmware` and `initrds` are numbers of `files`.

    `image` is the name of the guest image, which may tell where files are now. `created` and `epoch` are in nanoseconds
    since 1970.
    """

    created: Count
    maker: Text
    title: Text
    engine: Text
    clock: Text
    memory_size: Count
    harts: Annotated[int, Meta(ge=1, le=64)]
    seed: Annotated[int, Meta(ge=0)]
    epoch: Count
    reboot: bool
    append: Annotated[str, Meta(max_length=1 << 16)]
    image: Text | None
    kernel: Count | None
    firmware: Count | None
    initrds: Annotated[list[Count], Meta(max_length=1000)]
    files: Annotated[list[File], Meta(max_length=1002)]
    disks: Annotated[list[DiskFile], Meta(max_length=64)]
    devices: Count
    snapshot: KeptSnapshot | None


class Contents(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="contents"):
    """The bytes of the next of the `files` that has no path."""

    data: bytes


class Input(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="input"):
    """What came from outside at a guest time; see `hypernest.machine.journal.Event`."""

    boot: Count
    time: Count
    typed: bytes
    size: tuple[Annotated[int, Meta(ge=0, lt=1 << 32)], Annotated[int, Meta(ge=0, lt=1 << 32)]] | None


class Mark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="mark"):
    """What the machine was after `count` instructions, before anything else happened at that time.

    `brief` is a digest of harts and devices (`Machine.brief_hash`), `full` one with memory too (`Machine.state_hash`).
    """

    count: Count
    boot: Count
    time: Count
    brief: Brief
    full: Digest | None


class End(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="end"):
    """The same for the last moment. `reason` is why the machine stopped for good, as (kind, code, message)."""

    count: Count
    boot: Count
    time: Count
    brief: Brief
    full: Digest
    reason: tuple[Text, Annotated[int, Meta(ge=0, lt=1 << 16)], Text] | None


Record = Origin | Contents | Input | Mark | End

_decoder = msgspec.msgpack.Decoder(Record)


class Writer:
    """Appends records to a file that is open for writing. Raises OSError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        header = _HEADER.pack(MAGIC, VERSION)
        self._digest = _digest(b"", header)
        self._file.write(header)

    def append(self, record: Record) -> None:
        """Written when the file is flushed."""
        data = msgspec.msgpack.encode(record)
        if len(data) > LARGEST_CONTENT:
            raise ValueError("a record is too large")
        self._digest = _digest(self._digest, data)
        self._file.write(_RECORD.pack(len(data), self._digest))
        self._file.write(data)


class CutShort(Exception):
    """There is nothing whole behind this place of the file; `str()` of it says why."""


def read_records(file: BinaryIO, path: Path) -> Iterator[Record]:
    """The records of a recording, to the end of the file.

    Raises `BadRecording` if it is none or of another version, `CutShort` at the first one that is not whole, and
    OSError.
    """
    size = os.fstat(file.fileno()).st_size
    header = file.read(_HEADER.size)
    if not header.startswith(MAGIC) or len(header) < _HEADER.size:
        raise BadRecording(f"{path} is no recording: give a file that hypernest run --record has written")
    _, version = _HEADER.unpack(header)
    if version != VERSION:
        raise BadRecording(
            f"the recording {path} has format {version} and this version of hypernest knows {VERSION}:"
            " use the version that made it"
        )
    digest, at = _digest(b"", header), _HEADER.size
    while at < size:
        head = file.read(_RECORD.size)
        at += _RECORD.size
        if len(head) < _RECORD.size:
            raise CutShort("it is cut short")
        length, expected = _RECORD.unpack(head)
        if length > min(size - at, LARGEST_CONTENT):
            raise CutShort("it is cut short")
        data = file.read(length)
        at += length
        digest = _digest(digest, data)
        if digest != expected:
            raise CutShort("its checksums do not fit")
        try:
            yield _decoder.decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            raise BadRecording(f"the recording {path} is garbled: use another copy of the file") from None


def _digest(before: bytes, data: bytes) -> bytes:
    digest = blake2b(before, digest_size=BRIEF)
    digest.update(data)
    return digest.digest()
