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
from hypernest.machine import Machine, StopKind
from tests.engines.equivalence import LAYOUT, PAGE, RAM
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


def end_of(machine: Machine) -> End:
    hart = machine._board.harts[0]
    words = hart.words[: LAYOUT.words]
    for at in (*_LEFT_OUT, LAYOUT.index["x"] + 32):
        words[at] = 0
    digest = blake2b()
    for at in range(RAM, RAM + MEMORY, 1 << 20):
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
        while engine_of(machine)._compiler.outstanding:
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
    compiler = engine_of(machine)._compiler
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
    monkeypatch.setattr("hypernest.engines.translator.engine.RegionStore.load", lambda self, page: [])
    monkeypatch.setattr("hypernest.engines.translator.engine.RegionStore.save", lambda self, page, head, record: None)


@pytest.mark.parametrize("name", BARE)
def test_every_guest_ends_the_same_in_regions(name: str) -> None:
    machine = check(name, at_once, f"at once {name}")
    counts = machine.stats.translation
    assert counts["regions_installed"] and counts["steps_translated"] > 1_000_000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["integer", "sort", "nbody"])
def test_whenever_regions_come_the_end_is_the_same(name: str, way: str) -> None:
    check(name, WAYS[way], f"{way} {name}")


def test_closing_while_compiling_leaves_no_process() -> None:
    with machine_of("sort", "translator") as machine:
        engine = engine_of(machine)
        for _ in range(200):
            machine.run(20_000)
            if engine._compiler.outstanding:
                break
        pid = engine._compiler.pid
        assert pid is not None and engine._compiler.outstanding and exists(pid)
        machine.close()
        assert not exists(pid)
