"""The image `hello`: what it prints is what the machine is, on every engine and on QEMU; keys come back."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from hypernest import images
from hypernest.images import hello
from hypernest.isa.riscv.riscv64 import ISA_STRING
from hypernest.machine import Machine, StopKind

LAST_LINE = "Ctrl-D or Ctrl-C ends it.\r\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing but the interpreter's native code."""
    from hypernest.cache import cache_folder

    native = cache_folder() / "native"
    native.mkdir(parents=True, exist_ok=True)
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    (folder / "native").symlink_to(native)
    monkeypatch.setenv("HYPERNEST_CACHE", str(folder))
    return folder


def described(text: str) -> dict[str, list[str]]:
    """The lines of its report, values by what they are about."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line[12:14] == "  ":
            found.setdefault(line[:12].strip(), []).append(line[14:])
    return found


@pytest.mark.parametrize("engine", ["reference", "interpreter"])
def test_it_finds_the_machine_it_is_on(engine: Literal["reference", "interpreter"], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(512))
    with Machine("hello", harts=3, memory="48M", engine=engine, disks=[disk], append="some words") as machine:
        about = described(machine.run_until(LAST_LINE))
        devices = about.pop("device")
        assert about == {
            "firmware": ["SBI 2.0, implementation 0x686e (hypernest), version 0x1"],
            "extensions": ["TIME IPI RFENCE HSM SRST DBCN"],
            "harts": ["3, answered: 3"],
            "board": ["riscv-virtio,hypernest"],
            "command line": ["some words"],
            "memory": ["48 MiB at 0x80000000"],
            "isa": [ISA_STRING],
            "mmu": ["riscv,sv57"],
        }
        assert "0x10000000  ns16550a" in devices and "0x0c000000  sifive,plic-1.0.0" in devices
        virtio = [device for device in devices if "virtio" in device]
        assert virtio == [
            "0x10001000  virtio,mmio, disk",
            "0x10007000  virtio,mmio, console",
            "0x10008000  virtio,mmio, entropy",
        ]
        machine.console.send("ab\rc\x7f\x1b")
        assert machine.run_until("^[") == "ab\r\nc\x08 \x08^["
        machine.console.send("\x04")
        assert machine.run().kind is StopKind.POWER_OFF


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_either_key_ends_it(key: str) -> None:
    with Machine("hello", memory="16M") as machine:
        machine.console.send("typed before it asks" + key + "never seen")
        assert machine.run().kind is StopKind.POWER_OFF
        assert machine.console.read().endswith(f"{LAST_LINE}typed before it asks\r\nGood-bye.\r\n")


def test_it_waits_without_running() -> None:
    with Machine("hello", memory="16M") as machine:
        machine.run_until(LAST_LINE)
        for key in "waiting":
            before = machine.instructions
            machine.console.send(key)
            machine.run_until(key)
            assert machine.instructions - before < 1000


def test_a_tree_that_is_none_is_noticed() -> None:
    with Machine("hello", memory="16M") as machine:
        machine.memory.write(machine.harts[0].x["a1"], bytes(4))
        assert machine.run().kind is StopKind.POWER_OFF
        assert "There is no device tree." in machine.console.read()


def test_a_trap_is_a_failure() -> None:
    with Machine("hello", memory="16M") as machine:
        machine.harts[0].x["a1"] = 0x10
        reason = machine.run()
        assert (reason.kind, reason.code) == (StopKind.FAILURE, 1)
        assert "unexpected trap, cause 0x5 at 0x8020" in machine.console.read()


def test_it_is_listed_and_comes_from_nowhere(cache: Path) -> None:
    image = images.pull("hello")
    assert images.find("hello") == image and image in images.installed()
    assert (image.origin, image.initrds, image.packages) == ("built in", (), ())
    assert image.size == image.kernel.stat().st_size < 8192
    image.kernel.write_bytes(b"damaged")
    assert images.find("hello").kernel.read_bytes() == hello.kernel()


def test_it_is_assembled_at_once() -> None:
    hello.kernel()
    begin = time.process_time()
    hello.kernel()
    assert time.process_time() - begin < 0.2  # 0.03 on a machine that is not busy


QEMU = (
    "timeout",
    "60",
    "qemu-system-riscv64",
    "-M",
    "virt",
    "-m",
    "64M",
    "-smp",
    "2",
    "-display",
    "none",
    "-monitor",
    "none",
)


@pytest.mark.parametrize("options", [(), ("-device", "virtio-rng-device")])
def test_qemu_runs_it_too(options: Sequence[str], tmp_path: Path) -> None:
    kernel = tmp_path / "hello.bin"
    kernel.write_bytes(hello.kernel())
    with subprocess.Popen(
        [*QEMU, "-serial", "stdio", "-kernel", kernel, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as qemu:
        assert qemu.stdout is not None and qemu.stdin is not None
        seen = ""
        while not seen.endswith(LAST_LINE):
            data = qemu.stdout.read(1)
            assert data, seen
            seen = (seen + data.decode()).replace("\r\r\n", "\r\n")  # OpenSBI adds one
        qemu.stdin.write(b"hi\x04")
        qemu.stdin.close()
        assert qemu.stdout.read().decode().split() == ["hi", "Good-bye."]
        assert qemu.wait() == 0
    about = described(seen)
    assert about["firmware"][0].startswith("SBI 1.0, implementation 0x1 (OpenSBI)")
    assert about["harts"] == ["2, answered: 2"]
    assert about["board"] == ["riscv-virtio,qemu"]
    assert about["memory"] == ["64 MiB at 0x80000000"]
    assert ("entropy" in str(about["device"])) == bool(options)


@pytest.mark.parametrize("size", ["8M", "3G", "64G"])
def test_any_size_of_memory(size: str) -> None:
    """Native code and guest memory share the host's address space, which large guests divide."""
    with Machine("hello", memory=size) as machine:
        mebibytes = machine.memory.size >> 20
        assert described(machine.run_until(LAST_LINE))["memory"] == [f"{mebibytes} MiB at 0x80000000"]
