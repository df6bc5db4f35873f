"""Whatever fails about translating, the run goes on as if there were only the interpreter, and it is said once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hypernest.devices.bus import Bus
from hypernest.engines.engine import Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter import InterpreterEngine
from hypernest.engines.translator import TranslatorEngine, engine, library
from hypernest.engines.translator.arena import Arena
from hypernest.engines.translator.compiler import Compiler, answer
from hypernest.engines.translator.record import Reply, encode
from hypernest.engines.translator.store import RegionStore
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.memory import GuestMemory
from tests.engines.equivalence import differing_registers
from tests.engines.translator.test_compiler_process import exists

BASE, PAGE = 0x8000_0000, 4096
LONG = 400_000
TEXT = """
    li   s0, 0x80002000
1:  addi a0, a0, 1
    xor  a1, a1, a0
    sd   a1, 0(s0)
    ld   a2, 0(s0)
    add  a3, a3, a2
    andi t0, a0, 255
    bnez t0, 1b
    call 2f
    j    1b
2:  addi a4, a4, 1
    ret
"""
Guest = tuple[TranslatorEngine, HartState, GuestMemory]


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions are compiled anew in each test, and as soon as possible."""
    monkeypatch.setattr(engine, "HOT", 1)
    monkeypatch.setattr(RegionStore, "load", lambda self, page: [])
    monkeypatch.setattr(RegionStore, "save", lambda self, page, head, record: None)


def started(kind: type[InterpreterEngine]) -> tuple[InterpreterEngine, HartState, GuestMemory]:
    memory = GuestMemory(BASE, 64 * PAGE)
    made = kind(RISCV64, memory, Bus())
    memory.on_write(made.invalidate)
    memory.write(BASE, assemble(TEXT, BASE, RISCV64.rows))
    hart = made.new_hart()
    hart["pc"] = BASE
    return made, hart, memory


def translating() -> Guest:
    made, hart, memory = started(TranslatorEngine)
    assert isinstance(made, TranslatorEngine)
    return made, hart, memory


def runs_on_rightly(made: TranslatorEngine, hart: HartState, memory: GuestMemory) -> None:
    """After some more runs the guest is where the interpreter comes in as many steps."""
    for _ in range(10):
        assert made.run(hart, LONG) is Exit.BUDGET
    other, its_hart, its_memory = started(InterpreterEngine)
    done = hart["retired"]
    other.run(its_hart, done)
    its_hart["clock_end"] = hart["clock_end"]
    assert not list(differing_registers(hart, its_hart))
    assert memory.read(BASE, 64 * PAGE) == its_memory.read(BASE, 64 * PAGE)


def wait_for_regions(made: TranslatorEngine, hart: HartState) -> None:
    deadline = time.monotonic() + 30
    while not made.counts.regions_installed and not made.problem:
        assert time.monotonic() < deadline
        made.run(hart, 100_000)
        time.sleep(0.001)


def test_hot_code_gets_regions() -> None:
    made, hart, memory = translating()
    wait_for_regions(made, hart)
    before = made.translation["steps_translated"]
    runs_on_rightly(made, hart, memory)
    assert made.problem is None and made.translation["steps_translated"] > before
    made.close()


def test_closed_while_compiling_it_leaves_no_process_and_runs_on() -> None:
    made, hart, memory = translating()
    while not made._library.compiler.outstanding:
        made.run(hart, 10_000)
    pid = made._library.compiler.pid
    assert pid is not None and exists(pid)
    made.close()
    assert not exists(pid)
    runs_on_rightly(made, hart, memory)
    assert made._library.compiler.pid is None and not made.counts.regions_installed


def test_llvm_fails_on_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("LLVM ERROR: cannot select\nand more")

    monkeypatch.setattr(Compiler, "compile", fail)
    made, hart, memory = translating()
    made.run(hart, 5000)
    made.translate_now(0, made.executed(0))
    assert made.counts.regions_refused and not made.counts.regions_installed
    assert made.problem == "LLVM could not compile a region (RuntimeError: LLVM ERROR: cannot select)."
    runs_on_rightly(made, hart, memory)
    made.close()


@pytest.mark.parametrize("handler", ["echo", "picky", "garble", "spin"])
def test_the_compiler_process_answers_nonsense(handler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It repeats the request, writes it past the frames, or computes for ever."""
    monkeypatch.setattr(library, "_COMPILER", f"handlers:{handler}")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    made, hart, memory = translating()
    deadline = time.monotonic() + 20
    while not made.problem and not (handler == "spin" and made._library.compiler.outstanding):
        assert time.monotonic() < deadline
        made.run(hart, 100_000)
        time.sleep(0.001)
    runs_on_rightly(made, hart, memory)
    pid = made._library.compiler.pid
    made.close()
    assert pid is None or not exists(pid)


def test_the_compiler_process_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_COMPILER", "no.such.module:answer")
    made, hart, memory = translating()
    deadline = time.monotonic() + 30
    while made._library.compiler.alive:
        assert time.monotonic() < deadline
        made.run(hart, 100_000)
        time.sleep(0.001)
    assert made.problem and "no" in made.problem
    runs_on_rightly(made, hart, memory)


def test_hypernest_is_replaced_on_the_disk_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler's process begins from the new files; what it would make does not fit into this process."""
    monkeypatch.setattr(engine, "source_digest", lambda: b"of older files")
    made, hart, memory = translating()
    deadline = time.monotonic() + 30
    while not made.problem:
        assert time.monotonic() < deadline
        made.run(hart, 100_000)
        time.sleep(0.001)
    assert "hypernest was changed on the disk while it ran" in made.problem
    runs_on_rightly(made, hart, memory)
    assert not made.counts.regions_installed
    made.close()


def no_memory(size: int) -> Arena:
    if size:
        raise PermissionError(13, "Permission denied")
    return Arena(size)


def test_the_host_gives_no_executable_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "Arena", no_memory)
    made, hart, memory = translating()
    assert made.problem and made.problem.startswith("the host gives no executable memory (")
    runs_on_rightly(made, hart, memory)
    made.translate_now(0, made.executed(0)[:2])
    runs_on_rightly(made, hart, memory)
    assert made._library.compiler.pid is None and not made.counts.regions_installed
    made.close()


def test_a_reply_that_is_none_is_a_problem_and_no_more() -> None:
    made, hart, memory = translating()
    made.run(hart, 5000)
    for data in (b"", b"nonsense", os.urandom(100)):
        made._receive(data)
    assert made.problem == "the compiler's answer could not be read."
    runs_on_rightly(made, hart, memory)
    made.close()


@pytest.mark.parametrize("changed", [8, 2000], ids=["code", "data beside it"])
def test_a_reply_for_a_page_that_has_changed_is_not_installed(changed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = []

    def late(request: bytes) -> bytes:
        replies.append(answer(request))
        return encode(Reply(0, b"", [], []))

    monkeypatch.setattr(engine, "answer", late)
    made, hart, memory = translating()
    made.run(hart, 5000)
    made.translate_now(0, made.executed(0))
    memory.write(BASE + changed, assemble("addi a0, a0, 3", 0, RISCV64.rows))
    made.run(hart, 5000)
    assert made.executed(0)
    made._receive(replies[0])
    assert made.counts.regions_compiled and not made.counts.regions_installed
    memory.write(BASE + changed, assemble(TEXT, BASE, RISCV64.rows)[changed : changed + 4].ljust(4, b"\0"))
    made.run(hart, 5000)
    made._receive(replies[0])
    assert made.counts.regions_installed  # as it was
    made.close()
