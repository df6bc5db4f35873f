"""The result of a run does not depend on what is compiled, or when that is done: whole guests, by their last state."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2b
from random import Random

import pytest

from hypernest.benchmark.programs import build_bare
from hypernest.benchmark.workloads import WORKLOADS, Kind
from hypernest.engines.translator import TranslatorEngine
from hypernest.engines.translator import engine as translator_engine
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Interrupt
from hypernest.machine import Machine, StopKind
from tests.engines.equivalence import LAYOUT, PAGE, RAM
from tests.engines.programs import CSRS
from tests.engines.translator.test_compiler_process import exists

MEMORY = 48 << 20
BARE = {each.program: each for each in WORKLOADS if each.kind is Kind.BARE and each.program != "nothing"}
# Engine words, and what depends on where the last run began.
_LEFT_OUT = [LAYOUT.index[name] for name in ("remaining", "clock_end")]


@dataclass(frozen=True)
class End:
    """How a run ended."""

    registers: bytes
    memory: str
    instructions: int
    now: int
    output: str


def machine_of(name: str, engine: str) -> Machine:
    program = build_bare(replace(BARE[name], count=BARE[name].quick_count), None)
    return Machine(firmware=program.elf, memory=MEMORY, engine=engine)


def end_of(machine: Machine, memory: int = MEMORY) -> End:
    hart = machine._board.harts[0]
    words = hart.words[: LAYOUT.words]
    for at in (*_LEFT_OUT, LAYOUT.index["x"] + 32):
        words[at] = 0
    digest = blake2b()
    for at in range(RAM, RAM + memory, 1 << 20):
        digest.update(machine.memory.read(at, 1 << 20))
    registers = b"".join(word.to_bytes(8, "little") for word in words)
    return End(registers, digest.hexdigest(), machine.instructions, machine.now, machine.console.read())


@cache
def expected(name: str) -> End:
    """What the interpreter leaves."""
    with machine_of(name, "interpreter") as machine:
        assert machine.run().kind is StopKind.POWER_OFF
        return end_of(machine)


def engine_of(machine: Machine) -> TranslatorEngine:
    engine = machine._board.engine
    assert isinstance(engine, TranslatorEngine)
    return engine


# --- when regions come -----------------------------------------------------------------------------------------------


def at_once(machine: Machine, random: Random) -> None:
    """The machine waits until what is hot is compiled."""
    for _ in range(3):
        machine.run(random.randrange(200_000, 400_000))
        deadline = time.monotonic() + 60
        while engine_of(machine)._library.compiler.outstanding:
            assert time.monotonic() < deadline
            machine.run(1000)


def by_chance(machine: Machine, random: Random) -> None:
    """Random places are compiled at random moments, hot or not."""
    engine = engine_of(machine)
    engine._set_shared("hot", 0)
    for _ in range(5):
        machine.run(random.randrange(1, 300_000))
        page = (machine.harts[0].pc - RAM) // PAGE
        offsets = engine.executed(page)
        engine.translate_now(page, random.sample(offsets, min(3, len(offsets))))


def meanwhile(machine: Machine, random: Random) -> None:
    """As it comes."""
    for _ in range(20):
        machine.run(random.randrange(1, 1_000_000))


def killed(machine: Machine, random: Random) -> None:
    """The compiler's process is killed, until it is given up."""
    compiler = engine_of(machine)._library.compiler
    for _ in range(60):
        machine.run(random.randrange(1, 60_000))
        if compiler.pid is not None and random.random() < 0.5:
            time.sleep(random.random() * 0.2)
            os.kill(compiler.pid, signal.SIGKILL)
    assert engine_of(machine).problem


WAYS: dict[str, Callable[[Machine, Random], None]] = {
    "by chance": by_chance,
    "meanwhile": meanwhile,
    "killed": killed,
}


def check(name: str, way: Callable[[Machine, Random], None], seed: str) -> Machine:
    with machine_of(name, "translator") as machine:
        way(machine, Random(seed))
        assert machine.run().kind is StopKind.POWER_OFF
        assert end_of(machine) == expected(name)
        return machine


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two samples are enough, and nothing is found on disk but the interpreter."""
    monkeypatch.setattr(translator_engine, "HOT", 2)
    monkeypatch.setattr("hypernest.engines.translator.library.RegionStore.load", lambda self, page: [])
    monkeypatch.setattr("hypernest.engines.translator.library.RegionStore.save", lambda self, page, head, record: None)


@pytest.mark.parametrize("name", BARE)
def test_every_guest_ends_the_same_in_regions(name: str) -> None:
    machine = check(name, at_once, f"at once {name}")
    counts = machine.stats.translation
    assert counts["regions_installed"] and counts["steps_translated"] > 1_000_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["integer", "sort", "nbody"])
def test_whenever_regions_come_the_end_is_the_same(name: str, way: str) -> None:
    check(name, WAYS[way], f"{way} {name}")


TIMER = f"""
    la   t0, handler
    csrw mtvec, t0
    li   t0, {1 << 63}
    csrw menvcfg, t0
    li   t0, {1 << Interrupt.SUPERVISOR_TIMER}
    csrw mie, t0
    csrr t0, time
    addi t0, t0, 20
    csrw stimecmp, t0
    li   s2, 88172645463325252
    csrrsi x0, mstatus, 8
1:  addi a0, a0, 1
    mul  a1, a1, s2
    add  a1, a1, a0
    andi t1, a0, 31
    bnez t1, 1b
    csrr a2, time
    xor  a1, a1, a2
    csrr a3, instret
    add  a1, a1, a3
    j    1b
handler:
    csrr t5, mepc
    add  s3, s3, t5
    xor  s3, s3, a0
    addi s4, s4, 1
    slli t5, s2, 13             # xorshift
    xor  s2, s2, t5
    srli t5, s2, 7
    xor  s2, s2, t5
    slli t5, s2, 17
    xor  s2, s2, t5
    andi t5, s2, 3
    csrr t6, time
    add  t5, t5, t6
    addi t5, t5, 1
    csrw stimecmp, t5
    mret
"""


def test_timer_interrupts_come_before_the_same_instruction() -> None:
    """Some hundred of them, at odd moments, in a loop of one region; the machine runs on in pieces of any size."""
    start = PAGE - len(assemble(TIMER, RAM, RISCV64.rows, CSRS))  # at a page's end few steps are enough
    jump = assemble(f"j . + {start}", RAM, RISCV64.rows, CSRS).ljust(start, b"\0")
    program, random = jump + assemble(TIMER, RAM + start, RISCV64.rows, CSRS), Random("timer")
    kinds = ("reference", "interpreter", "translator")
    machines = [Machine(firmware=program, memory="16M", engine=kind) for kind in kinds]
    steps, pieces = 24_000, 60
    reference, interpreter, translating = machines
    translating.run(500)
    engine_of(translating).translate_now(0, engine_of(translating).executed(0))
    for _ in range(pieces):
        translating.run(random.randrange(1, steps // pieces))
    translating.run(steps - translating.instructions)
    reference.run(steps)
    interpreter.run(steps)
    ends = [end_of(machine, 16 << 20) for machine in machines]
    assert ends[0] == ends[1] == ends[2] and machines[0].harts[0].x["s4"] > 60
    assert engine_of(translating).counts.regions_installed
    for machine in machines:
        machine.close()


def test_closing_while_compiling_leaves_no_process() -> None:
    with machine_of("sort", "translator") as machine:
        engine = engine_of(machine)
        for _ in range(200):
            machine.run(20_000)
            if engine._library.compiler.outstanding:
                break
        pid = engine._library.compiler.pid
        assert pid is not None and engine._library.compiler.outstanding and exists(pid)
        machine.close()
        assert not exists(pid)
