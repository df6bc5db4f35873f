"""The stack at every single instruction of a program, against what its course really was."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.backtrace import Frame
from hypernest.debug.dwarf.lines import SourceLine
from hypernest.errors import BadValue
from hypernest.images import Image
from hypernest.machine import Machine, StopKind
from tests.debug.sources import CALLS, START, compile_program
from tests.machine.small_guests import hosted


def names(frames: Sequence[Frame]) -> list[str]:
    return [frame.symbol.name if frame.symbol else "?" for frame in frames]


def follow(program: Path, *, described: bool) -> int:
    """Run step by step; the calls and returns that happen say what the stack must be. Returns how deep it went."""
    with Machine(kernel=program, memory="16M", engine="interpreter") as machine:
        hart = machine.harts[0]
        stack: list[tuple[str, int | None]] = [("_start", None)]  # and where each goes on
        deepest = 0
        while machine.run(0).kind is StopKind.LIMIT:
            frames = list(machine.backtrace())
            expected = [name for name, _ in reversed(stack)]
            shown = names(frames)
            # Nobody says that _start has no caller but call frame information.
            assert shown[: len(expected)] == expected, (hex(hart.pc), shown, expected)
            assert len(shown) == len(expected)
            assert [frame.pc for frame in frames[1:]] == [at for _, at in reversed(stack[1:])]
            assert frames[0].pc == hart.pc
            if described:
                assert all(frame.line is not None for frame in frames)
            deepest = max(deepest, len(frames))
            (now,) = machine.disassemble(count=1)
            after = now.address + len(now.code)
            if machine.run(1).kind is not StopKind.LIMIT:
                break
            if now.text.startswith(("jal ra", "jalr ra", "c.jalr")):
                symbol = machine.symbols.find(hart.pc)
                assert symbol is not None
                stack.append((symbol.name, after))
            elif now.text in ("c.jr ra", "jalr zero,0(ra)"):
                stack.pop()
            elif (symbol := machine.symbols.find(hart.pc)) is not None and symbol.name != stack[-1][0]:
                stack[-1] = symbol.name, stack[-1][1]  # a tail call
        return deepest


@pytest.mark.parametrize("options", [("-O0",), ("-O1",), ("-O2",), ("-Os",)], ids=" ".join)
def test_by_call_frame_information(options: tuple[str, ...], tmp_path: Path) -> None:
    assert follow(compile_program(tmp_path, *options), described=True) >= 5


PLAIN = START.replace(".cfi_startproc", "").replace(".cfi_endproc", "").replace(".cfi_undefined ra", "")


@pytest.mark.parametrize(
    "options",
    [("-O0",), ("-O1", "-fno-omit-frame-pointer"), ("-O2", "-fno-omit-frame-pointer"), ("-O2",), ("-Os",)],
    ids=" ".join,
)
def test_by_the_code_of_the_functions(options: tuple[str, ...], tmp_path: Path) -> None:
    program = compile_program(tmp_path, *options, start=PLAIN)
    bare: list[str | Path] = ["riscv64-linux-gnu-strip", "--strip-debug", "--remove-section=.eh_frame", program]
    subprocess.run(bare, check=True)
    assert follow(program, described=False) >= 5


def test_what_is_shown(tmp_path: Path) -> None:
    program = compile_program(tmp_path, "-O1")
    with Machine(kernel=program, memory="16M") as machine:
        hart = machine.harts[0]
        while str(machine.symbols.find(hart.pc)) != "leaf":
            machine.run(1)
        frames = machine.backtrace()
        assert names(frames) == ["leaf", "middle", *["recurse"] * 4, "never_returns", "c_main", "_start"]
        source, brace = str(tmp_path / "calls.c"), _line_of("static word leaf") + 1
        assert frames[0].line == SourceLine(source, brace) == machine.symbols.line(hart.pc)
        # Callers are shown at their call, though they go on behind it.
        calls = ["leaf(n)", "middle(3)", *["recurse(depth - 1)"] * 3, "recurse(3)", "    never_returns()"]
        assert [frame.line.line for frame in frames[1:-1] if frame.line] == [_line_of(call) for call in calls]
        assert frames[1].symbol is not None
        assert frames[1].symbol.offset == frames[1].pc - machine.symbols["middle"]
        cfas = [frame.cfa for frame in frames[:-1] if frame.cfa is not None]
        assert cfas == sorted(set(cfas)) and len(cfas) == 8 and cfas[0] == hart["sp"]
        shown = repr(frames).splitlines()
        assert shown[0] == f"#0   {hart.pc:#x} in leaf at {source}:{brace}" and len(shown) == 9
        assert machine.backtrace(limit=2) == frames[:2]
        assert machine.symbols.address_of_line("calls.c", brace) == hart.pc
        for limit in (0, -1):
            with pytest.raises(BadValue):
                machine.backtrace(limit=limit)


def _line_of(text: str) -> int:
    """The number of the only line with that text in it."""
    (number,) = (number for number, line in enumerate(CALLS.splitlines(), 1) if text in line)
    return number


def test_a_stack_that_goes_in_circles() -> None:
    # A frame whose caller is itself, and one that the frame pointer makes up: behind a call is only the first.
    with hosted("1: jal f\n j 1b\nf: j f") as machine:
        hart = machine.harts[0]
        machine.run(3)
        room = 0x8040_0000
        for step, cfa in enumerate(range(room, room + 64 * 1000, 64)):
            machine.memory.write_int(cfa - 8, 8, hart["ra"])
            machine.memory.write_int(cfa - 16, 8, cfa + 64 if step < 999 else room)
        hart["s0"], hart["sp"] = room, room - 64
        assert len(machine.backtrace()) == 256
        machine.memory.write_int(room - 16, 8, room)
        assert len(machine.backtrace()) < 4
        hart["s0"] = (1 << 64) - 8
        assert len(machine.backtrace()) == 1


@given(st.data())
def test_stacks_that_mean_harm(data: st.DataObject) -> None:
    with hosted("1: jal f\n j 1b\nf: j f") as machine:
        hart = machine.harts[0]
        machine.run(3)
        addresses = st.integers(0x8020_0000, 0x8020_0100) | st.integers(0, (1 << 64) - 1) | st.just(hart["ra"])
        machine.memory.write(0x8020_0010, b"".join(data.draw(addresses).to_bytes(8, "little") for _ in range(24)))
        for name in ("ra", "sp", "s0"):
            hart[name] = data.draw(addresses)
        hart.pc = data.draw(addresses) & -2
        assert 1 <= len(machine.backtrace()) <= 256


def test_a_running_kernel_down_to_the_program_that_called_it(debian_image: Image) -> None:
    with Machine(debian_image, memory="192M") as machine:
        machine.run_until("~ # ")
        machine.hooks.execute("vfs_write", lambda event: event.stop())
        machine.console.send("echo hello\n")
        machine.run(100_000_000)
        shown = names(machine.backtrace())
        system_call = ["vfs_write", "ksys_write", "__riscv_sys_write", "do_trap_ecall_u", "handle_exception", "?"]
        assert shown[:6] == system_call
        frames = machine.backtrace()
        assert frames[5].pc < 1 << 38  # of the process
        # An interrupt, on a stack of its own: what was interrupted lies behind it.
        idle = machine.hooks.execute("hrtimer_interrupt", lambda event: event.stop())
        while names(machine.backtrace())[0] != "hrtimer_interrupt":
            machine.run(100_000_000)
        idle.detach()
        shown = names(machine.backtrace())
        assert "riscv_intc_irq" in shown and "call_on_irq_stack" in shown
        assert shown.index("handle_exception") < len(shown) - 1
