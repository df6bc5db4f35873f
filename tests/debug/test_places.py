"""What a person may type for an address."""

from __future__ import annotations

import pytest

from hypernest.debug.places import NoSuchPlace, find_place
from hypernest.debug.symbols import Symbol, SymbolTable

FIRST = SymbolTable([Symbol(0x100, 0x200, "start"), Symbol(0x200, 0x300, "a+0x2"), Symbol(0x100, 0x200, "alias")])
SECOND = SymbolTable(
    [Symbol(0x900, 0x910, "start"), Symbol(0x910, 0x920, "twice"), Symbol(0x920, 0x930, "twice")], 0x50
)
TABLES = (FIRST, SECOND)


@pytest.mark.parametrize(
    ("text", "address", "table"),
    [
        ("0x80", 0x80, None),
        ("128", 128, None),
        ("0xFFFFFFFFffffffff", (1 << 64) - 1, None),
        ("start", 0x100, FIRST),
        ("alias", 0x100, FIRST),
        ("start+0x1c", 0x11C, FIRST),
        ("start-16", 0xF0, FIRST),
        ("a+0x2", 0x200, FIRST),
        ("a+0x2+4", 0x204, FIRST),
    ],
)
def test_places(text: str, address: int, table: SymbolTable | None) -> None:
    found = find_place(text, TABLES)
    assert found.address == address and found.table is table


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("strat", r"there is no symbol 'strat' \(did you mean start\?\)"),
        ("zzz+4", r"there is no symbol 'zzz'\.$"),
        ("twice", "2 symbols are called 'twice': give one of the addresses 0x910, 0x920"),
        ("start-0x101", "no address of 64 bits"),
        ("99999999999999999999", "no address of 64 bits"),
        ("", "there is no symbol ''"),
    ],
)
def test_no_places(text: str, why: str) -> None:
    with pytest.raises(NoSuchPlace, match=why):
        find_place(text, TABLES)
    assert find_place("5", ()).address == 5


def test_without_any_symbols() -> None:
    with pytest.raises(NoSuchPlace, match="no symbols are known"):
        find_place("start", ())
