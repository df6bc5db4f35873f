"""A device of one's own: an oven with a thermometer, and a guest that keeps it warm.

    python examples/custom_device.py [--low 20000] [--high 22000]

The oven is a class with a register table. It warms up and cools down as guest time passes, and interrupts when the
temperature leaves the range that the guest has set. The guest, a few instructions without an operating system, sleeps
until then and turns the heater on or off. After a while the machine is forked, and a window is opened next to one of
the two ovens.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field

from hypernest import Access, Device, Machine, Register, assemble

HEATING, COOLING = 1_000, 2_000  # nanoseconds for a thousandth of a degree
READ, WRITE, BOTH = Access.READ, Access.WRITE, Access.READ_WRITE


@dataclass
class OvenState:
    """The temperature was `temperature` thousandths of a degree at time `since`. `switched` is the oven's diary."""

    temperature: int = 15_000
    since: int = 0
    heater: int = 0
    low: int = 0
    high: int = 1_000_000
    drafty: bool = False
    switched: list[tuple[int, int]] = field(default_factory=list)


class Oven(Device):
    """Interrupts while it is colder than `low` and not heated, or warmer than `high` and heated."""

    registers = (
        Register(0x00, "temperature", (4,), READ, "thousandths of a degree"),
        Register(0x04, "heater", (4,), BOTH, "1: on"),
        Register(0x08, "low", (4,), BOTH, "at this temperature the oven asks to be heated"),
        Register(0x0C, "high", (4,), BOTH, "at this temperature the oven asks not to be"),
    )
    compatible = ("example,oven",)

    state: OvenState

    def __init__(self) -> None:
        self.state = OvenState()
        super().__init__()

    @property
    def _step(self) -> int:
        """Nanoseconds from one thousandth of a degree to the next."""
        if self.state.heater:
            return HEATING
        return COOLING // 4 if self.state.drafty else COOLING

    def read_temperature(self) -> int:
        steps = (self.clock.now() - self.state.since) // self._step
        return max(self.state.temperature + (steps if self.state.heater else -steps), 0)

    def write_heater(self, value: int) -> None:
        self.settle()
        self.state.heater = value & 1
        self.state.switched.append((self.clock.now(), self.state.heater))

    def settle(self) -> None:
        """Something is about to change: from now on count from here."""
        self.state.temperature, self.state.since = self.read_temperature(), self.clock.now()

    def open_window(self) -> None:
        """For the host: from now on it cools down quickly."""
        self.settle()
        self.state.drafty = True

    def next_deadline(self) -> int | None:
        state = self.state
        missing = state.high - state.temperature if state.heater else state.temperature - state.low
        return state.since + missing * self._step if missing > 0 else None

    def update(self) -> None:
        temperature = self.read_temperature()
        self.interrupt(temperature >= self.state.high if self.state.heater else temperature <= self.state.low)


THERMOSTAT = """
        li   s0, {oven:#x}
        li   t0, 1              # heat
        sw   t0, 4(s0)
        li   t1, {low}
        sw   t1, 8(s0)
        li   t1, {high}
        sw   t1, 12(s0)
        li   t1, 0xC000000      # PLIC: interrupt 32 has priority 1, hart 0 takes it in S-mode
        sw   t0, 128(t1)
        li   t1, 0xC002084
        sw   t0, 0(t1)
        li   t1, 0x200          # sie: external interrupts
        csrw sie, t1
        li   s1, 0xC201004      # PLIC: claim and complete
    again:
        wfi
        lwu  t2, 0(s1)
        beqz t2, again
        lwu  t0, 4(s0)          # the heater is on: turn it off, and the other way around
        xori t0, t0, 1
        sw   t0, 4(s0)
        sw   t2, 0(s1)
        j    again
"""


def oven_of(vm: Machine) -> Oven:
    """The oven in a machine."""
    (oven,) = vm.devices
    assert isinstance(oven, Oven)
    return oven


def diary(vm: Machine) -> str:
    """When the heater was switched."""
    return ", ".join(f"{'on' if on else 'off'} at {time / 1e6:.1f} ms" for time, on in oven_of(vm).state.switched)


def main(arguments: list[str] | None = None) -> tuple[str, str]:
    """Run, and show what the two ovens did."""
    parser = argparse.ArgumentParser(description="Keep an oven warm.")
    parser.add_argument("--low", type=int, default=20_000)
    parser.add_argument("--high", type=int, default=22_000)
    options = parser.parse_args(arguments)
    guest = assemble(THERMOSTAT.format(oven=0x400_0000, low=options.low, high=options.high))
    with Machine(kernel=guest, devices=[Oven], memory="16M") as vm:
        vm.run(50)
        with vm.snapshot().fork() as drafty:
            oven_of(drafty).open_window()
            for machine in (vm, drafty):
                machine.run(60)
            result = diary(vm), diary(drafty)
    print(f"window closed: {result[0]}\nwindow open:   {result[1]}")
    return result


if __name__ == "__main__":
    main()
