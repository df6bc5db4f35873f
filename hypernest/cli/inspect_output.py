"""What `hypernest inspect` prints: a region in three columns or one below the other, a list of regions, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypernest.debug.symbols import Symbols
from hypernest.engines.translator.inspection import ENTRY, SHARED, Inspection, Leaving, Line
from hypernest.isa.disassembler import disassemble

if TYPE_CHECKING:
    from rich.table import Table

    from hypernest.engines.translator.engine import InstalledRegion

WIDE = 160
"""Columns from which three columns stand side by side."""

_GUEST, _IR, _ASSEMBLY = "bold", "cyan", "green"
_TITLES = {ENTRY: "on entering", SHARED: "of several instructions"}
_MOST_TARGETS = 12
_ELSEWHERE = "..."  # between lines that do not follow each other


@dataclass(frozen=True)
class Shown:
    """A region and what is needed to show it."""

    found: Inspection
    page: int
    """The virtual address of the page."""
    physical: int
    """The guest-physical address of the head."""
    symbols: Symbols
    ir: str
    """`before` or `after`."""
    notes: tuple[str, ...]

    def name(self, offset: int) -> str:
        """The symbol at an offset of the page, empty if there is none."""
        address = (self.page + offset) % (1 << 64)
        at_head = self.page + self.found.region.entries[0]
        found = self.symbols.find(address)
        if not found:
            found = self.symbols.find(address - at_head + self.physical, translated=False)
        return f"{found[0]}+{found[1]:#x}" if found and found[1] else found[0] if found else ""

    def place(self, offset: int) -> str:
        """An address with its symbol."""
        name = self.name(offset)
        return f"{(self.page + offset) % (1 << 64):#x}" + (f" <{name}>" if name else "")

    def guest(self, offset: int) -> str:
        """An instruction, with a mark where the region is entered."""
        region = self.found.region
        instruction = region.instructions[offset]
        code = int.from_bytes(region.page.code[offset : offset + instruction.length], "little")
        address = self.page + offset
        targets = [name for distance in instruction.meaning.branches if (name := self.name(offset + distance))]
        text = f"{address:x} {'>' if offset in region.entries else ' '} {disassemble(code, address)}"
        return f"{text} <{targets[0]}>" if targets else text

    def title(self, origin: int) -> str:
        return _TITLES.get(origin) or self.guest(origin)

    @property
    def origins(self) -> list[int]:
        """What lines can belong to, in the order in which it is shown."""
        return [ENTRY, *self.found.region.instructions, SHARED]


def show(shown: Shown, *, only: str | None, as_json: bool) -> None:
    """Print to standard output."""
    if as_json:
        print(json.dumps(_as_dict(shown, only), indent=2))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    if only is None and console.is_terminal and console.width >= WIDE:
        console.print(_side_by_side(shown), soft_wrap=False)
    else:
        for text, style in _lines(shown, only):
            if sys.stdout.isatty():
                console.print(Text(text, style))
            else:
                print(text)
        print()
    print("\n".join(summary(shown)))


def _lines(shown: Shown, only: str | None) -> Iterator[tuple[str, str]]:
    found = shown.found
    if only == "guest":
        yield from ((shown.guest(offset), _GUEST) for offset in found.region.instructions)
    elif only:
        yield from _in_order(shown, *{"ir": (found.ir, _IR), "asm": (found.assembly, _ASSEMBLY)}[only])
    else:
        for origin in shown.origins:
            ir, assembly = _of(found.ir, origin), _of(found.assembly, origin)
            if ir or assembly or origin >= 0:
                yield shown.title(origin), _GUEST
                yield from ((f"   ir | {line}", _IR) for line in ir)
                yield from ((f"  asm | {line}", _ASSEMBLY) for line in assembly)


def _in_order(shown: Shown, lines: Sequence[Line], style: str) -> Iterator[tuple[str, str]]:
    """As LLVM has it, with what each piece belongs to in front."""
    last = None
    for line in lines:
        if line.origin != last:
            last = line.origin
            yield shown.title(last), _GUEST
        yield f"    {line.text}", style


def _of(lines: Sequence[Line], origin: int) -> list[str]:
    """The lines that belong to something."""
    found: list[str] = []
    previous = None
    for number, line in enumerate(lines):
        if line.origin == origin:
            if previous is not None and number > previous + 1:
                found.append(_ELSEWHERE)
            found.append(line.text)
            previous = number
    return found


def _side_by_side(shown: Shown) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for title, style, ratio in (("guest", _GUEST, 3), (f"LLVM IR {shown.ir}", _IR, 5), ("host", _ASSEMBLY, 4)):
        table.add_column(title, style=style, ratio=ratio, overflow="fold")
    for origin in shown.origins:
        ir, assembly = _of(shown.found.ir, origin), _of(shown.found.assembly, origin)
        if ir or assembly or origin >= 0:
            table.add_row(*(Text(text) for text in (shown.title(origin), "\n".join(ir), "\n".join(assembly))))
    return table


# --- the summary ---------------------------------------------------------------------------------------------------


def summary(shown: Shown) -> Iterator[str]:
    """What there is to say about the region as a whole."""
    found, region = shown.found, shown.found.region
    head = region.entries[0]
    yield f"{shown.place(head)}" + ("" if shown.page + head == shown.physical else f", physical {shown.physical:#x}")
    yield (
        f"  {_number(len(region.instructions), 'instruction')} of {found.guest_bytes} bytes,"
        f" {len(found.code)} bytes of host code, compiled in {found.milliseconds:.1f} ms"
    )
    yield f"  entered at {', '.join(f'+{at:#x}' for at in region.entries)} (offsets in the page)"
    first, last = region.span
    tests = [f"{name} & {mask:#x} == {value:#x}" for name, mask, value in found.assumptions]
    yield f"  assumes: {', '.join([f'the bytes from +{first:#x} to +{last:#x} are these', *tests])}"
    yield from (f"  {line}" for line in _leavings(shown))
    yield from (f"  {note}" for note in shown.notes)


def _leavings(shown: Shown) -> Iterator[str]:
    """Where it leaves to, by kind."""
    found = shown.found
    for how, verb in (("call", "calls"), ("jump", "jumps to"), ("next", "goes on at")):
        targets = sorted({each.target for each in found.leavings if each.how == how and each.target is not None})
        if targets:
            more = [f"and {len(targets) - _MOST_TARGETS} more"] if len(targets) > _MOST_TARGETS else []
            yield f"{verb}: {', '.join([*map(shown.place, targets[:_MOST_TARGETS]), *more])}"
    computed = [each for each in found.leavings if each.how == "computed"]
    if computed:
        yield f"jumps to computed addresses at {_offsets(computed)}"
    complete = [each for each in found.leavings if each.how == "complete"]
    if complete:
        reasons = ", ".join(dict.fromkeys(each.why for each in complete))
        yield f"leaves to complete execution at {_offsets(complete)} ({reasons})"
    if found.uncertain:
        yield (
            f"may leave {_number(found.uncertain, 'instruction')} to complete execution (an unmapped page, a device, a"
            " trap)"
        )


def _offsets(leavings: Iterable[Leaving]) -> str:
    return ", ".join(f"+{each.source:#x}" for each in leavings)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# --- for programs --------------------------------------------------------------------------------------------------


def _as_dict(shown: Shown, only: str | None) -> dict[str, Any]:
    found, region = shown.found, shown.found.region

    def lines(kind: str, all_lines: Sequence[Line], origin: int) -> list[str]:
        return [line.text for line in all_lines if line.origin == origin] if only in (None, kind) else []

    head = region.entries[0]
    return {
        "address": shown.page + head,
        "physical": shown.physical,
        "symbol": shown.name(head) or None,
        "entries": [shown.page + at for at in region.entries],
        "guest_bytes": found.guest_bytes,
        "host_bytes": len(found.code),
        "milliseconds": round(found.milliseconds, 3),
        "assumes": [{"register": name, "mask": mask, "value": value} for name, mask, value in found.assumptions],
        "leaves": [
            {
                "from": shown.page + each.source,
                "how": each.how,
                "to": None if each.target is None else (shown.page + each.target) % (1 << 64),
                "why": each.why or None,
            }
            for each in found.leavings
        ],
        "notes": list(shown.notes),
        "parts": [
            {
                "address": shown.page + origin if origin >= 0 else None,
                "what": "instruction" if origin >= 0 else _TITLES[origin],
                "guest": shown.guest(origin).split(maxsplit=1)[1].removeprefix("> ") if origin >= 0 else None,
                "ir": lines("ir", found.ir, origin),
                "assembly": lines("asm", found.assembly, origin),
            }
            for origin in shown.origins
        ],
    }


def list_regions(regions: Sequence[InstalledRegion], symbols: Symbols, *, as_json: bool) -> str:
    """The regions that are in place: guest-physical address, instructions, bytes of code, symbol."""
    rows = []
    for each in regions:
        address = each.page_address + each.record.head
        found = symbols.find(address, translated=False)
        name = "" if not found else f"{found[0]}+{found[1]:#x}" if found[1] else found[0]
        rows.append((address, each.record.instructions, len(each.record.code), len(each.record.entries), name))
    if as_json:
        names = ("physical", "instructions", "host_bytes", "entries", "symbol")
        return json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2)
    lines = [f"{'PHYSICAL':>14} {'INSTRUCTIONS':>12} {'CODE':>7} {'ENTRIES':>7}  SYMBOL"]
    lines += [
        f"{at:>#14x} {size:>12} {code:>7} {entries:>7}  {name}".rstrip() for at, size, code, entries, name in rows
    ]
    instructions = sum(each.record.instructions for each in regions)
    code = sum(len(each.record.code) for each in regions)
    return "\n".join([*lines, f"{_number(len(rows), 'region')}, {instructions:,} instructions, {code:,} bytes of code"])
