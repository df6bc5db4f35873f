"""The cache of native code: made once, checked before use, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.engines.interpreter import object_code


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the generator, which takes seconds, by one that counts its calls."""
    calls: list[int] = []

    def generate(level: int) -> bytes:
        calls.append(level)
        return b"native code %d" % len(calls)

    monkeypatch.setattr(object_code, "_generate", generate)
    return calls


def test_code_is_generated_once(tmp_path: Path, generated: list[int]) -> None:
    first = object_code.object_code(tmp_path / "native")
    assert object_code.object_code(tmp_path / "native") == first
    assert len(generated) == 1


@pytest.mark.parametrize("damage", [b"", b"hypernest object 1\n", b"x" * 100])
def test_damaged_code_is_made_again(tmp_path: Path, generated: list[int], damage: bytes) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    assert object_code.object_code(folder) == b"native code 2"
    assert object_code.object_code(folder) == b"native code 2"


def test_one_flipped_bit_is_noticed(tmp_path: Path, generated: list[int]) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    (file,) = folder.iterdir()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert object_code.object_code(folder) == b"native code 2"


def test_code_that_others_could_have_written_is_not_run(tmp_path: Path, generated: list[int]) -> None:
    folder = tmp_path / "native"
    object_code.object_code(folder)
    folder.chmod(0o777)
    assert object_code.object_code(folder) == b"native code 2"


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path, generated: list[int]) -> None:
    (tmp_path / "file").touch()
    assert object_code.object_code(tmp_path / "file" / "native") == b"native code 1"


def test_other_sources_are_other_code(tmp_path: Path, generated: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    object_code.object_code(tmp_path)
    monkeypatch.setattr(object_code, "source_digest", lambda: b"edited")
    assert object_code.object_code(tmp_path) == b"native code 2"
