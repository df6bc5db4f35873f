"""Native engines in lockstep with the reference over windows of real guests: benchmarks, and the boot of Debian."""

from __future__ import annotations

import time
from collections import Counter
from random import Random

import pytest

from hypernest.benchmark.programs import build_bare
from hypernest.benchmark.workloads import WORKLOADS, Kind
from hypernest.engines.translator import TranslatorEngine
from hypernest.images import Image
from hypernest.machine import Machine, StopKind
from tests.engines.equivalence import RAM, differing_registers
from tests.engines.lockstep import lockstep

BARE = {workload.program: workload for workload in WORKLOADS if workload.kind is Kind.BARE}
PAGE_FAULTS = ("instruction page fault", "load page fault", "store page fault")


@pytest.mark.parametrize("name", BARE)
def test_benchmark_programs(name: str) -> None:
    program = build_bare(BARE[name], None)
    random = Random(name)
    with Machine(firmware=program.elf, memory="128M", engine="interpreter") as machine:
        for _ in range(3):
            with lockstep(machine):
                machine.run(3000)
            if machine.run(random.randrange(3_000_000)).kind is not StopKind.LIMIT:
                break


@pytest.mark.parametrize("name", ["integer", "mandelbrot", "nbody"])
def test_benchmark_programs_in_regions(name: str) -> None:
    program = build_bare(BARE[name], None)
    random = Random(name)
    with Machine(firmware=program.elf, memory="64M", engine="translator") as machine:
        machine.run(random.randrange(2_000_000, 4_000_000))
        wait_for_regions(machine)
        before = machine.stats.translation["steps_translated"]
        with lockstep(machine):
            assert machine.run(5000).kind is StopKind.LIMIT
        assert machine.stats.translation["steps_translated"] > before


def wait_for_regions(machine: Machine) -> None:
    """Run until everything that was hot is compiled."""
    engine = machine._board.engine
    assert isinstance(engine, TranslatorEngine)
    deadline = time.monotonic() + 30
    machine.run(10_000)
    while engine._library.compiler.outstanding:
        assert time.monotonic() < deadline, "compiling takes too long"
        machine.run(10_000)
    assert not engine.problem


def run_to_the_timer(machine: Machine) -> None:
    """To some hundred steps before the next timer interrupt of hart 0."""
    left = machine.harts[0].csr["stimecmp"] * 100 - machine.now - 400
    if 0 < left < 100_000_000:
        machine.run(left)


def run_to_a_page_fault(machine: Machine) -> None:
    """To shortly behind one: they come in bursts when a program starts."""

    def faults() -> int:
        traps = machine.stats.traps
        return sum(traps.get(name, 0) for name in PAGE_FAULTS)

    before = faults()
    for _ in range(50_000):
        machine.run(200)
        if faults() > before:
            return
    pytest.fail("there was no page fault in ten million instructions")


@pytest.mark.parametrize(
    "options",
    [{"engine": "interpreter"}, {"engine": "translator", "append": "no4lvl"}, {"engine": "translator", "harts": 2}],
    ids=["interpreter, sv57", "translator, sv39", "translator, two harts"],
)
def test_the_boot_of_debian(debian_image: Image, options: dict[str, object]) -> None:
    """Windows of random length, from the first instruction to a command at the shell."""
    random, seen = Random(str(options)), Counter[str]()
    with Machine(image=debian_image, memory="128M", **options) as machine:  # type: ignore[arg-type]

        def check(most: int, least: int = 1) -> None:
            with lockstep(machine) as taken:
                machine.run(random.randint(least, most))
            seen.update(taken)

        for _ in range(6):
            check(3000)
            machine.run(random.randrange(1, 100_000_000))
            run_to_the_timer(machine)
            check(1500)
        machine.run_until("# ")
        machine.console.send("cat /proc/uptime\n")
        run_to_a_page_fault(machine)
        check(25_000, 25_000)
    assert seen["supervisor timer interrupt"] and seen["user ecall"] and any(seen[name] for name in PAGE_FAULTS), seen


def test_pieces_of_any_size_are_the_same_run(debian_image: Image) -> None:
    """The interpreter in one piece, the translator in pieces of 1 to 5000 steps, through traps and interrupts."""
    random = Random("pieces")
    with (
        Machine(image=debian_image, memory="128M", engine="interpreter") as whole,
        Machine(image=debian_image, memory="128M", engine="translator") as pieces,
    ):
        for ahead in (0, 150_000_000, 250_000_000):
            whole.run(ahead)
            pieces.run(ahead)
            end = pieces.instructions + 2_000_000
            whole.run(end - whole.instructions)
            while pieces.instructions < end:
                pieces.run(min(random.randint(1, 5000), end - pieces.instructions))
            assert not list(differing_registers(pieces._board.harts[0], whole._board.harts[0]))
            assert pieces.now == whole.now
            for at in range(RAM, RAM + (128 << 20), 1 << 20):
                assert pieces.memory.read(at, 1 << 20) == whole.memory.read(at, 1 << 20), f"memory after {at:#x}"
