"""How each peer runs each kind of program, and when it does not."""

from __future__ import annotations

import sys
from pathlib import Path

from hypernest.benchmark.peers import BareProgram, Hypernest, Invocation, Job, LinuxProgram, Native, Qemu
from hypernest.benchmark.qemu import QemuProgram

BARE = BareProgram(Path("/g/guest.elf"), Path("/g/guest"))
LINUX = LinuxProgram(Path("/g/Image"), Path("/g/initrd"), "console=ttyS0 quiet", ("/g/workloads", "sha256", "3"))
STATS, CACHE = Path("/s/stats.json"), Path("/s/cache")
QEMU = Qemu(QemuProgram(Path("/q/qemu-system-riscv64"), "7.2.22"))


def words(invocation: Invocation | None) -> str:
    assert invocation is not None
    return " ".join(invocation.command)


def test_qemu_enters_a_bare_guest_without_firmware_and_linux_with() -> None:
    bare, linux = (words(QEMU.invocation(Job(program, STATS, CACHE))) for program in (BARE, LINUX))
    assert "-bios none -kernel /g/guest.elf" in bare
    assert "-bios default -kernel /g/Image -initrd /g/initrd -append console=ttyS0 quiet" in linux
    assert bare.startswith("/q/qemu-system-riscv64 ")
    assert "-m 512M" in bare
    assert "-m 512M" in linux


def test_hypernest_enters_a_bare_guest_as_firmware_and_linux_as_kernel() -> None:
    bare, linux = (words(Hypernest("reference").invocation(Job(program, STATS, CACHE))) for program in (BARE, LINUX))
    for command in (bare, linux):
        assert command.startswith(f"{sys.executable} -m hypernest run --memory 512M --engine reference")
        assert "--stats /s/stats.json" in command
    assert "--firmware /g/guest.elf" in bare
    assert "--kernel /g/Image --initrd /g/initrd --append console=ttyS0 quiet" in linux


def test_append_is_one_argument() -> None:
    for peer in (QEMU, Hypernest()):
        invocation = peer.invocation(Job(LINUX, STATS, CACHE))
        assert invocation is not None
        assert invocation.command[-1] == LINUX.append


def test_only_hypernest_keeps_what_it_generates_and_only_in_the_folder_it_is_given() -> None:
    assert [peer.generates for peer in (QEMU, Hypernest(), Native())] == [False, True, False]
    for program in (BARE, LINUX):
        invocation = Hypernest().invocation(Job(program, STATS, CACHE))
        assert invocation is not None
        assert invocation.environment == {"HYPERNEST_CACHE": str(CACHE)}


def test_options_are_passed_on_after_our_own() -> None:
    command = words(Hypernest("translator", ("--memory-path=host",)).invocation(Job(BARE, STATS, CACHE)))
    assert "--engine translator" in command
    assert command.index("--stats") < command.index("--memory-path=host")


def test_host_runs_what_was_built_for_it() -> None:
    assert words(Native().invocation(Job(BARE, STATS, CACHE))) == "/g/guest"
    assert words(Native().invocation(Job(LINUX, STATS, CACHE))) == "/g/workloads sha256 3"
    for program in (BareProgram(BARE.elf), LinuxProgram(LINUX.kernel, LINUX.initrd, LINUX.append)):
        assert Native().invocation(Job(program, STATS, CACHE)) is None
