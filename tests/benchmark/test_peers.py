"""How each peer runs each kind of program, and when it does not."""

from __future__ import annotations

import sys
from pathlib import Path

from hypernest.benchmark.peers import BareProgram, Hypernest, Invocation, Job, LinuxProgram, Native, Qemu

BARE = BareProgram(Path("/g/guest.elf"), Path("/g/guest"))
LINUX = LinuxProgram(Path("/g/Image"), Path("/g/initrd"), "console=ttyS0 quiet")
STATS = Path("/s/stats.json")


def words(invocation: Invocation | None) -> str:
    assert invocation is not None
    return " ".join(invocation.command)


def test_qemu_enters_a_bare_guest_without_firmware_and_linux_with() -> None:
    bare, linux = (words(Qemu().invocation(Job(program, STATS))) for program in (BARE, LINUX))
    assert "-bios none -kernel /g/guest.elf" in bare
    assert "-bios default -kernel /g/Image -initrd /g/initrd -append console=ttyS0 quiet" in linux
    assert "-m 512M" in bare
    assert "-m 512M" in linux


def test_hypernest_enters_a_bare_guest_as_firmware_and_linux_as_kernel() -> None:
    bare, linux = (words(Hypernest("reference").invocation(Job(program, STATS))) for program in (BARE, LINUX))
    for command in (bare, linux):
        assert command.startswith(f"{sys.executable} -m hypernest run --memory 512M --engine reference")
        assert "--stats /s/stats.json" in command
    assert "--firmware /g/guest.elf" in bare
    assert "--kernel /g/Image --initrd /g/initrd --append console=ttyS0 quiet" in linux


def test_append_is_one_argument() -> None:
    for peer in (Qemu(), Hypernest()):
        invocation = peer.invocation(Job(LINUX, STATS))
        assert invocation is not None
        assert invocation.command[-1] == LINUX.append


def test_only_hypernest_has_something_to_generate() -> None:
    cold = Job(BARE, STATS, empty_cache=Path("/c"))
    assert Qemu().invocation(cold) is None
    assert Native().invocation(cold) is None
    invocation = Hypernest().invocation(cold)
    assert invocation is not None
    assert invocation.environment == {"HYPERNEST_CACHE": "/c"}
    warm = Hypernest().invocation(Job(BARE, STATS))
    assert warm is not None
    assert warm.environment == {}


def test_host_runs_what_was_built_for_it() -> None:
    assert words(Native().invocation(Job(BARE, STATS))) == "/g/guest"
    assert Native().invocation(Job(BareProgram(BARE.elf), STATS)) is None
    assert Native().invocation(Job(LINUX, STATS)) is None
