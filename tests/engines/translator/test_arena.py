"""Executable memory: what is put there can be run, nothing is ever writable and executable, and it has an end."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from hypernest.engines.translator.arena import Arena, ArenaFull

RETURN_42 = b"\xb8\x2a\x00\x00\x00\xc3"  # mov eax, 42; ret


def mappings() -> list[str]:
    """The permissions of all mappings of arenas."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[1] for line in lines if "hypernest-regions" in line]


def test_code_runs_where_it_was_put() -> None:
    arena = Arena(4096)
    first, second = arena.add(b"\xc3"), arena.add(RETURN_42)
    assert second > first and first % 64 == 0 and second % 64 == 0
    assert ctypes.CFUNCTYPE(ctypes.c_int)(second)() == 42
    assert ctypes.string_at(second, len(RETURN_42)) == RETURN_42


def test_no_page_is_writable_and_executable() -> None:
    before = len(mappings())
    arena = Arena(4096)
    arena.add(RETURN_42)
    found = mappings()
    assert len(found) == before + 2
    assert all(("w" in each) != ("x" in each) for each in found)


def test_it_is_full_when_it_is_full_and_can_be_cleared() -> None:
    arena = Arena(4096)
    addresses = [arena.add(bytes(64)) for _ in range(64)]
    assert len(set(addresses)) == 64 and arena.used == 4096
    with pytest.raises(ArenaFull):
        arena.add(b"x")
    arena.clear()
    assert arena.used == 0 and arena.add(bytes(4096)) == addresses[0]
    with pytest.raises(ArenaFull):
        arena.add(b"x")


def test_what_does_not_fit_leaves_it_as_it_was() -> None:
    arena = Arena(4096)
    arena.add(b"x")
    with pytest.raises(ArenaFull):
        arena.add(bytes(4090))
    assert arena.used == 1 and arena.add(bytes(4032))


def test_an_arena_without_memory_takes_nothing() -> None:
    with pytest.raises(ArenaFull):
        Arena(0).add(b"x")
