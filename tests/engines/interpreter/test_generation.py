"""Parts made in children: the same code, and never a reason to fail or to wait for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hypernest.engines.interpreter import generation
from hypernest.engines.interpreter.generation import HANDLERS, generate


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parts that this process makes; two cores, and compiling replaced by something quick."""
    parts: list[str] = []

    def compile_part(part: str) -> bytes:
        parts.append(part)
        return f"{part} here".encode()

    monkeypatch.setattr(generation, "compile_part", compile_part)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    return parts


def test_a_child_makes_what_this_process_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    expected = generation.compile_part(HANDLERS)
    monkeypatch.setattr(generation, "compile_part", lambda part: part.encode())
    assert generate(["something quick", HANDLERS]) == {"something quick": b"something quick", HANDLERS: expected}


@pytest.mark.parametrize(
    "child",
    [
        "pass",
        "raise SystemExit(1)",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "print('hypernest object 1')",
        "import sys; sys.stdout.write('x' * 1000000)",
    ],
)
def test_what_a_child_fails_to_make_is_made_here(here: list[str], monkeypatch: pytest.MonkeyPatch, child: str) -> None:
    monkeypatch.setattr(generation, "_CHILD", child)
    assert generate(["a", "b"]) == {"a": b"a here", "b": b"b here"}
    assert here == ["a", "b"]


def test_a_child_that_stops_is_not_waited_for_for_ever(here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "_CHILD", f"import os; os.kill(os.getpid(), {signal.SIGSTOP})")
    monkeypatch.setattr(generation, "_PATIENCE", 0.1)
    assert generate(["a", "b"]) == {"a": b"a here", "b": b"b here"}


def test_a_child_with_other_sources_makes_nothing(here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "key", lambda part: "of other sources")
    assert generate(["a", HANDLERS]) == {"a": b"a here", HANDLERS: b"handlers here"}


@pytest.mark.parametrize("executable", ["", "/no/such/python"])
def test_without_a_python_to_start_everything_is_made_here(
    here: list[str], monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    assert generate(["a", "b"]) == {"a": b"a here", "b": b"b here"}


def test_one_core_starts_no_child(here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(subprocess, "Popen", None)
    assert generate(["a", "b"]) == {"a": b"a here", "b": b"b here"}


def test_a_child_ends_with_the_wait_for_it(here: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(part: str) -> bytes:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "compile_part", interrupted)
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(100)"
    monkeypatch.setattr(generation, "_CHILD", child)
    with pytest.raises(KeyboardInterrupt):
        generate(["a", "b"])
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
