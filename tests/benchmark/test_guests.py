"""Every bare-machine guest computes the same on QEMU and on this host; every Linux workload what it should."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import pytest

from hypernest.benchmark.build import LINUX, LINUX_SOURCES, find_tool, native_toolchains
from hypernest.benchmark.peers import Job, Native, Peer, Qemu
from hypernest.benchmark.process import END, run_bounded
from hypernest.benchmark.programs import build_bare
from hypernest.benchmark.qemu import find_qemus
from hypernest.benchmark.workloads import WORKLOADS, Kind

BARE_PROGRAMS = sorted({workload.program for workload in WORKLOADS if workload.kind is Kind.BARE})


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERNEST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", BARE_PROGRAMS)
def test_qemu_and_host_compute_the_same(name: str, tmp_path: Path) -> None:
    workload = next(workload for workload in WORKLOADS if workload.program == name)
    program = build_bare(dataclasses.replace(workload, count=1), native_toolchains()[Kind.BARE])
    peers: tuple[Peer, ...] = (Qemu(find_qemus()[0]), Native())
    checksums = set()
    for peer in peers:
        invocation = peer.invocation(Job(program, tmp_path / "stats", tmp_path / "cache"))
        assert invocation is not None
        run = run_bounded(invocation.command, timeout=60)
        assert run.inside is not None and run.until_begin is not None
        assert 0 <= run.inside <= run.wall
        checksums.add(run.checksum)
    assert len(checksums) == 1 and None not in checksums and "0x0000000000000000" not in checksums


@pytest.mark.parametrize("name", sorted(set(BARE_PROGRAMS) - {"nothing"}))
def test_more_work_gives_another_checksum(name: str, tmp_path: Path) -> None:
    workload = next(workload for workload in WORKLOADS if workload.program == name)
    found = set()
    for count in (1, 2):
        program = build_bare(dataclasses.replace(workload, count=count), native_toolchains()[Kind.BARE])
        invocation = Native().invocation(Job(program, tmp_path / "stats", tmp_path / "cache"))
        assert invocation is not None
        found.add(run_bounded(invocation.command, timeout=60).checksum)
    assert len(found) == 2


def run_linux_workload(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    emulator = find_tool("qemu-riscv64", "qemu-user")
    program = LINUX.build(LINUX_SOURCES)
    return subprocess.run([emulator, str(program), *arguments], capture_output=True, timeout=60, check=False)


def run_on_host(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = native_toolchains()[Kind.LINUX].build(LINUX_SOURCES)
    return subprocess.run([program, *arguments], capture_output=True, timeout=60, check=False)


def checksum(*arguments: str, run: Callable[..., subprocess.CompletedProcess[bytes]] = run_linux_workload) -> int:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    found = END.search(done.stdout)
    assert found and done.stdout.startswith(b"bench: begin\n")
    return int(found[1], 16)


def test_sha256_is_the_real_one() -> None:
    buffer = bytes((i * 7 + (i >> 8)) & 0xFF for i in range(256 << 10))
    assert checksum("sha256", "2") == int(hashlib.sha256(buffer * 2).hexdigest()[:16], 16)


def test_system_calls_are_counted() -> None:
    assert checksum("syscalls", "1000") == 1000


def test_fresh_pages_are_zero_and_keep_what_is_written() -> None:
    pages = (8 << 20) // 4096
    assert checksum("freshpages", "1") == sum(page & 0xFF for page in range(pages))


def test_sorting_depends_on_the_number_of_lines() -> None:
    assert checksum("sorttext", "100") != checksum("sorttext", "101")


def test_child_that_cannot_exec_is_seen() -> None:
    # Under QEMU's user emulation the host cannot exec the guest's program, so children exit with 255 each.
    assert checksum("forkexec", "2") != checksum("forkexec", "3")


def folded(values: list[int]) -> int:
    """What `fold` of workload.h makes of them, from 0."""
    mask = (1 << 64) - 1
    return reduce(lambda sum_, value: ((sum_ ^ value) * 0x9E3779B97F4A7C15 + (sum_ >> 29)) & mask, values, 0)


def test_interpreted_programs_compute_what_they_say() -> None:
    primes = sum(all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(2, 20000))
    fibonacci, following = 0, 1
    for _ in range(17):
        fibonacci, following = following, fibonacci + following
    hashes = 0
    for number in range(2000):
        value = 1
        for digit in reversed(str(number)):
            value = (value ^ ord(digit)) * 0x100000001B3 & (1 << 64) - 1
        hashes ^= value
    assert checksum("interpreter", "1") == folded([primes, fibonacci, hashes])
    assert checksum("interpreter", "2") == folded([primes, fibonacci, hashes] * 2)


def test_compression_depends_on_the_text() -> None:
    # The program itself compares what it restored, and refuses to go on when the text is hardly smaller.
    assert checksum("compress", "1") != checksum("compress", "2")


def test_compression_that_goes_wrong_is_seen(tmp_path: Path) -> None:
    for right, wrong, message in (
        ("restored[place] = restored[place - distance]", "restored[place] = restored[place - 1]", b"decompress: "),
        ("decompress(size);", "decompress(size); restored[9] ^= 1;", b"not restored"),
    ):
        sources = []
        for source in LINUX_SOURCES:
            text = source.read_text()
            if source.name == "compress.c":
                assert right in text
                text = text.replace(right, wrong)
            sources.append(tmp_path / source.name)
            sources[-1].write_text(text)
        program = native_toolchains()[Kind.LINUX].build(sources)
        done = subprocess.run([program, "compress", "1"], capture_output=True, timeout=60, check=False)
        assert done.returncode == 1 and message in done.stderr and b"bench: end" not in done.stdout


@pytest.mark.parametrize("name", ["syscalls", "freshpages", "sha256", "sorttext", "compress", "interpreter"])
def test_host_computes_the_same_under_linux(name: str) -> None:
    assert checksum(name, "2", run=run_on_host) == checksum(name, "2")


def test_host_forks_and_executes() -> None:
    assert checksum("forkexec", "3", run=run_on_host) == folded([number * 37 & 127 for number in range(3)])


@pytest.mark.parametrize("arguments", [(), ("sha256",), ("unknown", "1")])
def test_wrong_call_is_refused(arguments: tuple[str, ...]) -> None:
    assert run_linux_workload(*arguments).returncode == 2
