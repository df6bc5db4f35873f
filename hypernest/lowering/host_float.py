"""Floating point on the host's own instructions, where they provably give the same bits and flags."""

from __future__ import annotations

from hypernest.lowering.expressions import FunctionText


def host_float(text: FunctionText, name: str, arguments: list[str], slow: str) -> str | None:
    """The value of the pure function `name`, computed by the host where that is exact; None if it never is."""
    return None
