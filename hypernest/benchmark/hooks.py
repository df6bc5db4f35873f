"""What hooks cost: `python -m hypernest.benchmark.hooks` prints a table. Nothing here is needed by `hypernest bench`.

The guest is a loop that loads, adds and stores, the worst case for all of them. Rates are in millions of instructions
per second of the host's processor time, the best of several.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

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
_REPEAT = 5
_PATIENCE, _PAUSE = 10, 0.05


@dataclass(frozen=True)
class Cost:
    """What was measured: a rate without and with a hook, or microseconds for each of `hits`."""

    what: str
    rate: float = 0.0
    microseconds: float = 0.0


def measure(engine: str = "auto", instructions: int = 50_000_000) -> Iterator[Cost]:
    """All figures for an engine, `instructions` for each."""
    code = assemble(_LOOP, _KERNEL, RISCV64.rows, {})
    with Machine(kernel=code, memory="16M", engine=engine) as machine:
        hooks = machine.hooks
        attached: list[tuple[str, Callable[[], Hook]]] = [
            ("an execution hook in the same page, never hit", lambda: hooks.execute(_NEVER, _ignore)),
            ("a write hook in another page, never hit", lambda: hooks.write(_ELSEWHERE, 8, _ignore)),
            ("a write hook in the loop's page, never hit", lambda: hooks.write(_DATA + 64, 8, _ignore)),
            ("a trap hook, never hit", lambda: hooks.trap("illegal instruction", _ignore)),
        ]
        yield Cost("nothing", _rate(machine, instructions))
        for what, attach in attached:
            with attach():
                yield Cost(what, _rate(machine, instructions))
        with hooks.coverage((_KERNEL, _KERNEL + 4096)) as coverage:
            yield Cost("coverage, all of it reached", _rate(machine, instructions))
            yield Cost("coverage, cleared", microseconds=_clearing(machine, coverage.clear))
        yield Cost("nothing, again", _rate(machine, instructions))
        with hooks.execute(_BODY, _ignore):
            yield Cost("an execution hook, each hit", microseconds=_each(machine, instructions // 500))
        with hooks.write(_DATA, 8, _ignore):
            yield Cost("a write hook, each hit", microseconds=_each(machine, instructions // 500))


def _ignore(event: HookEvent) -> None:
    pass


def _rate(machine: Machine, instructions: int) -> float:
    for _ in range(_PATIENCE):  # until what is hot is compiled, in another process
        machine.run(instructions // _PATIENCE)
        time.sleep(_PAUSE)
    return max(instructions / _seconds(lambda: machine.run(instructions)) for _ in range(_REPEAT)) / 1e6


def _each(machine: Machine, instructions: int) -> float:
    return (
        min(_seconds(lambda: machine.run(instructions)) for _ in range(_REPEAT)) / (instructions / _BODY_LENGTH) * 1e6
    )


def _clearing(machine: Machine, clear: Callable[[], None]) -> float:
    """Microseconds that clearing costs a run of 1000 instructions."""

    def both() -> None:
        clear()
        machine.run(1000)

    pairs = [(_seconds(lambda: machine.run(1000)), _seconds(both)) for _ in range(200)]
    return (median(cleared for _, cleared in pairs) - median(alone for alone, _ in pairs)) * 1e6


def _seconds(function: Callable[[], object]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


def main() -> None:
    """Print the table for the engines that are compiled."""
    from rich.console import Console
    from rich.table import Table

    table = Table("hook", "engine", "MIPS", "us each")
    for engine in ("translator", "interpreter"):
        for cost in measure(engine):
            rate = f"{cost.rate:.0f}" if cost.rate else ""
            table.add_row(cost.what, engine, rate, f"{cost.microseconds:.1f}" if cost.microseconds else "")
    Console().print(table)


if __name__ == "__main__":
    main()
