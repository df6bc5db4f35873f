"""What passes between the machine, the compiler's process and the disk."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, array_like=True):
    """Compile the regions with these heads in a page of code."""

    page: int  # the page's number in RAM, for the one who asked
    code: bytes
    executed: bytes  # a bit for each halfword
    heads: list[int]
    targets: list[int]  # other hot places of the page
    pures: list[str]  # the interpreter's table of pure functions
    sources: bytes  # the digest of the modules that the asking process was made of
    memory_path: str = "soft"
    left_out: bytes = b""  # a bit for each halfword whose instruction no region may have


class Record(msgspec.Struct, frozen=True, array_like=True):
    """A compiled region: position-independent code and what must hold where it is installed."""

    head: int
    entries: list[int]  # offsets in the page of instructions that begin with it, the head first
    first: int  # the bytes of the page that it was made of
    last: int
    instructions: int
    covered: bytes  # a bit for each halfword of the page where one of its instructions begins
    microseconds: int  # that compiling took
    start: int  # where in `code` to enter
    code: bytes


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a request: a record for each head that was worth it."""

    page: int
    digest: bytes  # of the page's code
    records: list[bytes]
    refused: list[int]
    problem: str = ""
    left_out: bytes = b""  # as in the request
    memory_path: str = "soft"


_record = msgspec.msgpack.Decoder(Record)
_reply = msgspec.msgpack.Decoder(Reply)
_request = msgspec.msgpack.Decoder(Request)
encode = msgspec.msgpack.encode


def decode_request(data: bytes) -> Request:
    return _request.decode(data)


def decode_reply(data: bytes) -> Reply:
    """msgspec.DecodeError if the data are none."""
    return _reply.decode(data)


def decode_record(data: bytes) -> Record | None:
    """None if the data are no record that could be installed."""
    try:
        record = _record.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    offsets = [record.head, record.first, record.last, *record.entries]
    if not record.entries or any(not 0 <= each < 4096 for each in offsets) or record.last < record.first:
        return None
    if len(record.covered) != 256 or any(each % 2 for each in (record.head, *record.entries)):
        return None
    return record if 0 <= record.start < len(record.code) else None
