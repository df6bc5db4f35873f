"""Disks under Linux: what is written is there after switching off and on; what must not be written is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.errors import BadConfiguration
from hypernest.images import Image
from hypernest.machine import Machine
from tests.system.shell import Shell

MEBIBYTE = 1 << 20


def new_disk(path: Path, mebibytes: int) -> Path:
    with path.open("wb") as file:
        file.truncate(mebibytes * MEBIBYTE)
    return path


def test_what_is_written_is_found_after_a_restart(debian_image: Image, tmp_path: Path) -> None:
    first, second = new_disk(tmp_path / "first", 16), new_disk(tmp_path / "second", 8)
    with Machine(debian_image, disks=[first, second], harts=2, memory="128M") as machine:
        shell = Shell(machine)
        assert shell.run("cat /sys/block/vd?/size").output == f"{16 * 2048}\n{8 * 2048}\n"
        assert shell.run("mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt").status == 0
        sums = shell.run("seq 1 20000 >/mnt/numbers; mkdir /mnt/folder; sha256sum </mnt/numbers").output
        assert shell.run("printf 'on the second' >/dev/vdb; sync").status == 0
        with pytest.raises(BadConfiguration, match="in use by another machine"):
            Machine("hello", disks=[first])
        shell.power_off()
    assert second.read_bytes()[:13] == b"on the second"

    # A read-only disk refuses writes, and the other one is writable still.
    before = first.read_bytes()
    with Machine(debian_image, disks=[(first, True), second], harts=2, memory="128M") as machine:
        shell = Shell(machine)
        assert shell.run("cat /sys/block/vd?/ro").output == "1\n0\n"
        assert shell.run("head -c 13 /dev/vdb").output == "on the second"
        assert shell.run("mount -t ext4 -o ro /dev/vda /mnt && ls -d /mnt/folder").output == "/mnt/folder\n"
        assert shell.run("sha256sum </mnt/numbers").output == sums
        assert shell.run("mount -o remount,rw /mnt").status != 0
        assert shell.run("umount /mnt; echo destroy >/dev/vda").status != 0
        assert shell.run("printf again >/dev/vdb").status == 0
        shell.power_off()
    assert first.read_bytes() == before
    assert second.read_bytes()[:13] == b"againe second"


def test_what_is_written_to_an_overlay_is_gone_in_the_end(debian_image: Image, tmp_path: Path) -> None:
    disk = new_disk(tmp_path / "disk", 16)
    disk.chmod(0o444)
    for _ in range(2):
        with Machine(debian_image, disks=[(disk, "overlay")], memory="128M") as machine:
            shell = Shell(machine)
            assert shell.run("cat /sys/block/vda/ro").output == "0\n"
            assert shell.run("mount -t ext4 /dev/vda /mnt").status != 0
            assert shell.run("mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt").status == 0
            assert shell.run("seq 1 1000 >/mnt/numbers; umount /mnt; mount -t ext4 /dev/vda /mnt").status == 0
            assert shell.run("tail -n 1 /mnt/numbers").output == "1000\n"
            shell.power_off()
        assert not any(disk.read_bytes())
    assert disk.stat().st_blocks == 0


def test_forks_have_disks_of_their_own_and_restoring_brings_them_back(debian_image: Image, tmp_path: Path) -> None:
    disk = new_disk(tmp_path / "disk", 16)
    with Machine(debian_image, disks=[disk], memory="128M") as machine:
        shell = Shell(machine)
        assert shell.run("mke2fs /dev/vda >/dev/null 2>&1 && mount -t ext4 /dev/vda /mnt").status == 0
        shell.run("seq 1 20000 >/mnt/numbers; sync")
        snapshot = machine.snapshot()
        before = disk.read_bytes()

        shell.run("seq 1 30000 >/mnt/numbers; echo parent >/mnt/name; sync")
        after = disk.read_bytes()
        assert after != before
        for name in ("first", "second"):
            with snapshot.fork() as child:
                child.console.send("\n")  # it has prompted already
                its_shell = Shell(child)
                assert its_shell.run("ls /mnt").output == "lost+found  numbers\n"
                its_shell.run(f"echo {name} >/mnt/name; umount /mnt; echo 3 >/proc/sys/vm/drop_caches")
                assert its_shell.run("mount -t ext4 /dev/vda /mnt && cat /mnt/name").output == f"{name}\n"
                assert its_shell.run("tail -n 1 /mnt/numbers").output == "20000\n"
        assert disk.read_bytes() == after

        machine.restore(snapshot)
        assert disk.read_bytes() == before
        machine.console.send("\n")
        shell = Shell(machine)
        shell.run("umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount -t ext4 /dev/vda /mnt")
        assert shell.run("ls /mnt; tail -n 1 /mnt/numbers").output == "lost+found  numbers\n20000\n"
        shell.power_off()


def test_data_reaches_the_file_before_power_off(debian_image: Image, tmp_path: Path) -> None:
    """`sync` is enough: the machine may be switched off without a word."""
    disk = new_disk(tmp_path / "disk", 8)
    with Machine(debian_image, disks=[disk], memory="128M") as machine:
        shell = Shell(machine)
        shell.run("head -c 1000000 /dev/urandom >/tmp/data; cat /tmp/data >/dev/vda; sync")
        expected = shell.run("sha256sum </tmp/data").output
    with Machine(debian_image, disks=[disk], memory="128M") as machine:
        shell = Shell(machine)
        assert shell.run("head -c 1000000 /dev/vda | sha256sum").output == expected


def test_a_disk_that_shrinks_gives_the_guest_an_error(debian_image: Image, tmp_path: Path) -> None:
    disk = new_disk(tmp_path / "disk", 8)
    with Machine(debian_image, disks=[disk], memory="128M") as machine:
        shell = Shell(machine)
        with disk.open("r+b") as file:
            file.truncate(4 * MEBIBYTE)
        assert shell.run("dd if=/dev/vda of=/dev/null bs=1M count=4 2>/dev/null").status == 0
        assert shell.run("dd if=/dev/vda of=/dev/null bs=1M skip=4 2>/dev/null").status == 1
        assert "I/O error, dev vda" in shell.run("dmesg").output
        assert shell.power_off().code == 0
