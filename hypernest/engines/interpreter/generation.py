"""Making the interpreter's object code: each part in a process of its own where the host has cores for it.

A first start waits for this, and LLVM's binding lets a process compile on one core only. A child that cannot be
started, ends early or takes too long costs time and nothing else: its part is then made here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hypernest.engines.interpreter.object_code import generator, sealed, target_machine, unsealed

BASE, HANDLERS = PARTS = ("base", "handlers")
"""What the interpreter is made of; the longest to make first."""

_PATIENCE = 60  # seconds for a child after this process is ready
_CHILD = (
    "import sys; sys.path += sys.argv[3:]; "
    "from hypernest.engines.interpreter.generation import write; write(*sys.argv[1:3])"
)


def generate(parts: Sequence[str]) -> dict[str, bytes]:
    """ELF objects of these parts: the first is made here, the others at the same time in children."""
    children = {part: _start(part) for part in parts[1:]}
    try:
        made = {part: compile_part(part) for part in parts[:1]}
        for part, child in children.items():
            made[part] = _result(child) or compile_part(part)
        return made
    finally:
        for child in children.values():
            if child is not None:
                _end(child)


def compile_part(part: str) -> bytes:
    """The ELF object of a part, made in this process."""
    import llvmlite.binding as llvm

    from hypernest.engines.interpreter.module import print_base, print_handlers
    from hypernest.isa.riscv.riscv64 import RISCV64

    machine = target_machine()
    module = llvm.parse_assembly((print_base if part == BASE else print_handlers)(RISCV64))
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    # What is printed is nearly what any pipeline would make of it. Only these passes make code better by more than they
    # cost; code generation at level 1 differs from level 2 in nothing that matters here.
    inlining = llvm.create_new_module_pass_manager()
    inlining.add_always_inliner_pass()
    inlining.run(module, builder)
    passes = llvm.create_new_function_pass_manager()
    passes.add_instruction_combine_pass()
    for function in module.functions:
        if not function.is_declaration:
            function.add_function_attribute("nounwind")  # nobody unwinds it: no tables for that
            if part == HANDLERS:
                passes.run(function, builder)
    code: bytes = machine.emit_object(module)
    return code


def key(part: str) -> str:
    """What a part's object code is known by."""
    return generator(f"interpreter's {part}").hex()[:32]


def write(part: str, expected: str) -> None:
    """A child's whole work: a part to standard output, unless other sources than the parent's are on the disk now."""
    if key(part) == expected:
        sys.stdout.buffer.write(sealed(compile_part(part)))


def _start(part: str) -> subprocess.Popen[bytes] | None:
    if len(os.sched_getaffinity(0)) < 2 or not sys.executable or getattr(sys, "frozen", False):
        return None
    folders = [str(Path(__file__).resolve().parents[3]), *(each for each in sys.path if isinstance(each, str))]
    # Isolated and without site customizations, which can be slow: what they added to the path is handed over.
    options = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
    command = [sys.executable, *options, "-c", _CHILD, part, key(part), *dict.fromkeys(folders)]
    try:
        # In a session of its own, Ctrl-C does not reach it; it ends when it has nobody to write to.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _result(child: subprocess.Popen[bytes] | None) -> bytes | None:
    """What a child made, None if it made nothing that can be trusted."""
    if child is None:
        return None
    try:
        return unsealed(child.communicate(timeout=_PATIENCE)[0])
    except subprocess.TimeoutExpired:
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()
