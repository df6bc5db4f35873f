"""The cache of native code: made once, checked before use, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hypernest.engines.interpreter import generation, object_code
from hypernest.engines.interpreter.generation import PARTS

_FIRST = [b"base 1", b"handlers 1"]


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace the generator, which takes seconds, by one that tells what it was asked for."""
    calls: list[list[str]] = []

    def generate(parts: Sequence[str]) -> dict[str, bytes]:
        calls.append(list(parts))
        return {part: b"%s %d" % (part.encode(), len(calls)) for part in parts}

    monkeypatch.setattr(generation, "generate", generate)
    return calls


def _file(folder: Path, part: str) -> Path:
    return folder / f"interpreter-{generation.key(part)}.o"


def test_code_is_generated_once(tmp_path: Path, generated: list[list[str]]) -> None:
    assert object_code.object_code(tmp_path / "native") == _FIRST
    assert object_code.object_code(tmp_path / "native") == _FIRST
    assert generated == [list(PARTS)]


@pytest.mark.parametrize("damage", [b"", b"hypernest object 1\n", b"x" * 100])
def test_a_damaged_part_is_made_again(tmp_path: Path, generated: list[list[str]], damage: bytes) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    _file(folder, "handlers").write_bytes(damage)
    for _ in range(2):
        assert object_code.object_code(folder) == [b"base 1", b"handlers 2"]
    assert generated == [list(PARTS), ["handlers"]]


def test_one_flipped_bit_is_noticed(tmp_path: Path, generated: list[list[str]]) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    file = _file(folder, "base")
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert object_code.object_code(folder) == [b"base 2", b"handlers 1"]


def test_code_that_others_could_have_written_is_not_run(tmp_path: Path, generated: list[list[str]]) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    folder.chmod(0o777)
    assert object_code.object_code(folder) == [b"base 2", b"handlers 2"]


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path, generated: list[list[str]]) -> None:
    (tmp_path / "file").touch()
    assert object_code.object_code(tmp_path / "file" / "native") == _FIRST


def test_other_sources_are_other_code(
    tmp_path: Path, generated: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    object_code.object_code(tmp_path)
    monkeypatch.setattr(object_code, "source_digest", lambda: b"edited")
    assert object_code.object_code(tmp_path) == [b"base 2", b"handlers 2"]
