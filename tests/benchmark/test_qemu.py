"""Finding the QEMUs of the host: each once, with its version, and nothing that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.benchmark.build import MissingTool
from hypernest.benchmark.qemu import EMULATOR, NoQemu, QemuProgram, find_qemus, names_of


def program(path: Path, answer: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def emulator(path: Path, version: str) -> Path:
    return program(path, f"QEMU emulator version {version} (Debian 1:{version}+dfsg)")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found = [tmp_path / name for name in ("a", "b", "c")]
    for folder in found:
        folder.mkdir()
    monkeypatch.setenv("PATH", ":".join(map(str, found)))
    return found


def test_every_folder_of_the_path_and_every_named_file_counts_once(folders: list[Path], tmp_path: Path) -> None:
    old, new = emulator(folders[0] / EMULATOR, "7.2.22"), emulator(folders[2] / EMULATOR, "10.0.2")
    (folders[1] / EMULATOR).symlink_to(old)
    own = emulator(tmp_path / "mine" / "qemu", "11.0.0-rc1")
    programs = find_qemus([own, own, new])
    assert [each.version for each in programs] == ["7.2.22", "10.0.2", "11.0.0-rc1"]
    assert {each.path.resolve() for each in programs} == {old, new, own}


def test_host_without_qemu_names_the_packages(folders: list[Path]) -> None:
    with pytest.raises(MissingTool, match=r"qemu-system-riscv64 is not installed: .* qemu-system-misc"):
        find_qemus()


def test_named_file_is_enough(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator(tmp_path / "qemu", "10.0.2")
    monkeypatch.chdir(tmp_path)
    (found,) = find_qemus([Path("qemu")])
    assert found == QemuProgram(tmp_path / "qemu", "10.0.2")


def test_named_file_that_is_no_qemu_is_refused(folders: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("no program\n")
    with pytest.raises(NoQemu, match=r"text cannot be run as a QEMU: "):
        find_qemus([text])
    with pytest.raises(NoQemu, match=r"other is not QEMU's system emulator: name a qemu-system-riscv64"):
        find_qemus([program(tmp_path / "other", "qemu-riscv64 version 7.2")])


def test_names_differ() -> None:
    def names(*versions: str) -> list[str]:
        return names_of([QemuProgram(Path(f"/{number}"), version) for number, version in enumerate(versions)])

    assert names("7.2.22") == ["qemu"]
    assert names("7.2.22", "10.0.2") == ["qemu 7.2.22", "qemu 10.0.2"]
    assert names("7.2.22", "7.2.22", "7.2.22") == ["qemu 7.2.22", "qemu 7.2.22 (2)", "qemu 7.2.22 (3)"]
