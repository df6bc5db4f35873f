"""Which handler a slot gets: the tables and the function that predecoding asks."""

from __future__ import annotations

from collections.abc import Iterator

from hypernest.engines.interpreter.fast import Step, branches, handler_name, print_handler
from hypernest.engines.interpreter.pairs import PAIRS
from hypernest.isa.isa import Isa
from hypernest.isa.row import Row
from hypernest.lowering.functions import FunctionLowering

# What predecoding tells `@pair` of the second instruction, as bits: does it read in rs1, in rs2, what the first wrote?
FORWARDED = {"rs1": 1, "rs2": 2}


class Handlers:
    """Prints the fast handlers of an ISA's rows, of single instructions and of pairs."""

    def __init__(self, functions: FunctionLowering, isa: Isa) -> None:
        self.functions, self.isa = functions, isa
        self.rows = list(isa.rows.values())
        # Rows with the same meaning and length share their handlers: a class.
        kinds = sorted({(row.meaning, row.length) for row in self.rows})
        self.classes = {kind: number for number, kind in enumerate(kinds)}
        self.fast: dict[tuple[str, int], str] = {}
        self.near: dict[tuple[str, int], str] = {}

    def print(self) -> Iterator[str]:
        """Handlers, then tables: by row number the handler (`@fast_table`), the one for a jump inside the page
        (`@near_table`, null if it never jumps so), the class (`@class_table`); then `@pair`."""
        for meaning, length in self.classes:
            row = self.isa.rows[meaning]
            jumps = branches(self.functions.tracer().semantics(row.semantics))
            for near in (False, True) if jumps else (False,):
                steps = (Step(row, length, near),)
                text = print_handler(self.functions, steps)
                if text is not None:
                    yield text
                    (self.near if near else self.fast)[meaning, length] = handler_name(steps)
        yield pointer_table("fast_table", [self.fast.get(_kind(row), "slow") for row in self.rows])
        yield pointer_table("near_table", [self.near.get(_kind(row), "") for row in self.rows])
        numbers = ", ".join(f"i64 {self.classes[_kind(row)]}" for row in self.rows)
        yield f"@class_table = internal constant [{len(self.rows)} x i64] [{numbers}]\n"
        yield from self._pairs()

    def _pairs(self) -> Iterator[str]:
        """`ptr @pair(i64 first class, i64 second class, i64 near, i64 forwarded)`: a common handler, or null."""
        cases: dict[int, list[tuple[int, str]]] = {}
        for first, second, forwarded in PAIRS:
            near = second in self.near
            operands = tuple(name for name, bit in FORWARDED.items() if forwarded & bit)
            steps = (
                Step(self.isa.rows[first[0]], first[1]),
                Step(self.isa.rows[second[0]], second[1], near, operands),
            )
            text = print_handler(self.functions, steps)
            if text is None:
                raise ValueError(f"{first} and {second} cannot be paired")
            yield text
            key = (self.classes[first] << 32) | (self.classes[second] << 1) | int(near)
            cases.setdefault(key, []).append((forwarded, handler_name(steps)))
        targets = " ".join(f"i64 {key}, label %case{number}" for number, key in enumerate(cases))
        lines = [
            "define internal ptr @pair(i64 %first, i64 %second, i64 %near, i64 %forwarded) noinline {",
            "  %high = shl i64 %first, 32",
            "  %middle = shl i64 %second, 1",
            "  %low = or i64 %middle, %near",
            "  %key = or i64 %high, %low",
            f"  switch i64 %key, label %none [{targets}]",
        ]
        for number, variants in enumerate(cases.values()):
            lines.append(f"case{number}:")
            chosen = "null"
            # The variant that forwards most, of those whose operands all match.
            for at, (bits, name) in enumerate(sorted(variants, key=lambda variant: variant[0].bit_count())):
                here = f"{number}.{at}"
                lines += [
                    f"  %bits{here} = and i64 %forwarded, {bits}",
                    f"  %fits{here} = icmp eq i64 %bits{here}, {bits}",
                    f"  %chosen{here} = select i1 %fits{here}, ptr @{name}, ptr {chosen}",
                ]
                chosen = f"%chosen{here}"
            lines.append(f"  ret ptr {chosen}")
        lines += ["none:", "  ret ptr null", "}", ""]
        yield "\n".join(lines)


def _kind(row: Row) -> tuple[str, int]:
    return row.meaning, row.length


def pointer_table(name: str, symbols: list[str]) -> str:
    """A constant array of functions, null where the symbol is empty."""
    entries = ", ".join(f"ptr @{symbol}" if symbol else "ptr null" for symbol in symbols)
    return f"@{name} = internal constant [{len(symbols)} x ptr] [{entries}]\n"
