"""Debian's Linux from switching on to powering off: harts, address translation, firmware, keys, repetition."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hypernest.images import Image
from hypernest.machine import Machine, StopKind
from hypernest.monitors.sbi import IMPLEMENTATION_ID
from tests.system.shell import LIMIT, PROMPT, Shell

OPENSBI = Path("/usr/lib/riscv64-linux-gnu/opensbi/generic")
U_BOOT = Path("/usr/lib/u-boot")
OPENSBI_ID = 1


@pytest.mark.parametrize(
    ("harts", "append", "mode"),
    [(1, "no4lvl", "sv39"), (1, "no5lvl", "sv48"), (1, "", "sv57"), (4, "", "sv57")],
    ids=["sv39", "sv48", "sv57", "four harts"],
)
def test_linux_boots_and_powers_off(debian_image: Image, harts: int, append: str, mode: str) -> None:
    with Machine(debian_image, harts=harts, append=append, memory="192M") as machine:
        shell = Shell(machine)
        about = shell.run("cat /proc/cpuinfo").output
        assert about.count("processor\t:") == harts
        assert about.count(f"mmu\t\t: {mode}\n") == harts
        assert {hart.csr["satp"] >> 60 for hart in machine.harts} == {{"sv39": 8, "sv48": 9, "sv57": 10}[mode]}
        assert shell.run("nproc").output == f"{harts}\n"
        messages = shell.run("dmesg -r").output
        assert f"SBI implementation ID={IMPLEMENTATION_ID:#x}" in messages
        assert f"smp: Brought up 1 node, {harts} CPU" in messages
        severe = [line for line in messages.splitlines() if line[:3] in ("<0>", "<1>", "<2>", "<3>")]
        assert severe == []
        assert shell.power_off().kind is StopKind.POWER_OFF


def test_four_harts_work_at_once(debian_image: Image) -> None:
    with Machine(debian_image, harts=4, memory="192M") as machine:
        shell = Shell(machine)
        before = [hart.retired for hart in machine.harts]
        work = "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done"
        assert shell.run(f"for n in 1 2 3 4; do ( {work} ) & done; wait; echo done").output.endswith("done\n")
        assert all(hart.retired - start > 1_000_000 for hart, start in zip(machine.harts, before, strict=True))
        # One program on each hart in turn: the others must be told to forget translations and code.
        assert shell.run(
            "for n in 1 2 4 8; do taskset $n sh -c 'cat /proc/self/stat' | cut -d' ' -f39; done"
        ).output == ("0\n1\n2\n3\n")


@pytest.mark.parametrize(
    ("firmware", "harts"), [("fw_jump.bin", 1), ("fw_jump.elf", 2), ("fw_dynamic.bin", 4)], ids=lambda value: str(value)
)
def test_linux_boots_behind_opensbi(debian_image: Image, firmware: str, harts: int) -> None:
    with Machine(debian_image, firmware=OPENSBI / firmware, harts=harts, memory="192M") as machine:
        shell = Shell(machine)
        assert "OpenSBI v" in shell.boot_messages
        messages = shell.run("dmesg").output
        assert f"SBI implementation ID={OPENSBI_ID:#x}" in messages
        assert f"smp: Brought up 1 node, {harts} CPU" in messages
        assert shell.power_off().kind is StopKind.POWER_OFF


@pytest.mark.parametrize(
    ("firmware", "kernel"),
    [
        (U_BOOT / "qemu-riscv64/u-boot.bin", None),
        (OPENSBI / "fw_jump.bin", U_BOOT / "qemu-riscv64_smode/u-boot.bin"),
        (OPENSBI / "fw_dynamic.bin", U_BOOT / "qemu-riscv64_smode/u-boot.bin"),
        (None, U_BOOT / "qemu-riscv64_smode/u-boot.bin"),
    ],
    ids=["machine mode", "behind fw_jump", "behind fw_dynamic", "behind our SBI"],
)
def test_u_boot_reaches_its_prompt(firmware: Path | None, kernel: Path | None, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"first sector".ljust(1 << 20, b"\0"))
    with Machine(firmware=firmware, kernel=kernel, harts=2, disks=[disk], memory="192M") as machine:
        machine.run_until("Hit any key to stop autoboot", LIMIT)
        machine.console.send(" ")
        machine.run_until("=> ", LIMIT)
        machine.console.send("virtio scan; virtio read 80400000 0 1; md.b 80400000 c\n")
        assert "first sector" in machine.run_until("=> ", LIMIT)
        assert machine.memory.read(0x8040_0000, 12) == b"first sector"
        machine.console.send("poweroff\n")
        assert machine.run(LIMIT).kind is StopKind.POWER_OFF


def test_keys_job_control_and_reboot(debian_image: Image) -> None:
    """One boot for all of it."""
    with Machine(debian_image, memory="128M", append="with=words") as machine:
        shell = Shell(machine)
        shell.type("sleep 1000\n")
        machine.run_until("sleep 1000\r\n", LIMIT)
        machine.run(50_000_000)
        begin = machine.now
        shell.type("\x03")
        machine.run_until(PROMPT, LIMIT)
        assert machine.now - begin < 10**9
        shell.type("echo status=$?\n")
        machine.run_until("status=130\r\n", LIMIT)
        machine.run_until(PROMPT, LIMIT)

        shell.type("sleep 1000\n")
        machine.run_until("sleep 1000\r\n", LIMIT)
        machine.run(50_000_000)
        shell.type("\x1a")
        assert "Stopped" in machine.run_until(PROMPT, LIMIT)
        assert "sleep 1000" in shell.run("jobs").output
        assert shell.run("kill %1; fg %1").status == 143
        shell.type("cat\n")
        machine.run_until("cat\r\n", LIMIT)
        machine.run(50_000_000)
        shell.type("line\n")
        machine.run_until("line\r\nline\r\n", LIMIT)
        shell.type("\x04")
        machine.run_until(PROMPT, LIMIT)

        # Guest time is not the host's: an hour passes while nobody works.
        assert shell.run("sleep 3600").status == 0
        assert machine.now > 3600 * 10**9
        assert shell.run("cat /proc/cmdline").output.endswith("with=words\n")
        assert shell.run("echo kept >/tmp/file; cat /tmp/file").output == "kept\n"
        shell.type("reboot\n")
        machine.run_until("reboot: Restarting system", LIMIT)
        again = Shell(machine)
        assert machine.now < 60 * 10**9
        assert again.run("cat /tmp/file").status == 1
        assert again.power_off().kind is StopKind.POWER_OFF


def test_a_reboot_can_end_the_run_instead(debian_image: Image) -> None:
    with Machine(debian_image, memory="128M", reboot=False) as machine:
        shell = Shell(machine)
        shell.type("reboot\n")
        assert machine.run(LIMIT).kind is StopKind.RESET


@pytest.mark.parametrize("harts", [1, 3])
def test_a_run_repeats_to_the_bit(debian_image: Image, harts: int) -> None:
    def at_the_shell(pieces: bool) -> tuple[object, ...]:
        with Machine(debian_image, memory="128M", harts=harts) as machine:
            if pieces:  # where the host happens to look must not matter
                for count in (1, 999, 12_345_678, 77_777_777):
                    machine.run(count)
            shell = Shell(machine)
            shell.run("head -c 1000 /dev/urandom | sha256sum; date; cat /proc/uptime; ps")
            memory = hashlib.sha256(machine.memory.read(machine.memory.base, machine.memory.size)).hexdigest()
            registers = [
                (
                    hart.pc,
                    hart.privilege,
                    hart.retired,
                    *(hart.x[n] for n in range(32)),
                    *(hart.f[n] for n in range(32)),
                )
                for hart in machine.harts
            ]
            csrs = [
                [hart.csr[name] for name in ("mstatus", "satp", "stvec", "sepc", "sscratch")] for hart in machine.harts
            ]
            return machine.instructions, machine.now, memory, registers, csrs, shell.boot_messages

    assert at_the_shell(pieces=False) == at_the_shell(pieces=True)
