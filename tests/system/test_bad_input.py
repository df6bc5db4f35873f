"""What a user gives wrongly ends in one clear line; what a hostile guest does ends in a fault that it sees."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hypernest.cli.main import run
from hypernest.images import Image
from hypernest.machine import Machine, StopKind
from hypernest.machine.board import CLINT, FINISHER, PLIC, RAM, RTC, UART, VIRTIO
from tests.machine.small_guests import assembled, hosted, on_every_engine

ROOT = Path(__file__).parents[2]


# --- files and values -------------------------------------------------------------------------------------------------


def sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(10_000))


# How a file is made, the option that takes it, the exit status, and what must be said.
WRONG_FILES: dict[str, tuple[Callable[[Path], object], str, int, str]] = {
    "an empty kernel": (lambda path: path.touch(), "--kernel", 1, "is empty"),
    "a kernel larger than memory": (lambda path: sparse(path, 600 << 20), "--kernel", 1, "--memory 606M would do"),
    "a kernel larger than any memory": (lambda path: sparse(path, 1 << 40), "--kernel", 1, "give a smaller one"),
    "a kernel of nonsense": (garbage, "--kernel", 1, "jumped into nothing"),
    "an ELF file that ends at once": (lambda path: path.write_bytes(b"\x7fELF"), "--kernel", 1, "ends in its header"),
    "a program of this host": (lambda path: path.write_bytes(Path(sys.executable).read_bytes()), "--kernel", 1, "for "),
    "a folder as kernel": (lambda path: path.mkdir(), "--kernel", 2, "Is a directory"),
    "a device as kernel": (lambda path: path.symlink_to("/dev/zero"), "--kernel", 1, "it is not a file"),
    "a pipe as kernel": (lambda path: os.mkfifo(path), "--kernel", 1, "it is not a file"),
    "no kernel": (lambda path: None, "--kernel", 2, "No such file"),
    "a device as firmware": (lambda path: path.symlink_to("/dev/zero"), "--firmware", 1, "it is not a file"),
    "firmware of nonsense": (garbage, "--firmware", 1, "jumped into nothing"),
    "an initrd larger than memory": (lambda path: sparse(path, 600 << 20), "--initrd", 1, "does not fit"),
    "an empty initrd": (lambda path: path.touch(), "--initrd", 1, "is empty"),
    "a device as initrd": (lambda path: path.symlink_to("/dev/zero"), "--initrd", 1, "it is not a file"),
    "no disk": (lambda path: None, "--disk", 2, "create it"),
    "an empty disk": (lambda path: path.touch(), "--disk", 2, "is empty"),
    "a disk of odd size": (lambda path: path.write_bytes(b"x" * 1000), "--disk", 2, "no multiple of 512"),
    "a folder as disk": (lambda path: path.mkdir(), "--disk", 2, "Is a directory"),
    "a device as disk": (lambda path: path.symlink_to("/dev/zero"), "--disk", 2, "is not a file or a block device"),
    "a pipe as disk": (lambda path: os.mkfifo(path), "--disk", 2, "is not a file or a block device"),
}


def one_line(capfd: pytest.CaptureFixture[str]) -> str:
    """The only line that was printed, without the program's name."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("hypernest: ") and err.endswith("\n") and err.count("\n") == 1
    return err.removeprefix("hypernest: ")


@pytest.mark.parametrize("name", WRONG_FILES)
def test_files_that_are_wrong(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, option, status, message = WRONG_FILES[name]
    path = tmp_path / "file"
    make(path)
    kernel = tmp_path / "kernel"
    kernel.write_bytes(assembled("li a7, 8\n ecall"))
    rest = [] if option in ("--kernel", "--firmware") else ["--kernel", str(kernel)]
    assert run(["run", option, str(path), *rest, "--limit", "100_000_000"]) == status
    assert message in one_line(capfd)


@pytest.mark.parametrize("kept", [100, 5_000_000])
def test_a_kernel_cut_short(debian_image: Image, kept: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kernel"
    with debian_image.kernel.open("rb") as file:
        path.write_bytes(file.read(kept))
    assert run(["run", "--kernel", str(path)]) == 1
    assert "fetch it again" in one_line(capfd)


@pytest.mark.parametrize(
    ("size", "status", "message"),
    [
        ("0", 2, "give it 1M to 256G"),
        ("1", 2, "give it 1M to 256G"),
        ("16T", 2, "give it 1M to 256G"),
        ("abc", 2, "is not a size of memory"),
        ("", 2, "is not a size of memory"),
        ("1M", 1, "give the machine more memory: --memory 8M would do"),
    ],
)
def test_sizes_of_memory(size: str, status: int, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "hello", "--memory", size]) == status
    assert message in one_line(capfd)


def test_a_disk_that_another_machine_uses(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    sparse(disk, 1 << 20)
    command = [sys.executable, "-m", "hypernest", "run", "hello", "--disk"]
    with subprocess.Popen([*command, str(disk)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None and first.stdout is not None
        assert first.stdout.readline().startswith(b"Hello")
        for option in (str(disk), f"{disk},readonly"):
            second = subprocess.run([*command, option], cwd=ROOT, capture_output=True, timeout=60, check=False)
            assert (second.returncode, second.stdout) == (2, b"")
            assert second.stderr.startswith(f"hypernest: disk {disk} is in use by another machine: ".encode())
        first.stdin.close()
        assert first.wait() == 0
    assert subprocess.run([*command, str(disk)], cwd=ROOT, stdin=subprocess.DEVNULL, timeout=60, check=True)


@pytest.mark.parametrize("image", ["debian", "hello"])
def test_a_cache_that_cannot_be_written(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "file" / "folder"))
    assert run(["run", image]) == 1
    assert "choose another folder with HYPERNEST_CACHE" in one_line(capfd)


# --- guests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "guest",
    [
        "li t0, 0\n jr t0",
        "la t0, 1f\n csrw stvec, t0\n .align 2\n 1: .word 0",
        "la sp, 1f\n csrw stvec, sp\n li s0, 0x40000000\n .align 2\n 1: ld t0, 0(s0)\n j 1b",
    ],
    ids=["jumps into nothing", "traps in its trap handler", "loads from nowhere in its trap handler"],
)
def test_a_guest_that_only_traps_is_stopped(guest: str) -> None:
    with hosted(guest) as machine:
        reason = machine.run(1_000_000_000)
        assert reason.kind is StopKind.STUCK
        assert "the guest jumped into nothing" in str(reason)
    with hosted(guest, engine="reference") as machine:
        assert machine.run(1000).kind is StopKind.LIMIT


# Does what the table behind it says: (address, operation, value) each. Each trap is counted and skipped.
HAMMER = """
    la    t0, handler
    csrw  stvec, t0
    la    s0, table
    li    s2, 0
next:
    ld    t0, 0(s0)
    ld    t1, 8(s0)
    ld    t2, 16(s0)
    addi  s0, s0, 24
    slli  t1, t1, 3
    la    t3, operations
    add   t3, t3, t1
    jr    t3
operations:
    lbu   t2, 0(t0)
    j     next
    lhu   t2, 0(t0)
    j     next
    lwu   t2, 0(t0)
    j     next
    ld    t2, 0(t0)
    j     next
    sb    t2, 0(t0)
    j     next
    sh    t2, 0(t0)
    j     next
    sw    t2, 0(t0)
    j     next
    sd    t2, 0(t0)
    j     next
    amoadd.d t2, t2, (t0)
    j     next
    la    s1, alive
1:  lbu   a0, 0(s1)
    beqz  a0, 2f
    li    a7, 1
    ecall
    addi  s1, s1, 1
    j     1b
2:  li    a7, 8
    ecall
.align 2
handler:
    csrr  t4, sepc
    addi  t4, t4, 4
    csrw  sepc, t4
    addi  s2, s2, 1
    sret
alive: .asciz "still alive"
.align 3
table:
"""
LOADS, STORES, ATOMIC, END = (0, 1, 2, 3), (4, 5, 6, 7), 8, 9
STORE_WORD = STORES[2]
QUEUES = RAM + 0x40_0000

Access = tuple[int, int, int]


def hammer(accesses: list[Access], **options: object) -> tuple[Machine, int]:
    """A machine that has survived `accesses`, and how many of them trapped."""
    table = b"".join(struct.pack("<3Q", *access) for access in (*accesses, (0, END, 0)))
    machine = Machine(kernel=assembled(HAMMER) + table, **{"memory": "16M", **options})  # type: ignore[arg-type]
    try:
        machine.memory.write(QUEUES, random.Random(2).randbytes(1 << 16))
        reason = machine.run(100_000_000)
        assert reason.kind is StopKind.POWER_OFF, reason
        assert "still alive" in machine.console.read()
        return machine, machine.harts[0].x["s2"]
    except BaseException:
        machine.close()
        raise


@on_every_engine
def test_addresses_where_nothing_is(engine: str) -> None:
    """Each access is an access fault, whatever its size and kind."""
    holes = (0x8, 0x2000_0000, 0x4000_0000, RAM - 8, RAM + (16 << 20), (1 << 56) - 8, (1 << 64) - 8, UART + 0x800)
    accesses = [(address, kind, 1) for address in holes for kind in (*LOADS, *STORES, ATOMIC)]
    machine, traps = hammer(accesses, engine=engine)
    with machine:
        assert traps == len(accesses)


def nonsense(seed: int, count: int) -> list[Access]:
    """Accesses to all devices except the one that ends the machine; most of them nearly make sense."""
    source = random.Random(seed)
    interesting = (0, 1, 2, 3, 4, 8, 0xF, 0x40, 0x80, 0x100, 0xFFFF, 0x8000_0000, 0xFFFF_FFFF, (1 << 64) - 1)
    slots = [VIRTIO + number * 0x1000 for number in range(8)]
    offsets = (*range(0, 0x100, 4), 0x100, 0x104, 0x108)
    accesses: list[Access] = []
    for _ in range(count):
        base = source.choice((*slots, *slots, *slots, CLINT, PLIC, UART, RTC))
        value = source.choice(interesting) if source.random() < 0.7 else source.getrandbits(64)
        if base in slots:
            if source.random() < 0.2:  # as far as a driver comes, with a queue full of nonsense
                where = QUEUES + source.randrange(0, 1 << 16, 16)
                size = source.choice((0, 1, 3, 8, 256, 1024, 0xFFFF))
                pairs = [
                    (0x70, 0),
                    (0x70, 3),
                    (0x24, 1),
                    (0x20, 1),
                    (0x70, 11),
                    (0x30, source.randrange(3)),
                    (0x38, size),
                ]
                pairs += [(0x80, where), (0x90, where + 0x1000), (0xA0, where + 0x2000), (0x44, 1), (0x70, 15)]
                pairs += [(0x50, source.randrange(3))]
                accesses += [(base + offset, STORE_WORD, number) for offset, number in pairs]
                continue
            offset = source.choice(offsets)
        else:
            offset = source.randrange(0, {UART: 0x100, RTC: 0x100, CLINT: 0x10000, PLIC: 0x400000}[base])
            offset &= -source.choice((1, 2, 4, 8))
        kind = source.choice((*LOADS, *STORES, ATOMIC)) if source.random() < 0.5 else STORE_WORD
        if base == UART and offset == 0 and kind >= STORES[0]:
            continue  # it would print
        accesses.append((base + offset, kind, value))
    assert not any(FINISHER <= address < FINISHER + 0x1000 for address, _, _ in accesses)
    return accesses


@pytest.mark.parametrize("seed", range(6))
def test_devices_survive_nonsense(seed: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    sparse(disk, 1 << 20)
    machine, traps = hammer(nonsense(seed, 3000), disks=[disk])
    with machine:
        assert traps > 300
    assert disk.stat().st_size == 1 << 20


def test_engines_agree_about_nonsense(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    results = []
    for engine in ("reference", "interpreter"):
        sparse(disk, 1 << 20)
        machine, traps = hammer(nonsense(99, 150), disks=[disk], engine=engine)
        with machine:
            memory = machine.memory.read(QUEUES, 1 << 16)
            results.append((traps, machine.instructions, machine.now, memory, disk.read_bytes()))
    assert results[0] == results[1]


def test_power_off_in_the_middle_of_everything(tmp_path: Path) -> None:
    """The guest notifies its disk of requests and switches off with the next instruction; another hart works on."""
    disk = tmp_path / "disk"
    sparse(disk, 1 << 20)
    slot = VIRTIO
    guest = f"""
        li    a7, 0x48534D
        li    a6, 0
        li    a0, 1
        la    a1, other
        ecall
        li    s0, {slot:#x}
        li    s1, {QUEUES:#x}
        li    t1, 1
        sw    t1, 0x24(s0)
        sw    t1, 0x20(s0)
        li    t1, 11
        sw    t1, 0x70(s0)
        li    t1, 8
        sw    t1, 0x38(s0)
        sw    s1, 0x80(s0)
        addi  t2, s1, 0x100
        sw    t2, 0x90(s0)
        addi  t2, s1, 0x200
        sw    t2, 0xA0(s0)
        li    t1, 1
        sw    t1, 0x44(s0)
        li    t1, 15
        sw    t1, 0x70(s0)
        li    t2, {FINISHER:#x}
        li    t3, 0x5555
        sw    x0, 0x50(s0)
        sw    t3, 0(t2)
        li    t3, 0x7777
        sw    t3, 0(t2)
        j     .
    other:
        li    s0, {UART:#x}
        li    t0, '.'
    1:  sb    t0, 0(s0)
        j     1b
    """
    header, data, status = QUEUES + 0x400, QUEUES + 0x1000, QUEUES + 0x500
    descriptors = struct.pack("<QIHH", header, 16, 1, 1) + struct.pack("<QIHH", data, 512, 1, 2)
    descriptors += struct.pack("<QIHH", status, 1, 2, 0)
    with Machine(kernel=assembled(guest), memory="16M", harts=2, disks=[disk]) as machine:
        machine.memory.write(QUEUES, descriptors)
        machine.memory.write(QUEUES + 0x100, struct.pack("<HHH", 0, 1, 0))
        machine.memory.write(header, struct.pack("<IIQ", 1, 0, 3))
        machine.memory.write(data, b"written".ljust(512, b"."))
        machine.memory.write(status, b"\xff")
        assert machine.run(1_000_000).kind is StopKind.POWER_OFF
        assert machine.memory[status] == 0
        assert machine.run().kind is StopKind.POWER_OFF
    assert disk.read_bytes()[3 * 512 :][:7] == b"written"
