"""Code that is written while it runs, without fence.i: both engines see the bytes that are there.

Each guest leaves in a0 a number that says which instructions ran, so the test does not depend on either engine being
right. `NEW` is the encoding of an instruction that the guest stores over another one.
"""

from __future__ import annotations

from random import Random

import pytest

from hypernest.engines.hart_state import HartState
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege
from tests.engines.equivalence import LAYOUT, PAGE, RAM, Pair
from tests.engines.programs import CSRS, SECOND_VIEW, TABLES, VIRTUAL, map_views
from tests.engines.translations import EVERYTHING, DirectedTranslator, translator

START = RAM + PAGE


def word(text: str) -> int:
    return int.from_bytes(assemble(text, 0, RISCV64.rows, CSRS), "little")


ADD_100 = word("addi a0, a0, 100")
TWO_HALVES = word("c.addi a0, 10\n c.addi a0, 20")

# name -> (text, a0 at the end). The end is a jump to itself.
GUESTS: dict[str, tuple[str, int]] = {
    "the next instruction": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100}
        sw   t1, 0(t0)
    1:  addi a0, a0, 1
    end: j end
    """,
        100,
    ),
    "an instruction that has run, in the same 64 bytes": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100}
        li   s0, 2
    1:  addi a0, a0, 1
        sw   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        101,
    ),
    "an instruction that has run, elsewhere in the page": (
        f"""
        la   t0, work
        li   t1, {ADD_100}
        call work
        sw   t1, 0(t0)
        call work
    end: j end
        .align 9
    work: addi a0, a0, 1
        ret
    """,
        101,
    ),
    "an instruction that has run, in another page": (
        f"""
        la   t0, work
        li   t1, {ADD_100}
        call work
        sw   t1, 0(t0)
        call work
    end: j end
        .align 12
    work: addi a0, a0, 1
        ret
    """,
        101,
    ),
    "only the upper half of an instruction": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100 >> 16}
        li   s0, 2
    1:  addi a0, a0, 1
        sh   t1, 2(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        101,
    ),
    "one long instruction becomes two short ones": (
        f"""
        la   t0, 1f
        li   t1, {TWO_HALVES}
        li   s0, 2
    1:  addi a0, a0, 1
        sw   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        31,
    ),
    "two short instructions become a long one": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100}
        li   s0, 2
    1:  c.addi a0, 1
        c.addi a0, 2
        sw   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        103,
    ),
    "instructions that have not run yet become shorter, between a jump and the end of the page": (
        f"""
        la   t0, far
        li   t1, {TWO_HALVES}
        sw   t1, 0(t0)
        sw   t1, 4(t0)
        j    near
        .align 8
    far: addi a0, a0, 1
        addi a0, a0, 1
        j    end
        .align 7
    near: addi a0, a0, 1
        j    far
        .align 8
    end: j end
    """,
        61,
    ),
    "an instruction across two pages, its second half": (
        f"""
        li   t1, {ADD_100 >> 16}
        la   t0, 1f
        li   s0, 2
        j    1f
        .align 12
        .zero {PAGE - 2}
    1:  addi a0, a0, 1
        sh   t1, 2(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        101,
    ),
    "an instruction across two pages, its first half": (
        f"""
        li   t1, {word("addi a1, a0, 1") & 0xFFFF}
        la   t0, 1f
        li   s0, 2
        li   a1, 50
        j    1f
        .align 12
        .zero {PAGE - 2}
    1:  addi a0, a0, 1
        sh   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
        add  a0, a0, a1
    end: j end
    """,
        1 + 2,
    ),
    "eight bytes across two pages of code": (
        f"""
        li   t1, {ADD_100 << 32 | ADD_100}
        la   t0, 1f
        li   s0, 2
        j    2f
        .align 12
        .zero {PAGE - 4}
    1:  addi a0, a0, 1
        addi a0, a0, 2
        addi s0, s0, -1
        beqz s0, end
    2:  sd   t1, 0(t0)
        j    1b
    end: j end
    """,
        400,
    ),
    "a page that was written before it held code": (
        f"""
        la   t0, work
        li   t1, {ADD_100}
        li   t2, {word("ret")}
        sw   t1, 0(t0)
        sw   t2, 4(t0)
        sw   t1, 0(t0)
        call work
        li   t1, {word("addi a0, a0, 7")}
        sw   t1, 0(t0)
        call work
    end: j end
        .align 12
    work: .zero 8
    """,
        107,
    ),
    "the second half of a jump across 64 bytes": (
        f"""
        la   t0, 1f
        li   t1, {word("beq x0, x0, 194") >> 16}
        j    1f
        .align 6
        .zero 62
    1:  beq  x0, x0, 1b + 130  # over the rest of its 64 bytes
        .align 6
        .zero 64
        sh   t1, 2(t0)
        addi a0, a0, 1
        j    1b
        .align 6
    end: j end
    """,
        1,
    ),
    "eight bytes of which only the last are code": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100 << 32}
        li   s0, 2
        j    1f
        .align 6
        .zero 64
    1:  addi a0, a0, 1
        sd   t1, -4(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        101,
    ),
    "the store itself": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100}
        li   s0, 2
    1:  sw   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """,
        100,
    ),
    "by an atomic operation, a floating-point store and cbo.zero": (
        f"""
        la   t0, 1f
        li   t1, {ADD_100}
        li   s0, 3
        fmv.w.x fa0, t1
    1:  addi a0, a0, 1
        addi a0, a0, 1
        addi s0, s0, -1
        beqz s0, 2f
        addi t2, t0, 4
        amoswap.w t3, t1, (t2)
        fsw  fa0, 0(t0)
        j    1b
    2:  la   t0, 3f
        la   t1, trap
        csrw mtvec, t1
        call 3f
        cbo.zero (t0)
        call 3f
    trap: addi a0, a0, 7
    end: j end
        .align 6
    3:  addi a0, a0, 1
        ret
    """,
        2 + 200 + 200 + 1 + 7,
    ),
}


@pytest.fixture
def pair() -> Pair:
    """New engines each time: none remembers that a page once held code."""
    return Pair(1 << 17)


def load(pair: Pair, text: str) -> None:
    """Both engines at reset with a guest in M-mode."""
    pair.write(RAM, bytes(pair.size))
    pair.write(START, assemble(text, START, RISCV64.rows, CSRS))
    load_registers(pair)


def load_registers(pair: Pair) -> None:
    pair.set_state(HartState(LAYOUT).snapshot())
    pair["pc"], pair["mstatus"] = START, 3 << 13


def run_to_the_end(pair: Pair, size: int) -> None:
    """In runs of `size` steps, compared after each."""
    for _ in range(100 // size + 2):
        pair.run(size)
        if pair.reference.memory.read_integer(pair["pc"], 4) == word("j ."):
            return
    pytest.fail("the guest did not reach its end")


@pytest.mark.parametrize("size", [1, 3, 2500])
@pytest.mark.parametrize("name", GUESTS)
def test_stores_to_code(pair: Pair, name: str, size: int) -> None:
    text, expected = GUESTS[name]
    load(pair, text)
    run_to_the_end(pair, size)
    assert pair["x", 10] == expected


@pytest.fixture(scope="module")
def translating() -> Pair:
    return Pair(1 << 17, DirectedTranslator)


@pytest.mark.parametrize("name", GUESTS)
def test_stores_to_code_in_regions(translating: Pair, name: str) -> None:
    """The guest is compiled, from a few places, before it has run."""
    text, expected = GUESTS[name]
    engine, random = translator(translating), Random(name)
    engine.forget()
    load(translating, text)
    length = len(assemble(text, START, RISCV64.rows, CSRS))
    for page in range(START - RAM, START - RAM + length, PAGE):
        translating["pc"] = RAM + page
        translating.run(1)  # the page gets slots
        places = range(page, min(page + PAGE, START - RAM + length), 2)
        heads = [place % PAGE for place in random.sample(places, min(3, len(places)))]
        engine.translate(page // PAGE, [0, *heads, PAGE - 2], EVERYTHING)
    assert engine.counts.regions_installed
    load_registers(translating)
    run_to_the_end(translating, random.choice((2070, 2500)))
    assert translating["x", 10] == expected


@pytest.mark.parametrize("size", [1, 4, 2500])
def test_a_store_through_another_mapping(pair: Pair, size: int) -> None:
    text = f"""
        li   t0, {SECOND_VIEW + PAGE}
        la   t2, 1f
        li   t1, {VIRTUAL + PAGE}
        sub  t2, t2, t1
        add  t0, t0, t2
        li   t1, {ADD_100}
        li   s0, 3
    1:  addi a0, a0, 1
        sw   t1, 0(t0)
        addi s0, s0, -1
        bnez s0, 1b
    end: j end
    """
    load(pair, "j .")
    pair.write(START, assemble(text, VIRTUAL + PAGE, RISCV64.rows, CSRS))
    map_views(pair, VIRTUAL, SECOND_VIEW)
    pair["satp"], pair["priv"] = 8 << 60 | (RAM + TABLES) >> 12, Privilege.SUPERVISOR
    pair["pmpcfg"], pair["pmpaddr"] = 0x1F, (1 << 54) - 1
    pair["menvcfg"], pair["pc"] = 1 << 61, VIRTUAL + PAGE
    for _ in range(100 // size + 1):
        pair.run(size)
    assert pair["x", 10] == 201


@pytest.mark.parametrize("size", [7, 1500])
def test_direct_memory_access(pair: Pair, size: int) -> None:
    """A device writes where the loop runs; the next run sees it."""
    load(pair, "1: addi a0, a0, 1\n addi a1, a1, 1\n j 1b")
    pair.run(3 * size)
    before = pair["x", 10]
    assert before == size
    pair.write(START, ADD_100.to_bytes(4, "little"))
    pair.run(3 * size)
    assert pair["x", 10] == before + 100 * size
    pair.write(START + 6, (word("addi a1, a1, 3") >> 16).to_bytes(2, "little"))  # half of an instruction
    before = pair["x", 11]
    pair.run(3 * size)
    assert pair["x", 11] == before + 3 * size


def test_a_device_writes_part_of_a_page_and_a_page_without_code(pair: Pair) -> None:
    load(pair, "1: addi a0, a0, 1\n j 1b\n .align 11\n 2: addi a0, a0, 5\n j 1b")
    pair.run(10)
    pair.write(START + 2048, ADD_100.to_bytes(4, "little"))
    pair["pc"] = START + 2048
    pair.run(2)
    assert pair["x", 10] == 105
    pair.write(START + 5 * PAGE, b"\x13" * PAGE)
    pair.run(10)
    assert pair["x", 10] == 110
