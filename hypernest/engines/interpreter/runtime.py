"""The parts of the interpreter that are not derived from the description: finding code and memory, and what happens
between instructions.

They are LLVM IR written by hand, in `native/`, with offsets filled in here. In all of it the hart is at %hart and RAM
at %ram; what is called from complete execution may count on `pc` and `remaining` being up to date. Five macros name
what would be offsets: `%v = GET type word` and `PUT type value word` for the hart's registers and engine words,
`%v = SHARED type word` and `SET type value word` for the structure that harts share, `COUNT word` for its counters.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from string import Template

from hypernest.engines.engine import Exit
from hypernest.engines.interpreter.quick import index_shift
from hypernest.engines.interpreter.words import (
    BLOCK_BYTES,
    CODE_ENTRIES,
    CODE_ENTRY_BYTES,
    COLD_SLICE,
    CONTEXTS,
    COVERED_AT,
    COVERING,
    DATA_ENTRIES,
    DATA_ENTRY_BYTES,
    HEADER,
    HEADER_AT,
    HEAT_ENTRIES,
    LARGE_BITS,
    LONG_WALK,
    PAGE_SLOTS,
    PATIENCE,
    REMAINING_AT,
    REPORTS,
    SHARED,
    WALK,
    WARM_SLICE,
    WINDOW_BITS,
    WINDOW_PAGES,
    WINDOW_RUN,
    WINDOW_STRIDE,
    WINDOW_ZERO,
    WRITABLE_PLACES,
    WRITES_AT,
    EngineWords,
)
from hypernest.engines.watched import Kind
from hypernest.isa.hart import Access
from hypernest.isa.layout import Layout

_SOURCES = Path(__file__).parent / "native"
_WIDTHS = (8, 16, 32, 64)

_NAME, _TYPE, _VALUE = r"(%[\w.]+)", r"(\w+)", r"(\S+)"
# What a macro's line becomes; {n} is a number of its own, {0} and so on are what the parentheses matched.
_MACROS = (
    (
        rf"{_NAME} = GET {_TYPE} (\w+)",
        "{0}.at = getelementptr i8, ptr %hart, i64 ${{{2}}}\n  {0} = load {1}, ptr {0}.at, !tbaa !4",
    ),
    (
        rf"PUT {_TYPE} {_VALUE} (\w+)",
        "%put{n} = getelementptr i8, ptr %hart, i64 ${{{2}}}\n  store {0} {1}, ptr %put{n}, !tbaa !4",
    ),
    (
        rf"{_NAME} = SHARED {_TYPE} (\w+)",
        "{0}.at = getelementptr i8, ptr %shared, i64 ${{shared_{2}}}\n  {0} = load {1}, ptr {0}.at, !tbaa !4",
    ),
    (
        rf"SET {_TYPE} {_VALUE} (\w+)",
        "%set{n} = getelementptr i8, ptr %shared, i64 ${{shared_{2}}}\n  store {0} {1}, ptr %set{n}, !tbaa !4",
    ),
    (
        r"COUNT (\w+)",
        "%count{n} = getelementptr i8, ptr %shared, i64 ${{shared_{0}}}\n"
        "  %old{n} = load i64, ptr %count{n}, !tbaa !4\n"
        "  %new{n} = add i64 %old{n}, 1\n  store i64 %new{n}, ptr %count{n}, !tbaa !4",
    ),
)


def print_runtime(layout: Layout, words: EngineWords, illegal_instruction: int) -> str:
    """The IR of all files in `native/`, for a hart with this layout."""
    data, code = 2 * DATA_ENTRIES * DATA_ENTRY_BYTES, CODE_ENTRIES * CODE_ENTRY_BYTES
    values: dict[str, int | str] = {
        **{name: 8 * index for name, index in layout.index.items()},
        **{name: 8 * index for name, index in words.offsets.items()},
        **{f"shared_{name}": 8 * i for i, name in enumerate(SHARED)},
        **{name: HEADER_AT + 8 * i for i, name in enumerate(HEADER)},
        "data_tables": 8 * words.data_tables, "code_tables": 8 * words.code_tables,
        "DATA_BYTES": data, "DATA_TABLES_BYTES": data * CONTEXTS, "WRITES_AT": WRITES_AT,
        "DATA_SHIFT": index_shift(DATA_ENTRY_BYTES), "DATA_MASK": (DATA_ENTRIES - 1) * DATA_ENTRY_BYTES,
        "DATA_ENTRY_BYTES": DATA_ENTRY_BYTES, "CODE_BYTES": code, "CODE_TABLES_BYTES": code * CONTEXTS,
        "CODE_SHIFT": index_shift(CODE_ENTRY_BYTES), "CODE_MASK": (CODE_ENTRIES - 1) * CODE_ENTRY_BYTES,
        "large": 8 * words.large, "LARGE_MASK": LARGE_BITS - 1, "LARGE_BYTES": LARGE_BITS // 8,
        "mapped": 8 * words.mapped, "WINDOW_STRIDE": WINDOW_STRIDE, "WINDOWS_BYTES": CONTEXTS * WINDOW_STRIDE,
        "WINDOW_ZERO": WINDOW_ZERO, "WINDOW_BITS": WINDOW_BITS, "WINDOW_HALF": 1 << WINDOW_BITS - 1,
        "WINDOW_RUN": WINDOW_RUN, "RUN_MASK": WINDOW_RUN - 1, "WINDOW_PAGES": WINDOW_PAGES,
        "LAST_CONTEXT": CONTEXTS - 1, "MACHINE_ZERO": 3 * WINDOW_STRIDE + WINDOW_ZERO,
        "PLACES": WRITABLE_PLACES, "PLACES_BYTES": 8 * WRITABLE_PLACES,
        "PAGE_SLOTS": PAGE_SLOTS, "COVERED_AT": COVERED_AT, "COVERED_BYTES": PAGE_SLOTS // 8,
        "REMAINING_AT": REMAINING_AT,
        "COLD_SLICE": COLD_SLICE, "WARM_SLICE": WARM_SLICE, "WALK": WALK, "LONG_WALK": LONG_WALK, "PATIENCE": PATIENCE,
        "HEAT_MASK": HEAT_ENTRIES - 1,
        "REPORTS": REPORTS, "BLOCK_BYTES": BLOCK_BYTES, "ILLEGAL": illegal_instruction, "EXECUTE": "-2",
        **{each.name: int(each) for each in Exit},
        "COVERING": COVERING,
        **{f"ON_{each.name}": int(each) for each in Kind},
    }  # fmt: skip
    texts = [
        _expand(name, values)
        for name in (
            "dispatch",
            "sampling",
            "adoption",
            "attend",
            "step",
            "code_pages",
            "translations",
            "host_pages",
            "entries",
            "watching",
        )
    ]
    texts += [
        _expand(name, values | {"ACCESS": int(access), "KIND": int(kind), "TAG": tag})
        for access, kind, tag in ((Access.READ, Kind.READ, 0), (Access.WRITE, Kind.WRITE, WRITES_AT))
        for name in ("locate", "fill", "announced_access")
    ]
    texts += [_expand("physical", values | {"BITS": bits, "BYTES": bits // 8}) for bits in _WIDTHS]
    return "".join(texts)


def _expand(name: str, values: dict[str, int | str]) -> str:
    """The text of `native/<name>.ll` with macros and offsets replaced."""
    text = (_SOURCES / f"{name}.ll").read_text()
    numbers = itertools.count()

    def expansion(form: str) -> Callable[[re.Match[str]], str]:
        return lambda found: form.format(*found.groups(), n=f".{next(numbers)}")

    for pattern, form in _MACROS:
        text = re.sub(pattern, expansion(form), text)
    return Template(text).substitute(values)
