"""Find out who corrupted a word, by going back from where that was noticed.

    python examples/who_wrote_it.py

The parser of examples/fuzz_parser.py is given the input that crashes it. It notices that a guard word behind its canvas
has another value than it should, and traps. When the machine stands there, the harm is long done; but its past is kept,
so it goes back to the instruction that wrote the word first, and from there to what let that happen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hypernest import Machine

PARSER = Path(__file__).parent / "guests" / "parser.elf"
PICTURE = b"PIC\1" + b"d\2\x10\x11" + b"c\6\x20\1\x20\2\x20\3" + b"e\0"  # 16 * 17 dots, 96 of them drawn
CANVAS = 64  # bytes; behind them is the guard
GUARD = 0x5AFE


def where(vm: Machine) -> str:
    """The next instruction, and where in the source it is."""
    frame, (instruction,) = vm.backtrace()[0], vm.disassemble(count=1)
    return f"{instruction.text}   in {frame.symbol or '?'} at {frame.line}"


def investigate(vm: Machine, picture: bytes) -> list[str]:
    """Let the parser trap, and find out why; what is found is told step by step."""
    story: list[str] = []

    def tell(what: str) -> None:
        story.append(f"{vm.instructions:4} instructions: {what}")

    guard = vm.symbols["picture"] + CANVAS
    vm.run(until="parse")
    vm.memory.write(vm.symbols["input"], picture)
    vm.harts[0]["a1"] = len(picture)
    vm.keep_history()
    tell("parse is called")

    vm.run(100_000, until="panic")
    tell(f"panic: the guard is {vm.memory.read_int(guard, 4):#x}, not {GUARD:#x}")

    with vm.hooks.write(guard, 4, lambda event: None) as writes:
        while vm.memory.read_int(guard, 4) != GUARD:
            vm.reverse_until(writes)
    tell(f"right before the first wrong byte: {where(vm)}")

    vm.reverse_until("colors")
    tell(f"colors is called to draw on {vm.harts[0]['a2']} dots, of a canvas for {CANVAS}")

    vm.reverse_until("dimensions")
    width, height = vm.memory.read(vm.harts[0]["a0"], 2)
    tell(f"dimensions is called, to check {width} x {height}, and does not refuse")
    return story


def main(arguments: list[str] | None = None) -> list[str]:
    """Investigate, and tell."""
    argparse.ArgumentParser(description="Find out who corrupted a word.").parse_args(arguments)
    with Machine(kernel=PARSER, memory="4M") as vm:
        story = investigate(vm, PICTURE)
    print("\n".join(story))
    return story


if __name__ == "__main__":
    main()
