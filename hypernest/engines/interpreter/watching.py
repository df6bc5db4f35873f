"""What is watched, as tables that native code reads (`native/watching.ll`)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from hypernest.engines.watched import Kind, Range, Watched

_CSR_BYTES = 4096 // 8
_ALL_ONES = (1 << 64) - 1


@dataclass(frozen=True)
class WatchTables:
    """Memory that must live as long as native code may look there, and the words of the shared structure."""

    kinds: Kind
    words: dict[str, int]
    _memory: tuple[object, ...]


def watch_tables(watched: Watched) -> WatchTables:
    """The tables for what is watched."""
    addresses = sorted(watched.execute)
    execute = (ctypes.c_uint64 * len(addresses))(*addresses)
    ranges = [
        word
        for kind, found in ((Kind.READ, watched.reads), (Kind.WRITE, watched.writes))
        for each in found
        if each.start < each.end
        for word in _range_words(each, kind)
    ]
    data = (ctypes.c_uint64 * len(ranges))(*ranges)
    csrs = (ctypes.c_uint8 * _CSR_BYTES)()
    for number in watched.csrs:
        csrs[number >> 3] |= 1 << (number & 7)
    words = {
        "watch_execute": ctypes.addressof(execute),
        "watch_executes": len(addresses),
        "watch_data": ctypes.addressof(data),
        "watch_ranges": len(ranges) // 4,
        "watch_exceptions": sum(1 << cause for cause in watched.traps if not cause >> 63),
        "watch_interrupts": sum(1 << (cause & 63) for cause in watched.traps if cause >> 63),
        "watch_csrs": ctypes.addressof(csrs),
    }
    return WatchTables(watched.kinds, words, (execute, data, csrs))


def _range_words(each: Range, kind: Kind) -> tuple[int, int, int, int]:
    return each.start & _ALL_ONES, (each.end - 1) & _ALL_ONES, int(kind), int(each.physical)
