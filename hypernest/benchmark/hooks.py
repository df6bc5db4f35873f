"""What hooks cost: a part of `hypernest bench --objects`.

The guest is a loop that loads, adds and stores, the worst case for all of them. Rates are in millions of instructions
per second of the host's processor time, the best of several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from hypernest.benchmark.figure import Figure
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine
from hypernest.machine.hooks import Hook, HookEvent

_KERNEL = 0x8020_0000
_DATA, _ELSEWHERE = 0x8020_1000, 0x8020_9000
_LOOP = f"""
    li   s0, {_DATA:#x}
 1: addi a0, a0, 1
    ld   t0, 0(s0)
    add  t0, t0, a0
    sd   t0, 0(s0)
    addi t1, t1, 1
    addi t2, t2, 1
    addi t3, t3, 1
    bnez a0, 1b
 never: j never
"""
_BODY, _BODY_LENGTH, _NEVER = _KERNEL + 12, 8, _KERNEL + 12 + 8 * 4
_PAUSE = 0.05
_FEWER_HITS = 500  # a hit takes as long as some thousand instructions


def measure(quick: bool = False) -> Iterator[Figure]:
    """All figures for the engines that are compiled, as they become known; with `quick` with little work."""
    for engine in ("translator", "interpreter"):
        code = assemble(_LOOP, _KERNEL, RISCV64.rows, {})
        with Machine(kernel=code, memory="16M", engine=engine) as machine:
            meter = _Meter(machine, 200_000, 1, 1) if quick else _Meter(machine, 50_000_000, 5, 10)
            for figure in _figures(machine, meter):
                yield Figure(f"{engine}, {figure.what}", figure.value, figure.unit)


def _figures(machine: Machine, meter: _Meter) -> Iterator[Figure]:
    hooks = machine.hooks
    attached: list[tuple[str, Callable[[], Hook]]] = [
        ("an execution hook in the same page, never hit", lambda: hooks.execute(_NEVER, _ignore)),
        ("a write hook in another page, never hit", lambda: hooks.write(_ELSEWHERE, 8, _ignore)),
        ("a write hook in the loop's page, never hit", lambda: hooks.write(_DATA + 64, 8, _ignore)),
        ("a trap hook, never hit", lambda: hooks.trap("illegal instruction", _ignore)),
    ]
    yield Figure("no hook", meter.rate(), "MIPS")
    for what, attach in attached:
        with attach():
            yield Figure(what, meter.rate(), "MIPS")
    with hooks.coverage((_KERNEL, _KERNEL + 4096)) as coverage:
        yield Figure("coverage, all of it reached", meter.rate(), "MIPS")
        yield Figure("coverage, cleared", meter.clearing(coverage.clear), "us")
    yield Figure("no hook, again", meter.rate(), "MIPS")
    with hooks.execute(_BODY, _ignore):
        yield Figure("an execution hook, each hit", meter.each(), "us")
    with hooks.write(_DATA, 8, _ignore):
        yield Figure("a write hook, each hit", meter.each(), "us")


def _ignore(event: HookEvent) -> None:
    pass


@dataclass(frozen=True)
class _Meter:
    """Runs of `instructions`, repeated, after some in `patience` pieces."""

    machine: Machine
    instructions: int
    repeat: int
    patience: int

    def rate(self) -> float:
        """Millions of instructions a second."""
        for _ in range(self.patience):  # until what is hot is compiled, in another process
            self.machine.run(self.instructions // self.patience)
            time.sleep(_PAUSE)
        return self.instructions / self._least(self.instructions) / 1e6

    def each(self) -> float:
        """Microseconds for each round of the loop."""
        instructions = self.instructions // _FEWER_HITS
        return self._least(instructions) / (instructions / _BODY_LENGTH) * 1e6

    def clearing(self, clear: Callable[[], None]) -> float:
        """Microseconds that clearing costs a run of 1000 instructions."""

        def both() -> None:
            clear()
            self.machine.run(1000)

        pairs = [(_seconds(lambda: self.machine.run(1000)), _seconds(both)) for _ in range(200)]
        return (median(cleared for _, cleared in pairs) - median(alone for alone, _ in pairs)) * 1e6

    def _least(self, instructions: int) -> float:
        return min(_seconds(lambda: self.machine.run(instructions)) for _ in range(self.repeat))


def _seconds(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin
