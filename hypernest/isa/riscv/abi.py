"""The names that assembly text gives to the registers: x0 to x31, f0 to f31 and those of the calling convention."""

from __future__ import annotations


def _numbered(letters: str, first: int, last: int) -> list[str]:
    return [f"{letters}{number}" for number in range(first, last + 1)]


INTEGER_ABI = (
    *("zero", "ra", "sp", "gp", "tp"),
    *(_numbered("t", 0, 2) + _numbered("s", 0, 1)),
    *(_numbered("a", 0, 7) + _numbered("s", 2, 11) + _numbered("t", 3, 6)),
)
FLOAT_ABI = (
    *(_numbered("ft", 0, 7) + _numbered("fs", 0, 1)),
    *(_numbered("fa", 0, 7) + _numbered("fs", 2, 11) + _numbered("ft", 8, 11)),
)

INTEGER_NUMBERS = {name: number for number, name in enumerate(INTEGER_ABI)}
INTEGER_NUMBERS |= {f"x{number}": number for number in range(32)} | {"fp": 8}
FLOAT_NUMBERS = {name: number for number, name in enumerate(FLOAT_ABI)}
FLOAT_NUMBERS |= {f"f{number}": number for number in range(32)}
