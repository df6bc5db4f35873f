"""Floating point on the host's own instructions, where they provably give the same bits and flags.

What the host can do and when is in `host_operations`; this is how it is put before the described function: first, if
the inexact flag is set already, the cheap test; then the exact one; and everything else (other modes, NaNs,
infinities, results near the ends of the range) takes the described path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypernest.lowering.blocks import LIKELY
from hypernest.lowering.expressions import FunctionText
from hypernest.lowering.host_operations import NEAREST, Attempt, attempt, has_mode, host_operands, writes_integer

# The call of the described function; or what prints it, given the operands with their types as the host has them
# ("double %v1"), and returning {result, flags}, the result as the host has it too. It saves moves between registers.
Slow = str | Callable[[list[str]], str]


@dataclass(frozen=True)
class Leave:
    """Instead of a call: go to a label and do not come back."""

    label: str


def host_float(
    text: FunctionText,
    name: str,
    arguments: list[str],
    slow: Slow | Leave,
    inexact_already: str | None = None,
    *,
    nearest: bool = False,
    dirty_already: bool = False,
    accrued: str = "0",
) -> str | None:
    """The value {result, flags} of the pure function `name`, by the host where it can; None if it never can.

    `slow` is the call that computes it as described, or where to go instead; `arguments` are its operands. `nearest`:
    the rounding mode is known to be round-to-nearest-even, whatever the last argument is called.

    `inexact_already` (i1; also `true` and `false`) says that fflags.NX is set, so that it does not matter if the
    flags have it; all others are exact even then. But flags that are not zero also make mstatus.FS Dirty. Who writes
    an f register makes it so anyway; for conversions to integers, `inexact_already` is only used if the caller knows
    that FS is Dirty (`dirty_already`).

    The flags returned include `accrued` (i5). Given what fflags was before, they are what it is after, and
    where the host did it, this costs nothing.
    """
    if nearest and has_mode(name):
        arguments = [*arguments[:-1], str(NEAREST)]
    on_host = attempt(text, name, arguments)
    if on_host is None:
        return None
    if inexact_already is None or (writes_integer(name) and not dirty_already):
        inexact_already = "false"
    if isinstance(slow, Leave):
        return _choose(text, on_host, inexact_already, accrued, slow)
    if isinstance(slow, str):
        return _choose(text, on_host, inexact_already, accrued, lambda: (slow, False))
    return _choose(text, on_host, inexact_already, accrued, lambda: (slow(host_operands(text, name, arguments)), True))


def _choose(
    text: FunctionText,
    on_host: Attempt,
    inexact_already: str,
    accrued: str,
    slow: Callable[[], tuple[str, bool]] | Leave,
) -> str:
    """{result, flags} of the host if it may, else of the call that `slow` prints (and is the result a host type?)."""
    joined = text.fresh("joined")

    def add(flags: str) -> str:
        return flags if accrued == "0" else text.define(f"or i5 {accrued}, {flags}")

    arrivals: list[tuple[str, str, str]] = []  # result, flags, from which block

    def leave(condition: str, flags: str, otherwise: str) -> None:
        """Go to the end with the host's result, if the condition holds."""
        arrivals.append((on_host.result, flags, text.label))
        label = text.fresh(otherwise)
        text.emit(f"br i1 {condition}, label %{joined}, label %{label}{LIKELY}")
        text.start(label)

    if "false" not in (inexact_already, on_host.only_inexact):
        cheap = _both(text, on_host.only_inexact, inexact_already)
        leave(cheap, accrued, "exactly")
    ok, inexact = on_host.exactly()
    # Where NX is known to be set, computing it is dead code.
    leave(ok, accrued if inexact_already == "true" else add(text.define(f"zext i1 {inexact} to i5")), "described")

    floating = on_host.type in _WIDTHS
    bits = f"i{_WIDTHS[on_host.type]}" if floating else on_host.type
    if isinstance(slow, Leave):
        text.emit(f"br label %{slow.label}")
    else:
        arrivals.append(_described(text, on_host, bits, add, slow))
        text.emit(f"br label %{joined}")

    # Results meet as the type that the host computes them in, so that what is computed from them need not move them.
    text.start(joined)
    result = _phi(text, on_host.type, [(result, label) for result, _, label in arrivals])
    flags = _phi(text, "i5", [(flags, label) for _, flags, label in arrivals])
    if floating:
        result = text.define(f"bitcast {on_host.type} {result} to {bits}")
    whole = text.define(f"insertvalue {{{bits}, i5}} undef, {bits} {result}, 0")
    return text.define(f"insertvalue {{{bits}, i5}} {whole}, i5 {flags}, 1")


def _described(
    text: FunctionText, on_host: Attempt, bits: str, add: Callable[[str], str], slow: Callable[[], tuple[str, bool]]
) -> tuple[str, str, str]:
    """Print the call; result (as the host has it), flags, and the block that it ends in."""
    call, as_host = slow()
    slowly, returned = text.define(call), on_host.type if as_host else bits
    result = text.define(f"extractvalue {{{returned}, i5}} {slowly}, 0")
    flags = add(text.define(f"extractvalue {{{returned}, i5}} {slowly}, 1"))
    if returned != on_host.type:
        result = text.define(f"bitcast {bits} {result} to {on_host.type}")
    return result, flags, text.label


_WIDTHS = {"float": 32, "double": 64}


def _both(text: FunctionText, a: str, b: str) -> str:
    if "true" in (a, b):
        return b if a == "true" else a
    return text.define(f"and i1 {a}, {b}")


def _phi(text: FunctionText, type_: str, arrivals: list[tuple[str, str]]) -> str:
    return text.define(f"phi {type_} " + ", ".join(f"[ {value}, %{label} ]" for value, label in arrivals))
