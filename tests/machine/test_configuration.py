"""What a machine may be made of is checked; how disks are opened: in which mode, and which files may be together."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypernest import Machine
from hypernest.devices.virtio import VirtioBlock
from hypernest.disks import DiskMode
from hypernest.errors import BadConfiguration
from hypernest.machine.configuration import open_disks
from tests.devices.virtio.driver import Driver


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(range(256)) * 64)
    return path


def test_one_initrd_is_given_in_a_list() -> None:
    with pytest.raises(BadConfiguration, match="list of files"):
        Machine("hello", initrd="/some/file")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"memory": None}, "None is no size of memory"),
        ({"memory": 2e6}, "2000000.0 is no size of memory: give a whole number"),
        ({"harts": "2"}, "'2' is no number of harts"),
        ({"seed": 0.5}, "0.5 is no seed"),
        ({"disks": "disk.img"}, r"disks is one file: give a list of files, as in disks=\[path\]"),
        ({"devices": VirtioBlock}, "is no list of devices"),
    ],
)
def test_values_of_another_type(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(BadConfiguration, match=message):
        Machine("hello", **wrong)


@pytest.mark.parametrize("wrong", ["5", 1e3, b"5"])
def test_amounts_that_are_no_numbers(wrong: Any) -> None:
    with Machine("hello", memory="16M") as machine:
        machine.keep_history()
        for verb in (
            machine.run,
            machine.step,
            machine.reverse_step,
            machine.goto,
            lambda count: machine.run(count, until=lambda each: True),
            lambda count: machine.run_until("text", limit=count),
        ):
            with pytest.raises(BadConfiguration, match="of instructions: give a whole number"):
                verb(wrong)
        machine.run(5)
        assert machine.instructions == 5


def test_a_guest_writes_to_an_overlay_and_the_file_stays(path: Path) -> None:
    before = path.read_bytes()
    path.chmod(0o444)
    (disk,) = open_disks([(path, "overlay")])
    driver = Driver(VirtioBlock(disk))
    driver.start()
    (status,), _ = driver.request([struct.pack("<IIQ", 1, 0, 3), b"written!" * 64], [1])
    assert status == b"\0"
    (data, status), _ = driver.request([struct.pack("<IIQ", 0, 0, 3)], [512, 1])
    assert (data, status) == (b"written!" * 64, b"\0")
    (data, status), _ = driver.request([struct.pack("<IIQ", 0, 0, 2)], [512, 1])
    assert (data, status) == (before[1024:1536], b"\0")
    disk.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("writable", False),
        ("readonly", True),
        ("overlay", False),
        (True, True),
        (False, False),
        (DiskMode.READONLY, True),
    ],
)
def test_modes(path: Path, mode: DiskMode | str | bool, expected: bool) -> None:
    (disk,) = open_disks([(path, mode)])
    assert disk.readonly is expected
    disk.close()


def test_an_unknown_mode(path: Path) -> None:
    with pytest.raises(BadConfiguration, match="no disk mode 'sideways': choose one of writable, readonly, overlay"):
        open_disks([path, (path.parent, "sideways")])
    open_disks([path])[0].close()  # nothing stayed open


@pytest.mark.parametrize("one", ["writable", "readonly", "overlay"])
@pytest.mark.parametrize("other", ["writable", "readonly", "overlay"])
def test_one_file_twice(path: Path, one: str, other: str) -> None:
    if "writable" in (one, other):
        with pytest.raises(BadConfiguration, match="is given twice"):
            open_disks([(path, one), (path, other)])
    else:
        disks = open_disks([(path, one), (path, other)])
        if other == "overlay":
            disks[1].write(0, b"own")
            assert disks[0].read(0, 3) == b"\0\1\2"
        for disk in disks:
            disk.close()


def test_two_processes(path: Path) -> None:
    """A writer is alone; overlays and readers share."""
    program = (
        "import sys; from hypernest.machine.configuration import open_disks\n"
        "open_disks([(sys.argv[1], sys.argv[2])])[0].close()"
    )
    for mode, allowed in (
        ("writable", ()),
        ("overlay", ("overlay", "readonly")),
        ("readonly", ("overlay", "readonly")),
    ):
        (disk,) = open_disks([(path, mode)])
        for other in ("writable", "overlay", "readonly"):
            done = subprocess.run(
                [sys.executable, "-c", program, path, other],
                capture_output=True,
                text=True,
                cwd=Path.cwd(),
                check=False,
            )
            assert (done.returncode == 0) == (other in allowed), (mode, other, done.stderr)
            assert other in allowed or "is in use by another machine" in done.stderr
        disk.close()
