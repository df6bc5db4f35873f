"""What the peers boot for a Linux workload: the image's layers, then our program, then the command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hypernest.benchmark.build import BuildFailed, native_toolchains
from hypernest.benchmark.programs import build_linux
from hypernest.benchmark.workloads import WORKLOADS, Kind, Workload


@dataclass
class FakeImage:
    kernel: Path
    initrds: list[Path] = field(default_factory=list)
    append: str = "console=ttyS0 quiet"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeImage:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))
    layers = [tmp_path / "base.cpio", tmp_path / "init.cpio"]
    for path in layers:
        path.write_bytes(path.name.encode().ljust(512, b"\0"))
    return FakeImage(tmp_path / "Image", layers)


def workload(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def test_layers_come_in_order_and_the_command_last(image: FakeImage) -> None:
    program = build_linux(workload("sha256"), image, None)
    content = program.initrd.read_bytes()
    places = [
        content.index(text)
        for text in (
            b"base.cpio",
            b"init.cpio",
            b"bin/linux_workloads\0",
            b"\x7fELF",
            b"/bin/linux_workloads sha256 300",
        )
    ]
    assert places == sorted(places)
    assert places[0] == 0
    assert (program.kernel, program.append) == (image.kernel, image.append)


def test_boot_runs_nothing(image: FakeImage) -> None:
    content = build_linux(workload("boot"), image, None).initrd.read_bytes()
    assert b"linux_workloads " not in content
    assert b"hypernest/exec\0" in content


def test_same_content_is_the_same_file_and_other_content_another(image: FakeImage) -> None:
    first = build_linux(workload("boot"), image, None).initrd
    assert build_linux(workload("boot"), image, None).initrd == first
    image.initrds[0].write_bytes(b"other")
    assert build_linux(workload("boot"), image, None).initrd != first
    assert [path for path in first.parent.iterdir() if path.is_dir()] == []


def test_missing_layer_is_a_clear_error(image: FakeImage) -> None:
    image.initrds[1].unlink()
    with pytest.raises(BuildFailed, match="cannot make the initial file system of boot: "):
        build_linux(workload("boot"), image, None)


def test_host_runs_the_same_program_with_the_same_arguments(image: FakeImage) -> None:
    native = native_toolchains()[Kind.LINUX]
    command = build_linux(workload("sha256"), image, native).native
    assert command is not None
    assert Path(command[0]).is_file() and command[1:] == ("sha256", "300")
    assert build_linux(workload("boot"), image, native).native is None
    assert build_linux(workload("sha256"), image, None).native is None
