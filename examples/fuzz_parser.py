"""Find a bug in a parser: coverage-guided fuzzing, with a snapshot that every run begins with.

    python examples/fuzz_parser.py [--runs 50000] [--seed 3]

The parser (examples/guests/parser.c) runs on a machine of its own, without an operating system. It is stopped where it
is about to be called. Each run restores that snapshot, puts a mutated input into the guest's memory and goes on; inputs
that reach instructions which none has reached before are kept, to be mutated further.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from hypernest import Machine, StopKind

PARSER = Path(__file__).parent / "guests" / "parser.elf"
FUNCTIONS = ("parse", "dimensions", "colors", "title")
SAMPLE = b"PIC\1d\2\4\4e\0"
LARGEST = 256  # bytes of the parser's input
LIMIT = 200_000  # instructions that a run may take


@dataclass
class Findings:
    """What came of it."""

    runs: int = 0
    seconds: float = 0.0
    corpus: dict[bytes, int] = field(default_factory=lambda: {SAMPLE: 100})  # and instructions that it takes
    crash: bytes | None = None
    report: str = ""


def constants(vm: Machine) -> list[int]:
    """The bytes that occur as operands in the parser: what inputs may be compared with."""
    code = (line for function in FUNCTIONS for line in vm.disassemble(function, 200))
    operands = (match for line in code if (match := re.search(r",-?(\d+)$", line.text)))
    return sorted({number for match in operands if (number := int(match[1])) < 256})


def mutated(corpus: dict[bytes, int], words: list[int], random: random.Random) -> bytes:
    """One of the inputs, rather one that keeps the parser busy for long, changed in a few places."""
    chosen, other = random.choices(list(corpus), list(corpus.values()), k=2)
    data = bytearray(chosen)
    for _ in range(1 << random.randrange(3)):
        at, start = random.randrange(len(data) + 1), random.randrange(len(other) + 1)
        match random.randrange(6):
            case 0:
                data[at:at] = bytes(random.choices(words, k=random.randint(1, 4)))
            case 1:
                del data[at : at + random.randint(1, 4)]
            case 2:
                data[at : at + 1] = bytes([random.choice(words)])
            case 3:
                data[at : at + 1] = bytes([random.randrange(256)])
            case 4:
                data[at:at] = other[start : start + random.randint(1, 8)]
            case 5:
                data[at:] = other[start:]
    return bytes(data[:LARGEST])


def fuzz(vm: Machine, runs: int, seed: int) -> Findings:
    """Up to that many runs of the parser that `vm` has booted into, until one crashes."""
    vm.run(until="parse")
    start, hart = vm.snapshot(), vm.harts[0]
    place = vm.symbols["input"]
    crashed = vm.hooks.execute("crashed", lambda event: event.stop())
    vm.hooks.execute("finished", lambda event: event.stop())
    words = constants(vm)
    generator, found = random.Random(seed), Findings()  # noqa: S311
    with vm.hooks.coverage(*FUNCTIONS) as coverage:
        begin = time.perf_counter()
        while found.runs < runs and found.crash is None:
            data = mutated(found.corpus, words, generator)
            vm.restore(start)
            vm.memory.write(place, data)
            hart["a1"] = len(data)  # the second argument
            reason = vm.run(LIMIT)
            found.runs += 1
            if reason.kind is not StopKind.BREAK or crashed.hits:
                found.crash = data
            elif coverage.new():
                found.corpus[data] = vm.instructions - start.instructions
        found.seconds = time.perf_counter() - begin
    if found.crash is not None:
        found.report = report(vm)
    return found


def report(vm: Machine) -> str:
    """Where the parser was when it trapped, or what it does if it never ends."""
    hart = vm.harts[0]
    if hart.pc == vm.symbols["crashed"]:
        hart.pc = hart["sepc"]  # as if the trap had not been taken yet
    return repr(vm.backtrace())


def main(arguments: list[str] | None = None) -> Findings:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description="Find a bug in a parser.")
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args(arguments)
    with Machine(kernel=PARSER, memory="4M") as vm:
        found = fuzz(vm, options.runs, options.seed)
    speed = found.runs / found.seconds
    print(f"{found.runs} runs in {found.seconds:.1f} s ({speed:.0f} a second), {len(found.corpus)} inputs kept")
    if found.crash is None:
        print("no crash")
    else:
        print(f"crash with {found.crash!r}:\n{found.report}")
    return found


if __name__ == "__main__":
    main()
