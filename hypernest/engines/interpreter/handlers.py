"""Which handler a slot gets: the tables that predecoding looks into.

Instructions with the same meaning and length share their handlers; such a *class* has a number. Sequences form a
trie: `@advance` leads from a node, by what the next instruction is, to a node, and `@sequence_table` says which nodes
have a handler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hypernest.engines.interpreter.direct import direct_name
from hypernest.engines.interpreter.fast import branches, handler_name, print_handler, read_operands, written_register
from hypernest.engines.interpreter.quick import HANDLER
from hypernest.engines.interpreter.sequences import SEQUENCES, Link
from hypernest.isa.row import Row
from hypernest.lowering.functions import FunctionLowering

# Bits of `@operand_table`: which operands of a class are registers that are read or written.
READS_RS1, READS_RS2, WRITES_RD = 1, 2, 4

HANDLER_TABLES = """@fast_table = external constant ptr
@near_table = external constant ptr
@class_table = external constant i64
@operand_table = external constant i64
@sequence_table = external constant ptr
declare i64 @advance(i64, i64, i64, i64)
"""
"""What `Handlers.print` defines, for modules that use it."""

# Where handlers leave to, besides direct handlers.
_EXITS = ("careful", "resume")


@dataclass
class _Node:
    number: int
    handler: str = ""
    edges: dict[int, _Node] = field(default_factory=dict)


class Handlers:
    """Prints the fast handlers of all rows, of single instructions and of sequences."""

    def __init__(self, functions: FunctionLowering) -> None:
        self.functions, self.rows = functions, list(functions.rows.values())
        kinds = sorted({_kind(row) for row in self.rows})
        self.classes = {kind: number for number, kind in enumerate(kinds)}
        self.fast: dict[tuple[str, int], str] = {}
        self.near: dict[tuple[str, int], str] = {}
        self.direct: set[tuple[str, int]] = set()

    def print(self) -> Iterator[str]:
        """Handlers, then tables: by row number the handler (`@fast_table`), the one for a jump inside the page
        (`@near_table`, null if it never jumps so) and the class (`@class_table`); by class `@operand_table`."""
        for name in _EXITS:
            yield f"declare preserve_nonecc void @{name}({HANDLER})\n"
        operands = []
        for meaning, length in self.classes:
            block = self.functions.trace(self.functions.rows[meaning])[1]
            read = read_operands(block)
            operands.append(
                READS_RS1 * ("rs1" in read)
                + READS_RS2 * ("rs2" in read)
                + WRITES_RD * (written_register(block) is not None)
            )
            for near in (False, True) if branches(block) else (False,):
                links = (Link(meaning, length, near),)
                yield self._handler(links)
        yield pointer_table("fast_table", [self.fast.get(_kind(row), direct_name(*_kind(row))) for row in self.rows])
        yield pointer_table("near_table", [self.near.get(_kind(row), "") for row in self.rows])
        yield _number_table("class_table", [self.classes[_kind(row)] for row in self.rows])
        yield _number_table("operand_table", operands)
        yield from self._sequences()
        for meaning, length in sorted(self.direct):
            yield f"declare preserve_nonecc void @{direct_name(meaning, length)}({HANDLER})\n"
        yield from self.functions.declare_pures()

    def _handler(self, links: tuple[Link, ...]) -> str:
        printed = print_handler(self.functions, links)
        (link,) = links
        if printed is None:
            self.direct.add((link.meaning, link.length))
            return ""
        text, left = printed
        self.direct |= left
        (self.near if link.near else self.fast)[link.meaning, link.length] = handler_name(links)
        return text

    def _sequences(self) -> Iterator[str]:
        root = _Node(0)
        nodes = [root]
        for links in SEQUENCES:
            printed = print_handler(self.functions, links)
            if printed is None:
                raise ValueError(f"{' '.join(link.meaning for link in links)} cannot share a handler")
            text, left = printed
            self.direct |= left
            yield text
            node = root
            for link in links:
                key = self._key(link)
                if key not in node.edges:
                    node.edges[key] = _Node(len(nodes))
                    nodes.append(node.edges[key])
                node = node.edges[key]
            node.handler = handler_name(links)
        yield pointer_table("sequence_table", [node.handler for node in nodes])
        cases = " ".join(
            f"i64 {node.number << 32 | key}, label %to{target.number}"
            for node in nodes
            for key, target in node.edges.items()
        )
        ends = "".join(f"to{node.number}:\n  ret i64 {node.number}\n" for node in nodes[1:])
        yield (
            "define i64 @advance(i64 %node, i64 %class, i64 %near, i64 %sources) noinline {\n"
            "  %a = shl i64 %node, 32\n  %b = shl i64 %class, 8\n  %c = shl i64 %near, 7\n"
            "  %d = or i64 %a, %b\n  %e = or i64 %c, %sources\n  %key = or i64 %d, %e\n"
            f"  switch i64 %key, label %none [{cases}]\nnone:\n  ret i64 0\n{ends}}}\n"
        )

    def _key(self, link: Link) -> int:
        """How `@advance` knows an instruction: class, jump inside the page, where rs1 and rs2 were written."""
        number = self.classes[link.meaning, link.length]
        return number << 8 | link.near << 7 | link.rs1_from << 2 | link.rs2_from


def _kind(row: Row) -> tuple[str, int]:
    return row.meaning, row.length


def pointer_table(name: str, symbols: list[str]) -> str:
    """A constant array of functions, null where the symbol is empty."""
    entries = ", ".join(f"ptr @{symbol}" if symbol else "ptr null" for symbol in symbols)
    return f"@{name} = constant [{len(symbols)} x ptr] [{entries}]\n"


def _number_table(name: str, numbers: list[int]) -> str:
    entries = ", ".join(f"i64 {number}" for number in numbers)
    return f"@{name} = constant [{len(numbers)} x i64] [{entries}]\n"
