"""Machines in archives: they go on as if nothing had been, on any engine, and what was tampered with is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from hypernest.errors import BadConfiguration, HypernestError
from hypernest.history import snapshots
from hypernest.history.archive import Archive, BadSnapshot, Blocks, SnapshotExists, SnapshotMissing
from hypernest.images import Image
from hypernest.machine import Machine
from hypernest.machine.outcome import StopKind
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.state import BadState
from tests.machine.small_guests import bare, hosted

# Counts in memory, prints a letter now and then, and writes what it is sent back twice.
GUEST = """
        li   s0, 0x10000000
        li   s1, 0x80400000
        li   s2, 0
    loop:
        addi s2, s2, 1
        slli t0, s2, 3
        li   t1, 0xffff8
        and  t0, t0, t1
        add  t0, t0, s1
        sd   s2, 0(t0)
        andi t0, s2, 0x3ff
        bnez t0, input
        li   t0, 'a'
        sb   t0, 0(s0)
    input:
        lbu  t0, 5(s0)
        andi t0, t0, 1
        beqz t0, loop
        lbu  t0, 0(s0)
        sb   t0, 0(s0)
        sb   t0, 0(s0)
        j    loop
""".replace("'a'", str(ord("a")))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the user: native code stays in the real cache, which saves compiling it anew."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(snapshots, "cache_folder", lambda: tmp_path / "cache")


def course(machine: Machine) -> list[object]:
    """What a machine does from here on."""
    machine.console.send("x")
    machine.run(2000)
    machine.console.send("yz")
    machine.run(3001)
    return [machine.instructions, machine.now, machine.console.read(), machine.state_hash()]


@pytest.mark.parametrize("engine", ["reference", "interpreter", "translator"])
def test_it_goes_on_as_the_machine_itself_does(engine: str) -> None:
    with hosted(GUEST, engine="interpreter", seed=5) as machine:
        machine.run(50_000)
        machine.console.send("typed before")
        machine.run(100)
        machine.snapshot().save("one")
        expected = course(machine)
    for _ in range(2):  # unpacked, and mapped from the cache
        with Snapshot.load("one").fork(engine=engine) as again:
            assert course(again) == expected


def test_the_archive_is_the_users(tmp_path: Path) -> None:
    with hosted(GUEST) as machine:
        entry = machine.snapshot().save("one")
    path = tmp_path / "data" / "hypernest" / "snapshots"
    assert snapshots.default_path() == path and Archive(path).entries() == [entry]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_kept_of_it(tmp_path: Path) -> None:
    with hosted(GUEST, harts=2, memory="32M") as machine:
        machine.run(1000)
        base = machine.snapshot()
        base.save("base", tmp_path / "file")
        machine.run(1000)
        entry = machine.snapshot().save("next", tmp_path / "file", parent="base", about={"note": "mine"})
    assert entry.parent == "base" and entry.own_pages < 10
    about = {**entry.about, "pc": None}
    assert about == {
        "guest": "program",
        "memory": 32 << 20,
        "harts": 2,
        "disks": 0,
        "instructions": 2000,
        "now": 2000,
        "pc": None,
        "note": "mine",
    }
    archive = Archive(tmp_path / "file", writable=True)
    with pytest.raises(SnapshotExists):
        base.save("next", archive)
    with pytest.raises(SnapshotMissing):
        Snapshot.load("other", archive)
    loaded = Snapshot.load("base", archive)
    assert (loaded.instructions, loaded.now, loaded.setup.harts) == (base.instructions, base.now, 2)
    assert [loaded.hart(number)["pc"] for number in (0, 1)] == [base.hart(number)["pc"] for number in (0, 1)]


def test_a_chain_of_forks(tmp_path: Path) -> None:
    """A snapshot of a machine that began with one from the disk has its changes, and the rest once only."""
    with hosted(GUEST) as machine:
        machine.run(300_000)
        machine.snapshot().save("s0", tmp_path / "file")
    hashes = []
    for number in range(3):
        with Snapshot.load(f"s{number}", tmp_path / "file").fork() as machine:
            machine.run(20_000)
            entry = machine.snapshot().save(f"s{number + 1}", tmp_path / "file", parent=f"s{number}")
            hashes.append(machine.state_hash())
        assert entry.own_pages < 40
    for number, expected in enumerate(hashes, 1):
        with Snapshot.load(f"s{number}", tmp_path / "file").fork() as machine:
            assert machine.state_hash() == expected


def test_firmware_and_its_symbols(tmp_path: Path) -> None:
    with bare("    li s0, 0\n  loop:\n    addi s0, s0, 1\n    j loop\n", harts=2) as machine:
        machine.run(1001)
        machine.snapshot().save("bare")
        expected = course(machine)
    loaded = Snapshot.load("bare")
    assert [(program.what, program.address, program.source) for program in loaded.programs] == [
        ("firmware", 0x8000_0000, b"\0")
    ]
    with loaded.fork(engine="reference") as again:
        assert course(again) == expected


def test_an_elf_program_keeps_its_symbols(tmp_path: Path) -> None:
    from hypernest.debug.symbol_files import program_symbols
    from tests.debug.guests import TWO_FUNCTIONS, build

    program = build(TWO_FUNCTIONS, tmp_path)
    with Machine(firmware=program, memory="16M") as machine:
        expected = [list(program_symbols(each)) for each in machine.programs]
        machine.snapshot().save("elf")
    program.unlink()
    assert [list(program_symbols(each)) for each in Snapshot.load("elf").programs] == expected != [[]]


def test_disks_are_part_of_it(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    content = Random(1).randbytes(30_000).ljust(1 << 20, b"\0") + b"end".ljust(512, b"\0")
    image.write_bytes(content)
    with hosted(GUEST, disks=[image]) as machine:
        machine.snapshot().save("with disk")
        entry = machine.snapshot().save("again")
    assert entry.about["disks"] == 1 and entry.sizes["disk0"] == len(content) and entry.own_pages <= 1
    image.unlink()
    loaded = Snapshot.load("with disk")
    (disk,) = loaded.disks
    assert disk.sectors * 512 == len(content) and not disk.readonly
    assert disk.read(0, len(content)) == content and disk.read(1000, 7) == content[1000:1007]
    with pytest.raises(OSError, match="outside"):
        disk.read(len(content) - 10, 11)
    with loaded.fork() as machine:
        (mine,) = machine._disks
        mine.write(512, b"changed".ljust(512, b"\0"))
        machine.snapshot().save("changed")
    assert disk.read(0, 1024) == content[:1024]
    assert Snapshot.load("changed").disks[0].read(0, 1024) == content[:512] + b"changed".ljust(512, b"\0")
    assert Snapshot.load("again").disks[0].read(0, len(content)) == content


def test_a_read_only_disk_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"x" * 8192)
    with hosted(GUEST, disks=[(tmp_path / "disk", True)]) as machine:
        machine.snapshot().save("one")
    with Snapshot.load("one").fork() as machine, pytest.raises(OSError, match="read-only"):
        machine._disks[0].write(0, bytes(512))


def test_a_reset_ends_it() -> None:
    """For nobody knows the files any more that would be loaded then."""
    with hosted("    li a7, 0x53525354\n    li a6, 0\n    li a0, 1\n    li a1, 0\n    ecall\n") as machine:
        machine.snapshot().save("one")
    with Snapshot.load("one").fork() as machine:
        assert machine.run(1000).kind is StopKind.RESET


def test_one_that_had_ended_has_ended() -> None:
    with bare("    li t0, 0x100000\n    li t1, 0x5555\n    sw t1, 0(t0)\n") as machine:
        reason = machine.run()
        machine.snapshot().save("one")
    with Snapshot.load("one").fork() as machine:
        assert machine.run() == reason


# --- what cannot be believed ---------------------------------------------------------------------------------------


def tampered(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """An archive whose snapshot `bad` is `good` with its state changed, rightly signed."""
    archive = Archive(path, writable=True)
    with archive.load("good") as saved:
        state = msgspec.msgpack.decode(saved.state)
        change(state)
        streams = {
            name: Blocks(stream.size, list(stream.all_blocks()), keep_zeros=True)
            for name, stream in saved.streams.items()
        }
    archive.save("bad", msgspec.msgpack.encode(state), streams)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """An archive with a machine that has everything."""
    disk = tmp_path / "disk"
    disk.write_bytes(b"disk".ljust(8192, b"\0"))
    path = tmp_path / "file"
    with hosted(GUEST, disks=[disk]) as machine:
        machine.run(5000)
        machine.snapshot().save("good", path)
    return path


def put(*way: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: Any) -> None:
        for step in way[:-2]:
            state = state[step]
        state[way[-2]] = way[-1]

    return change


@pytest.mark.parametrize(
    "change",
    [
        put("format", 2),
        put("memory_size", 32 << 20),
        put("memory_size", 1 << 60),
        put("memory_size", 0),
        put("memory_size", -1),
        put("memory_size", "16M"),
        put("harts", 0),
        put("harts", 2),
        put("harts", 9),
        put("seed", -1),
        put("epoch", 2**64 - 1),
        put("title", "\x1b[2J"),
        put("title", "x" * 2000),
        put("board", None),
        put("board", "harts", []),
        put("board", "harts", 0, b"short"),
        put("reason", {"kind": "nonsense"}),
        put("programs", 0, "address", -1),
        put("programs", 0, "what", "/etc/passwd"),
        put("programs", 0, "size", 1 << 40),
        put("programs", [{"what": "kernel", "address": 0, "size": 1}] * 3),
        put("disks", 0, "sectors", 1 << 50),
        put("disks", 0, "sectors", 0),
        put("disks", []),
        put("disks", [{"sectors": 16, "readonly": False}] * 7),
        lambda state: state.pop("harts"),
        lambda state: state.pop("format"),
        dict.clear,
    ],
)
def test_what_was_tampered_with_is_refused(good: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tampered(good, change)
    with pytest.raises((BadSnapshot, BadState)) as caught:
        Snapshot.load("bad", good).fork().close()
    assert "\n" not in str(caught.value)


def leaves(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [each for key, item in items for each in leaves(item, (*way, key))]


def test_whatever_was_changed_nothing_but_a_refusal_comes_of_it(good: Path) -> None:
    """Nor if the guest then runs for a while with it."""
    with Archive(good).load("good") as saved:
        ways = leaves(msgspec.msgpack.decode(saved.state))
    random = Random(8)
    values: list[Any] = [
        0,
        1,
        7,
        255,
        4096,
        2**31,
        2**32,
        2**63 - 1,
        2**64 - 1,
        -1,
        "",
        "x",
        None,
        [],
        {},
        b"",
        b"12345678",
    ]
    archive = Archive(good, writable=True)
    refused = accepted = 0
    for way in random.sample(ways, min(len(ways), 60)):
        tampered(good, put(*way, random.choice(values)))
        try:
            with Snapshot.load("bad", good).fork(engine="interpreter") as machine:
                machine.run(2000)
            accepted += 1
        except HypernestError:
            refused += 1
        archive.delete("bad")
    assert refused > 20 and accepted > 0


def test_state_of_another_kind_of_machine(good: Path) -> None:
    archive = Archive(good, writable=True)
    archive.save("bad", b"\x81\xa6format\x01", {})
    archive.save("none", b"", {})
    for name in ("bad", "none"):
        with pytest.raises(BadSnapshot, match="cannot be used: this is no .*: it is damaged or of another version"):
            Snapshot.load(name, good)


def test_no_file_of_the_host_is_named(good: Path) -> None:
    with Archive(good).load("good") as saved:
        assert str(good.parent).encode() not in saved.state


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError()))
    with pytest.raises(BadConfiguration, match="name a file for them"):
        snapshots.default_path()


# --- Linux ---------------------------------------------------------------------------------------------------------


def test_debian(tmp_path: Path, debian_image: Image) -> None:
    path = tmp_path / "file"
    with Machine(debian_image, memory="256M") as machine:
        machine.run_until("~ # ")
        entry = machine.snapshot().save("booted", path)
        machine.console.send("echo $((6 * 7)) >/tmp/answer\n")
        machine.run_until("~ # ")
        following = machine.snapshot().save("next", path, parent="booted")
        machine.console.send("cat /tmp/answer; wc -c </proc/kallsyms\n")
        expected = machine.run_until("~ # "), machine.state_hash()
    assert entry.own_bytes < 80_000_000 and following.own_bytes < entry.own_bytes / 20
    Archive(path, writable=True).delete("booted")
    for engine in ("interpreter", "translator"):
        with Snapshot.load("next", path).fork(engine=engine) as machine:
            machine.console.send("cat /tmp/answer; wc -c </proc/kallsyms\n")
            assert (machine.run_until("~ # "), machine.state_hash()) == expected
    assert "42" in expected[0] and os.path.getsize(path) < 80_000_000
