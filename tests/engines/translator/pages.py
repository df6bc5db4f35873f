"""Pages of guest code for the analyses' tests: assembled from a few lines, with what was executed of them."""

from __future__ import annotations

from collections.abc import Iterable

from hypernest.engines.translator.code_page import PAGE_BYTES, PARCEL, CodePage, Translations
from hypernest.engines.translator.meaning import Place
from hypernest.engines.translator.region import Region, form_region
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.abi import INTEGER_NUMBERS
from hypernest.isa.riscv.riscv64 import RISCV64

TABLES = Translations(RISCV64)
ALL = range(0, PAGE_BYTES, PARCEL)


def page_of(text: str, executed: Iterable[int] = ALL, tables: Translations = TABLES) -> CodePage:
    """The program at the beginning of a page whose rest is zeros, which are illegal; `executed` gives offsets."""
    code = assemble(text, 0, tables.isa.rows, {}).ljust(PAGE_BYTES, b"\0")
    return CodePage(tables, code, sum(1 << offset // PARCEL for offset in executed))


def region_of(text: str, executed: Iterable[int] = ALL, head: int = 0, targets: Iterable[int] = ()) -> Region:
    """The region with this head in such a page; there must be one."""
    region = form_region(page_of(text, executed), head, targets)
    assert region is not None
    return region


def x(names: str) -> set[Place]:
    """The integer registers with these ABI names."""
    return {("x", INTEGER_NUMBERS[name]) for name in names.split()}
