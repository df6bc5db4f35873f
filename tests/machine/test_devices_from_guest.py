"""A guest of our own, assembled here, that exercises each register of each device on the board, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hypernest.devices.device import Access, Device, Register
from hypernest.devices.virtio import VirtioMmio
from hypernest.devices.virtio.entropy import SeededGenerator
from hypernest.machine import Machine, StopKind, TextNotSeen
from hypernest.machine.board import (
    CLINT,
    FINISHER,
    PLIC,
    RTC,
    RTC_INTERRUPT,
    UART,
    UART_INTERRUPT,
    VIRTIO,
    VIRTIO_INTERRUPT,
    VIRTIO_SLOTS,
)
from hypernest.machine.machine import EPOCH
from tests.machine.device_script import DeviceScript
from tests.machine.small_guests import bare, on_every_engine

DISK, CONSOLE, ENTROPY = 0, VIRTIO_SLOTS - 2, VIRTIO_SLOTS - 1  # slots
SECTORS = 4
QUEUES = 0x8010_0000  # in RAM: a page for each queue, then its buffers
NEXT, DEVICE_WRITES = 1, 2
SOFTWARE, TIMER = 1 << 3, 1 << 7


def finisher(script: DeviceScript) -> None:
    script.expect(FINISHER, 0)
    script.expect(FINISHER + 2, 0, 2)
    script.write(FINISHER, 0x1234)  # means nothing
    script.touched.add(("write", FINISHER))


def clint(script: DeviceScript) -> None:
    script.expect_pending(SOFTWARE | TIMER, 0)
    script.write(CLINT, 0xFFFF_FFFF)
    script.expect(CLINT, 1)
    script.expect_pending(SOFTWARE, SOFTWARE)
    script.write(CLINT, 0)
    script.expect_pending(SOFTWARE, 0)
    compare, time = CLINT + 0x4000, CLINT + 0xBFF8
    script.expect(compare, (1 << 64) - 1, 8)
    script.write(time, 0x1_0000_0000, 8)
    script.expect(time + 4, 1)
    script.write(time + 4, 2)
    script.expect(time, 2 << 32, 8, mask=0xFFFF_FFFF_0000_0000)
    script.write(compare, 0x2_0000_1000, 8)
    script.expect(compare + 4, 2)
    script.expect_pending(TIMER, 0)
    script.wait_pending(TIMER)
    script.expect(time, 0x2_0000_1000, 8, mask=0xFFFF_FFFF_FFFF_F000)
    script.write(compare, (1 << 64) - 1, 8)
    script.expect_pending(TIMER, 0)


def plic(script: DeviceScript) -> None:
    """The console's and the clock's interrupts are raised later; here the registers."""
    enable, threshold = PLIC + 0x2000, PLIC + 0x20_0000
    script.expect(PLIC + 0x1000, 0)
    script.expect(threshold + 4, 0)
    for source in range(1, 64):
        script.write(PLIC + 4 * source, 0xF)
        script.expect(PLIC + 4 * source, 7)
        script.write(PLIC + 4 * source, 1)
    for word in range(2):
        script.write(enable + 4 * word, 0xFFFF_FFFF)
        script.expect(enable + 4 * word, 0xFFFF_FFFE if word == 0 else 0xFFFF_FFFF)
    script.write(enable + 0x80, 0xAAAA_AAAA)  # supervisor mode
    script.expect(enable + 0x80, 0xAAAA_AAAA)
    script.write(enable + 0x80, 0)
    script.write(threshold, 1)
    script.expect(threshold, 1)


def uart(script: DeviceScript) -> None:
    rbr, ier, iir, lcr, mcr, lsr, msr, scr = (UART + number for number in range(8))
    script.expect(lsr, 0x60, 1)
    script.expect(iir, 1, 1)
    script.expect(msr, 0xB0, 1)
    script.write(lsr, 0x55, 1)
    script.write(msr, 0x55, 1)
    script.write(scr, 0x5A, 1)
    script.expect(scr, 0x5A, 1)
    script.write(lcr, 0x83, 1)  # the divisor
    script.write(rbr, 12, 1)
    script.write(ier, 34, 1)
    script.expect(rbr, 12, 1)
    script.expect(ier, 34, 1)
    script.write(lcr, 0x03, 1)
    script.expect(lcr, 0x03, 1)
    script.write(iir, 0x07, 1)  # FIFOs on and empty
    script.expect(iir, 0xC1, 1)
    for byte in b"uart ":
        script.write(rbr, byte, 1)
    script.write(ier, 1, 1)  # received data
    script.wait(lsr, 0x61, 1)
    # The threshold holds the interrupt back until it is lowered.
    script.expect(PLIC + 0x1000, 1 << UART_INTERRUPT)
    script.expect_pending(1 << 11, 0)
    script.write(PLIC + 0x20_0000, 0)
    script.take_interrupt(UART_INTERRUPT)
    script.expect(PLIC + 0x1000, 0)
    script.expect(iir, 0xC4, 1)
    script.expect(rbr, ord("u"), 1)
    script.complete(UART_INTERRUPT)
    script.write(mcr, 0x10, 1)  # loop
    script.expect(mcr, 0x10, 1)
    script.write(rbr, ord("x"), 1)
    script.take_interrupt(UART_INTERRUPT)
    script.expect(rbr, ord("x"), 1)
    script.complete(UART_INTERRUPT)
    script.write(mcr, 0, 1)
    script.write(ier, 2, 1)  # transmitter empty
    script.take_interrupt(UART_INTERRUPT)
    script.expect(iir, 0xC2, 1)
    script.complete(UART_INTERRUPT)
    script.write(ier, 0, 1)
    script.expect(ier, 0, 1)


def rtc(script: DeviceScript) -> None:
    low, high, alarm_low, alarm_high, enabled, clear_alarm, status, clear = (RTC + 4 * number for number in range(8))
    script.read(low)
    script.expect(high, EPOCH >> 32)
    script.write(low, 0)
    script.write(high, 5)
    script.read(low)
    script.expect(high, 5)
    script.write(enabled, 1)
    script.expect(enabled, 1)
    script.write(alarm_high, 5)
    script.write(alarm_low, 0xFFFF_0000)  # four seconds later
    script.expect(alarm_high, 5)
    script.expect(alarm_low, 0xFFFF_0000)
    script.expect(status, 1)
    script.write(clear_alarm, 1)
    script.expect(status, 0)
    script.write(alarm_low, 0x0100_0000)  # 16 ms later
    script.wait_pending(1 << 11)
    script.read(low)
    script.expect(low, 0x0100_0000, mask=0xFFFF_0000)
    script.take_interrupt(RTC_INTERRUPT)
    script.expect(status, 0)
    script.write(clear, 1)
    script.complete(RTC_INTERRUPT)


class Slot:
    """A virtio driver as steps of a script."""

    def __init__(self, script: DeviceScript, number: int) -> None:
        self.script = script
        self.base, self.interrupt = VIRTIO + number * 0x1000, VIRTIO_INTERRUPT + number
        self.memory = QUEUES + number * 0x1_0000
        self.buffers = self.memory + 0x8000
        self.posted: dict[int, int] = {}

    def start(self, device: int, features: int, sizes: list[int]) -> None:
        """Everything up to DRIVER_OK, with queues of four descriptors."""
        script, base = self.script, self.base
        script.expect(base, int.from_bytes(b"virt", "little"))
        script.expect(base + 0x04, 2)
        script.expect(base + 0x08, device)
        script.expect(base + 0x0C, int.from_bytes(b"QEMU", "little"))
        script.write(base + 0x70, 0)
        script.write(base + 0x70, 3)
        for half, value in enumerate((features | 0x3000_0000, 1)):
            script.write(base + 0x14, half)
            script.expect(base + 0x10, value)
            script.write(base + 0x24, half)
            script.write(base + 0x20, half)  # VERSION_1 alone
        script.write(base + 0x70, 11)
        script.expect(base + 0x70, 11)
        for queue, size in enumerate(sizes):
            script.write(base + 0x30, queue)
            script.expect(base + 0x34, size)
            script.expect(base + 0x44, 0)
            script.write(base + 0x38, 4)
            for register, area in ((0x80, 0), (0x90, 0x100), (0xA0, 0x200)):
                script.write(base + register, self.area(queue, area))
                script.write(base + register + 4, 0)
            script.write(base + 0x44, 1)
            script.expect(base + 0x44, 1)
        script.write(base + 0x30, len(sizes))
        script.expect(base + 0x34, 0)
        script.write(base + 0xAC, 0)
        script.expect(base + 0xB0, 0xFFFF_FFFF)
        script.read(base + 0xFC)
        script.write(base + 0x70, 15)
        script.expect(base + 0x70, 15)

    def area(self, queue: int, offset: int) -> int:
        return self.memory + queue * 0x1000 + offset

    def post(self, queue: int, *parts: tuple[int, int, int]) -> None:
        """Make (address, size, flags) a chain and notify the device."""
        script = self.script
        for number, (address, size, flags) in enumerate(parts):
            at = self.area(queue, 16 * number)
            more = number + 1 < len(parts)
            script.write(at, address, 8)
            script.write(at + 8, size)
            script.write(at + 12, flags | (NEXT if more else 0), 2)
            script.write(at + 14, number + 1 if more else 0, 2)
        index = self.posted.get(queue, 0)
        script.write(self.area(queue, 0x100 + 4 + 2 * (index % 4)), 0, 2)
        script.write(self.area(queue, 0x100 + 2), index + 1, 2)
        self.posted[queue] = index + 1
        script.write(self.base + 0x50, queue)

    def used(self, queue: int, written: int) -> None:
        """The last request is done, and the device says so by its interrupt."""
        script, count = self.script, self.posted[queue]
        script.wait(self.area(queue, 0x200 + 2), count, 2)
        script.expect(self.area(queue, 0x200 + 4 + 8 * ((count - 1) % 4) + 4), written)
        script.take_interrupt(self.interrupt)
        script.expect(self.base + 0x60, 1)
        script.write(self.base + 0x64, 1)
        script.expect(self.base + 0x60, 0)
        script.complete(self.interrupt)


def disk(script: DeviceScript) -> None:
    slot = Slot(script, DISK)
    slot.start(2, 1 << 2 | 1 << 6 | 1 << 9 | 1 << 13 | 1 << 14, [256])
    config = slot.base + 0x100
    configuration = (
        *((0, 8, SECTORS), (8, 4, 0), (12, 4, 254), (16, 4, 0), (20, 4, 512), (24, 8, 0), (32, 4, 0)),
        *((36, 4, 1 << 15), (40, 4, 16), (44, 4, 1), (48, 4, 1 << 15), (52, 4, 16), (56, 4, 1)),
    )
    for offset, size, value in configuration:
        script.expect(config + offset, value, size)
    header, status, out, back = (slot.buffers + 0x1000 * number for number in range(4))

    def request(kind: int, sector: int, *data: tuple[int, int, int], written: int, result: int = 0) -> None:
        script.write(header, kind, 8)
        script.write(header + 8, sector, 8)
        script.write(status, 0xFF, 1)
        slot.post(0, (header, 16, 0), *data, (status, 1, DEVICE_WRITES))
        slot.used(0, written)
        script.expect(status, result, 1)

    script.write_bytes(out, b"written by the guest, at 1000 ns")
    request(1, 2, (out, 512, 0), written=1)
    request(4, 0, written=1)
    request(0, 2, (back, 512, DEVICE_WRITES), written=513)
    script.expect(back, int.from_bytes(b"written ", "little"), 8)
    request(0, 1, (back, 512, DEVICE_WRITES), written=513)
    script.expect(back, 0x1111_1111_1111_1111, 8)
    request(8, 0, (back, 20, DEVICE_WRITES), written=21)
    script.expect(back, int.from_bytes(b"disk0\0\0\0", "little"), 8)
    request(0, SECTORS, (back, 512, DEVICE_WRITES), written=0, result=1)
    request(77, 0, written=1, result=2)


def console(script: DeviceScript) -> None:
    slot = Slot(script, CONSOLE)
    slot.start(3, 1, [256, 256])
    config = slot.base + 0x100
    for offset, size, value in ((0, 2, 80), (2, 2, 25), (4, 4, 1)):
        script.expect(config + offset, value, size)
    slot.post(0, (slot.buffers, 64, DEVICE_WRITES))
    script.write_bytes(slot.buffers + 0x1000, b"virtio\0\0")
    slot.post(1, (slot.buffers + 0x1000, 6, 0))
    slot.used(1, 0)
    script.write(UART, ord("\n"), 1)  # what the test waits for before it types
    slot.used(0, 4)  # comes when somebody types
    script.expect(slot.buffers, int.from_bytes(b"key!", "little"))


def entropy(script: DeviceScript) -> None:
    slot = Slot(script, ENTROPY)
    slot.start(4, 0, [64])
    slot.post(0, (slot.buffers, 32, DEVICE_WRITES))
    slot.used(0, 32)
    data = SeededGenerator(b"entropy" + bytes(8)).randbytes(32)
    for at in range(0, 32, 8):
        script.expect(slot.buffers + at, int.from_bytes(data[at : at + 8], "little"), 8)


def empty_slot(script: DeviceScript) -> None:
    for number in range(DISK + 1, CONSOLE):
        script.expect(VIRTIO + 0x1000 * number, int.from_bytes(b"virt", "little"))
        script.expect(VIRTIO + 0x1000 * number + 8, 0)


def whole_script() -> DeviceScript:
    script = DeviceScript()
    for part in (finisher, clint, plic, uart, rtc, empty_slot, disk, entropy, console):
        part(script)
    return script


def registers(base: int, device: Device) -> Iterator[tuple[int, Register]]:
    """(address, row) of a device's registers, configuration space included."""
    for register in device.registers:
        yield base + register.offset, register
    if isinstance(device, VirtioMmio) and device.backend is not None:
        for register in device.backend.configuration:
            yield base + 0x100 + register.offset, register


def play(machine: Machine, script: DeviceScript) -> str:
    """Run a whole script, typing when it listens; returns what it printed."""
    machine.console.send("u")
    output = ""
    with suppress(TextNotSeen):  # then the run has ended, and says why
        output = machine.run_until("virtio\n", 1_000_000)
        machine.console.send("key!")
    reason = machine.run(1_000_000)
    surprise = script.steps[reason.code - 1] if reason.kind is StopKind.FAILURE else ""
    assert reason.kind is StopKind.POWER_OFF, f"{reason}: expected {surprise}"
    return output


@on_every_engine
def test_a_guest_uses_every_register_of_every_device(engine: str, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"\x11" * 512 * SECTORS)
    script = whole_script()
    with bare(script.text, engine=engine, disks=[image]) as machine:
        output = play(machine, script)
        missing = [
            f"{how} of {type(attachment.device).__name__} {register.name} at {address:#x}"
            for attachment in machine._board.bus.attachments
            if not isinstance(attachment.device, VirtioMmio) or attachment.device.backend is not None
            for address, register in registers(attachment.base, attachment.device)
            for how, access in (("read", Access.READ), ("write", Access.WRITE))
            if access in register.access
            and not any(
                (how, address + index * register.stride) in script.touched for index in range(register.count or 1)
            )
        ]
        assert not missing
    assert output == "uart virtio\n"
    assert image.read_bytes()[1024:1056] == b"written by the guest, at 1000 ns"


def test_both_engines_take_the_same_steps(tmp_path: Path) -> None:
    script = whole_script()
    seen = []
    for engine in ("reference", "interpreter"):
        image = tmp_path / f"{engine}.img"
        image.write_bytes(b"\x11" * 512 * SECTORS)
        with bare(script.text, engine=engine, disks=[image]) as machine:
            play(machine, script)
            hart = machine.harts[0]
            ram = machine.memory.read(0x8000_0000, 0x20_0000)
            seen.append((machine.instructions, machine.now, [hart.x[n] for n in range(32)], hart.csr["mip"], ram))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("part", [finisher, clint, plic, rtc, empty_slot])
def test_a_surprise_is_noticed(part: object) -> None:
    """The script can fail: with a wrong expectation in front, the machine stops with the number of that step."""
    script = DeviceScript()
    script.expect(FINISHER, 1)
    assert callable(part)
    part(script)
    with bare(script.text) as machine:
        reason = machine.run(1_000_000)
    assert (reason.kind, reason.code) == (StopKind.FAILURE, 1)
