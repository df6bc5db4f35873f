"""Host pages: regions with loads and stores in windows of host memory behave as the reference engine, too."""

from __future__ import annotations

import faulthandler
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from random import Random

import pytest

from hypernest.engines.interpreter.words import WINDOW_BITS, WINDOW_GUARD
from hypernest.engines.translator.host_pages import MemoryPath
from hypernest.isa.riscv.state import Privilege
from tests.engines.equivalence import PAGE, RAM, Pair
from tests.engines.programs import DATA, TABLES, VIRTUAL, map_views
from tests.engines.translations import DirectedTranslator, translator
from tests.engines.translator.structured import Structured
from tests.engines.translator.test_regions import SIZE, exits, load, run_program, translate_all, translate_start

HostTranslator = partial(DirectedTranslator, memory_path=MemoryPath.HOST)
HALF = 1 << WINDOW_BITS - 1
SV39, SV48 = 8, 9


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair(SIZE, HostTranslator)
    assert translator(made).problem is None
    yield made
    translator(made).close()


def mapped(pair: Pair) -> int:
    """How often something was mapped into a window: regions have used it."""
    return translator(pair).statistics()["host_pages_mapped"]


# --- random programs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("paged", [False, True], ids=["bare", "paged"])
def test_random_programs(pair: Pair, paged: bool, seed: int) -> None:
    before = exits(pair)
    run_program(pair, Structured(f"host pages {seed}", faults=0.1), f"host pages {seed}", paged=paged)
    assert exits(pair) > before


# --- one thing at a time ---------------------------------------------------------------------------------------------

COPY = """
1:  ld   x16, 0(x10)
    sd   x16, 8(x11)
    addi x12, x12, 1
    bne  x12, x13, 1b
2:  j    2b
"""


def start(pair: Pair, text: str, **registers: int) -> int:
    """The program in a region from its first instruction, which was executed once with registers that do no harm."""
    at = load(pair, text)
    for number in (10, 11):
        pair["x", number] = RAM + DATA
    pair["x", 13] = 1
    pair.run(8, about="first")
    translate_start(pair, at)
    pair["pc"], pair["x", 12], pair["x", 13] = at, 0, 3
    for name, value in registers.items():
        pair["x", int(name[1:])] = value
    return at


@pytest.mark.parametrize("size", ["b", "h", "w", "d"])
def test_every_width_at_every_alignment(pair: Pair, size: str) -> None:
    unsigned = "" if size == "d" else f"l{size}u x17, 1(x10)"
    text = f"1: l{size} x16, 0(x10)\n {unsigned}\n s{size} x16, 3(x11)\n fld fa0, 0(x10)\n fsd fa0, 16(x11)\n j 1b\n"
    for offset in (0, 1, 3, PAGE - 8, PAGE - 4, PAGE - 1):
        start(pair, text, x10=RAM + DATA + offset, x11=RAM + DATA + PAGE + offset)
        pair.write(RAM + DATA, bytes(Random(size).randbytes(4 * PAGE)))
        before = mapped(pair)
        pair.run(40, about=f"{size} at {offset}")
        assert mapped(pair) > before


@pytest.mark.parametrize(
    "address",
    [
        RAM + SIZE - 8, RAM + SIZE - 4, RAM + SIZE, RAM - 4, 0, (1 << 64) - 8, 1 << 63,
        HALF - 8, HALF, HALF + 4096, HALF + WINDOW_GUARD, (1 << WINDOW_BITS) + RAM, (1 << 47) - 8, 1 << 47,
        (1 << 64) - HALF, (1 << 64) - HALF - 8, (1 << 64) - HALF - 2 * WINDOW_GUARD, (1 << 64) - (1 << 46),
    ],
    ids=hex,
)  # fmt: skip
@pytest.mark.parametrize("register", ["x10", "x11"])
def test_addresses_where_nothing_is(pair: Pair, register: str, address: int) -> None:
    """Whatever a guest computes, it does not get out of its window."""
    start(pair, COPY, **{register: address})
    pair.run(30, about=f"{register} at {address:#x}")


def test_registers_that_move_stay_in_the_window(pair: Pair) -> None:
    """One check serves several accesses, but not those that are far away by then."""
    text = "1: ld x16, 0(x10)\n" + " addi x10, x10, 2047\n ld x17, 0(x10)\n" * 40 + " j 1b\n"
    for first in (HALF - 40 * 2047, HALF - WINDOW_GUARD, HALF - 8, RAM + SIZE - 20 * 2047, RAM + DATA):
        start(pair, text, x10=first)
        pair.run(60, about=hex(first))


def test_a_run_of_pages_stops_at_code(pair: Pair) -> None:
    """Pages around data are mapped with it, where addresses are physical; those with code are not writable."""
    start(pair, COPY, x10=RAM + DATA, x11=RAM + DATA)
    before = mapped(pair)
    pair.run(13)
    assert mapped(pair) == before + 1


def test_stores_to_code_that_is_running(pair: Pair) -> None:
    at = start(pair, COPY, x10=RAM + DATA)
    for distance in (0, 4, 8, 12, 16):
        pair["pc"], pair["x", 11], pair["x", 12] = at, at + distance - 8, 0
        pair.run(25, about=f"store {distance}")


def test_a_data_page_becomes_code(pair: Pair) -> None:
    """It was writable in a window; what is written after it was executed must be seen."""
    at = start(pair, COPY, x11=RAM + DATA)
    pair.run(13, about="map")
    target = RAM + DATA + PAGE - 8
    for instruction in (0x00180813, 0x00280813, 0x00380813):  # addi x16, x16, 1, 2 or 3
        pair.write(RAM + DATA, instruction.to_bytes(4, "little") + (0xFFDFF06F).to_bytes(4, "little"))  # and back
        pair["pc"], pair["x", 11], pair["x", 12] = at, target - 8, 0
        pair.run(13, about="written by a region")
        pair["pc"] = target
        pair.run(21, about="executed")


# --- translation -----------------------------------------------------------------------------------------------------

READ, WRITE, USER, ACCESSED, DIRTY = 2, 4, 16, 64, 128
ENTRIES = RAM + TABLES + 2 * PAGE + (VIRTUAL >> 12 & 511) * 8  # the last table, as `map_views` makes it


def leaf(pair: Pair, page: int, flags: int, frame: int | None = None) -> None:
    """What the page at VIRTUAL + page is."""
    entry = ((RAM >> 12) + (page if frame is None else frame)) << 10 | flags
    pair.write(ENTRIES + page * 8, entry.to_bytes(8, "little"))


def flush(pair: Pair) -> None:
    for side in pair.sides:
        side.engine.flush_translations(side.hart)


def start_paged(pair: Pair, **registers: int) -> int:
    """The copying program in S-mode behind page tables; where it begins."""
    at = start(pair, COPY)
    map_views(pair, VIRTUAL)
    pair["satp"], pair["priv"] = SV39 << 60 | (RAM + TABLES) >> 12, Privilege.SUPERVISOR
    pair["pmpcfg"], pair["pmpaddr"], pair["menvcfg"] = 0x1F, (1 << 54) - 1, 1 << 61
    flush(pair)
    pair["pc"], pair["x", 10], pair["x", 11] = at - RAM + VIRTUAL, VIRTUAL + DATA, VIRTUAL + DATA
    for name, value in registers.items():
        pair["x", int(name[1:])] = value
    return at - RAM + VIRTUAL


D = DATA // PAGE


@pytest.mark.parametrize("source", [0, 1, 1 | READ, 1 | READ | WRITE, 1 | READ | USER, 1 | WRITE], ids=hex)
@pytest.mark.parametrize("target", [1 | READ, 1 | READ | WRITE, 1 | READ | WRITE | DIRTY | ACCESSED], ids=hex)
def test_permissions_and_marks(pair: Pair, source: int, target: int) -> None:
    """Traps, accessed and dirty bits; also of accesses that cross from one page into the other."""
    for x10, x11 in ((0, PAGE), (PAGE - 4, PAGE), (2 * PAGE - 4, PAGE), (0, PAGE - 12), (0, 2 * PAGE - 12)):
        start_paged(pair, x10=VIRTUAL + DATA + x10, x11=VIRTUAL + DATA + x11)
        leaf(pair, D, source)
        leaf(pair, D + 1, target)
        leaf(pair, D + 2, source)
        flush(pair)
        pair.run(13, about=f"{source:#x} to {target:#x} at {x10:#x}, {x11:#x}")


def test_mappings_that_change(pair: Pair) -> None:
    """After a fence, all that a window held is asked for again."""
    for flags, frame in ((7, D + 1), (3, D + 2), (7, D + 2), (0, D), (7, D), (1 | READ | WRITE | USER, D)):
        at = start_paged(pair)
        before = mapped(pair)
        pair.run(13)
        assert mapped(pair) > before
        leaf(pair, D, flags, frame)
        flush(pair)
        pair["pc"], pair["x", 12] = at, 0
        pair.run(13, about=f"{flags:#x} to {frame}")


FENCE = """
1:  ld   x16, 0(x10)
    sd   x16, 8(x10)
    sd   x14, 0(x15)
    sfence.vma x10, x0
    addi x12, x12, 1
    ld   x17, 0(x10)
    sd   x14, 16(x10)
2:  j    2b
"""


def test_fence_of_one_page(pair: Pair) -> None:
    """The guest changes an entry and fences that page only."""
    at = load(pair, FENCE)
    pair["x", 10] = pair["x", 15] = RAM + DATA
    pair.run(12)
    translate_all(pair)
    map_views(pair, VIRTUAL)
    leaf(pair, 15, 7, (ENTRIES - RAM) // PAGE)  # the table itself
    pair["satp"], pair["pmpcfg"], pair["pmpaddr"], pair["menvcfg"] = (
        SV39 << 60 | (RAM + TABLES) >> 12, 0x1F, (1 << 54) - 1, 1 << 61,
    )  # fmt: skip
    pair["priv"] = Privilege.SUPERVISOR
    flush(pair)
    entry = ((RAM >> 12) + D + 1) << 10
    pair.write(RAM + DATA, bytes(range(64)))
    pair.write(RAM + DATA + PAGE, bytes(range(64, 128)))
    for flags in (7, 3, 0, 7):
        pair["pc"], pair["x", 10], pair["x", 14] = at - RAM + VIRTUAL, VIRTUAL + DATA, entry | flags
        pair["x", 15] = VIRTUAL + 15 * PAGE + (ENTRIES + D * 8) % PAGE
        pair.run(12, about=hex(flags))


def test_a_large_page_is_mapped_as_far_as_it_goes(pair: Pair) -> None:
    at = start_paged(pair)
    middle = RAM + TABLES + PAGE + (VIRTUAL >> 21 & 511) * 8
    for flags in (0xF, 0xB, 0xF):
        pair.write(middle, ((RAM >> 12) << 10 | flags).to_bytes(8, "little"))
        flush(pair)
        pair["priv"], pair["pc"], pair["x", 10], pair["x", 12] = Privilege.SUPERVISOR, at, VIRTUAL + DATA, 0
        before = mapped(pair)
        pair.run(13, about=hex(flags))
        assert mapped(pair) > before


def test_wide_address_spaces_use_the_soft_path() -> None:
    made = Pair(SIZE, HostTranslator)
    start(made, COPY)
    made["satp"] = SV48 << 60
    made.run(13)
    before, installed = mapped(made), translator(made).counts.regions_installed
    start(made, COPY)
    made.run(13)
    assert mapped(made) == before
    assert translator(made).counts.regions_installed > installed
    translator(made).close()


def test_a_host_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second hart gets no windows: no region uses any, then, and the user is told."""
    made = Pair(SIZE, HostTranslator)
    engine = translator(made)
    monkeypatch.setattr("hypernest.engines.translator.host_pages.WINDOWS_BYTES", 1 << 60)
    engine.new_hart()
    assert engine.problem is not None and "host pages" in engine.problem
    start(made, COPY)
    made.run(13)
    assert mapped(made) == 0
    engine.close()


# --- beside the guest ------------------------------------------------------------------------------------------------


def test_too_many_pages_begin_anew(pair: Pair) -> None:
    start(pair, COPY)
    engine = translator(pair)
    engine._set_shared("pages_mapped", 1 << 20)
    pair.run(13)
    assert engine._shared_value("pages_mapped") < 10


def test_a_host_that_maps_nothing(pair: Pair) -> None:
    """Each access is executed completely, then."""
    start(pair, COPY)
    engine = translator(pair)
    flush(pair)
    file = engine._shared_value("memory_file")
    engine._set_shared("memory_file", 0x7FFF_FFFF)
    try:
        before = exits(pair)
        pair.run(13)
        assert exits(pair) > before
    finally:
        engine._set_shared("memory_file", file)


def test_closed_engines_go_on_without_regions() -> None:
    made = Pair(SIZE, HostTranslator)
    start(made, COPY)
    made.run(13)
    translator(made).close()
    made["pc"], made["x", 12] = made["pc"] - 16, 0
    made.run(30)


def test_another_handler_that_comes_later(pair: Pair) -> None:
    """faulthandler takes SIGSEGV for itself when it is enabled; the next run takes it back."""
    start(pair, COPY)
    pair.run(13)
    enabled = faulthandler.is_enabled()
    faulthandler.disable()
    faulthandler.enable()
    try:
        flush(pair)
        start(pair, COPY)
        pair.run(13)
    finally:
        if not enabled:
            faulthandler.disable()


@pytest.mark.parametrize("between", ["", "import faulthandler; faulthandler.enable()"], ids=["once", "again"])
@pytest.mark.parametrize("python", [[], ["-X", "faulthandler"]], ids=["default", "faulthandler"])
def test_faults_of_the_host_still_end_it(python: list[str], between: str) -> None:
    """What is no access of a guest goes to the handler that was there before, even if that hands it back."""
    text = (
        "import ctypes\nfrom hypernest.engines.translator.host_faults import host_faults\n"
        f"host_faults().install()\n{between}\nhost_faults().install()\nctypes.string_at(16)\n"
    )
    done = subprocess.run([sys.executable, *python, "-c", text], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGSEGV
    assert (b"Segmentation fault" in done.stderr) == bool(python or between)
    assert done.stderr.count(b"most recent call first") <= 2
