"""Every bare-machine guest computes the same on QEMU and on this host; every Linux workload what it should."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from pathlib import Path

import pytest

from hypernest.benchmark.build import GUESTS, LINUX, find_tool, native_toolchain
from hypernest.benchmark.peers import Job, Native, Peer, Qemu
from hypernest.benchmark.process import END, run_bounded
from hypernest.benchmark.programs import build_bare
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
    program = build_bare(dataclasses.replace(workload, count=1), native_toolchain())
    peers: tuple[Peer, ...] = (Qemu(), Native())
    checksums = set()
    for peer in peers:
        invocation = peer.invocation(Job(program, tmp_path / "stats"))
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
        program = build_bare(dataclasses.replace(workload, count=count), native_toolchain())
        invocation = Native().invocation(Job(program, tmp_path / "stats"))
        assert invocation is not None
        found.add(run_bounded(invocation.command, timeout=60).checksum)
    assert len(found) == 2


def run_linux_workload(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    emulator = find_tool("qemu-riscv64", "qemu-user")
    program = LINUX.build([GUESTS / "linux_workloads.c"])
    return subprocess.run([emulator, str(program), *arguments], capture_output=True, timeout=60, check=False)


def checksum(*arguments: str) -> int:
    done = run_linux_workload(*arguments)
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


@pytest.mark.parametrize("arguments", [(), ("sha256",), ("unknown", "1")])
def test_wrong_call_is_refused(arguments: tuple[str, ...]) -> None:
    assert run_linux_workload(*arguments).returncode == 2
