"""Devices that a user adds: where they go, what they can do, that they are part of the state, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hypernest import Access, BadRecording, Device, DeviceError, HypernestError, Machine, Register, replay
from hypernest.devices import BusError
from hypernest.errors import BadConfiguration
from hypernest.machine import StopKind
from hypernest.machine.custom_devices import FIRST, FIRST_INTERRUPT, DeviceChoice
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.state import BadState
from tests.machine.device_script import DeviceScript
from tests.machine.small_guests import bare

ENGINES = ("reference", "interpreter", "translator")
on_all_engines = pytest.mark.parametrize("engine", ENGINES)

BOTH = Access.READ_WRITE
_EXTERNAL = 1 << 11


@dataclass
class TallyState:
    """More kinds of values than it needs."""

    total: int = 0
    limit: int = 100
    name: str = "tally"
    least: int = -1
    share: float = 0.5
    history: list[int] = field(default_factory=list)
    last: bytes = b""


class Tally(Device):
    """Adds up what it is told, and interrupts while the sum is beyond the limit."""

    registers = (
        Register(0x00, "add", (4,), Access.WRITE, "what to add"),
        Register(0x08, "total", (8, 4), Access.READ, "the sum"),
        Register(0x10, "limit", (4,), BOTH, "the largest sum that does not interrupt"),
        Register(0x14, "clear", (4,), Access.WRITE, "the sum becomes 0"),
    )
    tree_name = "counter"
    compatible = ("example,tally", "example,any")

    def __init__(self) -> None:
        self.state = TallyState()
        super().__init__()

    def write_add(self, value: int) -> None:
        self.state.total += value
        self.state.history.append(value)
        self.interrupt(self.state.total > self.state.limit)

    def write_clear(self, value: int) -> None:
        self.state.total = 0
        self.interrupt(False)


class Copier(Device):
    """Copies 8 bytes by direct memory access, after a time."""

    registers = (
        Register(0x00, "source", (8,), BOTH, "from"),
        Register(0x08, "target", (8,), BOTH, "to"),
        Register(0x10, "delay", (8,), BOTH, "nanoseconds from the write to the copy"),
        Register(0x18, "done", (4,), BOTH, "how often something was copied"),
    )

    @dataclass
    class State:
        source: int = 0
        target: int = 0
        delay: int = 0
        done: int = 0
        due: int | None = None

    def __init__(self) -> None:
        self.state = Copier.State()
        super().__init__()

    def write_delay(self, value: int) -> None:
        self.state.delay = value
        self.state.due = self.clock.now() + value
        if not value:
            self.update()

    def write_done(self, value: int) -> None:
        self.state.done = value
        self.interrupt(False)

    def next_deadline(self) -> int | None:
        due: int | None = self.state.due
        return due

    def update(self) -> None:
        if self.state.due is not None and self.clock.now() >= self.state.due:
            self.state.due = None
            self.memory.write(self.state.target, self.memory.read(self.state.source, 8))
            self.state.done += 1
            self.interrupt(True)


def run_script(script: DeviceScript, devices: list[DeviceChoice], engine: str) -> Machine:
    """The machine, when every step has gone as expected."""
    machine = bare(script.text, devices=devices, engine=engine)
    reason = machine.run(1_000_000)
    assert reason.kind is StopKind.POWER_OFF, script.steps[reason.code - 1] if reason.code else reason
    return machine


def enable_interrupt(script: DeviceScript, source: int) -> None:
    """In the PLIC, for hart 0 in M-mode."""
    script.write(0xC00_0000 + 4 * source, 1)
    script.write(0xC00_2000 + 4 * (source // 32), 1 << source % 32)
    script.expect_pending(_EXTERNAL, 0)


@on_all_engines
def test_registers_interrupt_and_state(engine: str) -> None:
    script = DeviceScript()
    enable_interrupt(script, FIRST_INTERRUPT)
    script.expect(FIRST + 0x10, 100)
    script.write(FIRST, 60)
    script.expect_pending(_EXTERNAL, 0)
    script.write(FIRST, 70)
    script.take_interrupt(FIRST_INTERRUPT)
    script.expect(FIRST + 8, 130, 8)
    script.expect(FIRST + 12, 0)  # the upper half
    script.write(FIRST + 0x14, 0)
    script.complete(FIRST_INTERRUPT)
    with run_script(script, [Tally], engine) as machine:
        (device,) = machine.devices
        assert isinstance(device, Tally)
        assert device.state == TallyState(history=[60, 70])
        assert machine.stats.device_accesses["Tally"] == 6


def fault(accesses: str, device: DeviceChoice, engine: str) -> tuple[int, int]:
    """Cause and address of the fault that the accesses, with t0 at the device, end in."""
    text = f"la t6, 1f\n csrw mtvec, t6\n li t0, {FIRST}\n {accesses}\n j .\n .align 2\n 1: j ."
    with bare(text, devices=[device], engine=engine) as machine:
        machine.run(20)
        return machine.harts[0].csr["mcause"], machine.harts[0].csr["mtval"]


@on_all_engines
def test_what_is_in_no_row_is_an_access_fault(engine: str) -> None:
    assert fault("lw t1, 4(t0)", Tally, engine) == (5, FIRST + 4)
    assert fault("sw t1, 8(t0)", Tally, engine) == (7, FIRST + 8)


@on_all_engines
def test_time_and_memory(engine: str) -> None:
    script = DeviceScript()
    enable_interrupt(script, FIRST_INTERRUPT)
    script.write(0x8000_8000, 0x1122_3344_5566_7788, 8)
    script.write(FIRST, 0x8000_8000, 8)
    script.write(FIRST + 8, 0x8000_9004, 8)
    script.write(FIRST + 0x10, 0, 8)
    script.expect(0x8000_9004, 0x1122_3344_5566_7788, 8)
    script.take_interrupt(FIRST_INTERRUPT)
    script.write(FIRST + 0x18, 0)
    script.complete(FIRST_INTERRUPT)
    script.write(FIRST + 8, 0x8000_A000, 8)
    script.write(FIRST + 0x10, 50_000, 8)
    script.expect(0x8000_A000, 0, 8)
    script.wait_pending(_EXTERNAL)
    script.expect(0x8000_A000, 0x1122_3344_5566_7788, 8)
    with run_script(script, [Copier], engine) as machine:
        assert 50_000 < machine.now < 51_000


@on_all_engines
def test_memory_that_is_not_there_is_the_guests_mistake(engine: str) -> None:
    assert fault("sd x0, 0(t0)\n sd x0, 0x10(t0)", Copier, engine) == (7, FIRST + 0x10)


@on_all_engines
def test_a_device_that_writes_memory_breaks_reservations(engine: str) -> None:
    script = f"""
        li   t0, {FIRST}
        li   s0, 0x80008000
        sd   s0, 0(t0)
        li   t1, 0x80009000
        sd   t1, 8(t0)
        li   t1, 20
        sd   t1, 0x10(t0)       # in 20 ns
        lr.d a0, (s0)
        {"nop" + chr(10) + "nop" + chr(10)}
        li   t2, 40
    1:  addi t2, t2, -1
        bnez t2, 1b
        sc.d a0, a0, (s0)
        lr.d a1, (s0)
        sc.d a1, a1, (s0)
        j .
    """
    with bare(script, devices=[Copier], engine=engine) as machine:
        machine.run(200)
        assert (machine.harts[0].x["a0"], machine.harts[0].x["a1"]) == (1, 0)


# --- places --------------------------------------------------------------------------------------------------------


class Large(Tally):
    """Two pages."""

    size = 0x2000


def places(devices: list[DeviceChoice], **options: Any) -> list[tuple[int, int | None]]:
    """Address and interrupt of the added devices."""
    with bare("j .", devices=devices, **options) as machine:
        attached = {id(each.device): (each.base, each.interrupt) for each in machine.bus.attachments}
        return [attached[id(device)] for device in machine.devices]


def test_places_that_are_free() -> None:
    assert places([Tally, Large, Tally]) == [(FIRST, 32), (FIRST + 0x1000, 33), (FIRST + 0x3000, 34)]


def test_places_that_are_asked_for() -> None:
    assert places([Tally, (Tally, 0x1234_0000), (Tally, 0x1235_0000, 9), (Tally, FIRST, 32)]) == [
        (FIRST + 0x1000, 33),
        (0x1234_0000, 34),
        (0x1235_0000, 9),
        (FIRST, 32),
    ]


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([(Tally, 0x1000_0000)], "Tally at 0x10000000 overlaps Uart"),
        ([(Tally, 0x1000)], "cannot be at 0x1000: give an address in whole pages from 0x10000"),
        ([(Tally, FIRST + 8)], "cannot be at 0x4000008"),
        ([(Tally, 0x7FFF_F000 + 0x1000)], "cannot be at 0x80000000"),
        ([(Large, 0x7FFF_F000)], "cannot be at 0x7ffff000"),
        ([(Tally, -0x1000)], "cannot be at -0x1000"),
        ([(Tally, 0x1234_0000, 10)], "cannot have interrupt 10: give a free one from 1 to 63"),
        ([(Tally, 0x1234_0000, 0)], "cannot have interrupt 0"),
        ([(Tally, 0x1234_0000, 64)], "cannot have interrupt 64"),
        ([Tally] * 33, "no interrupt is left for Tally"),
        ([(Tally, "here")], "is no device: give a class, "),
        ([(Tally, 1, 2, 3)], "is no device: give a class, "),
        ([()], "is no device: give a class, "),
        (["tally"], "'tally' makes no device: give a class"),
        ([Tally()], r"made anew for every reset and fork: give the class Tally, .*\(lambda: Tally\(...\)\)"),
    ],
)
def test_places_and_makers_that_cannot_be(devices: list[Any], message: str) -> None:
    with pytest.raises(BadConfiguration, match=message):
        bare("j .", devices=devices)


# --- what a device must be -----------------------------------------------------------------------------------------


class Unready(Device):
    """Forgets its base."""

    def __init__(self) -> None:
        pass


class NeedsMore(Device):
    """Cannot be made without an argument."""

    def __init__(self, limit: int) -> None:
        super().__init__()


def with_state(state: Any) -> type[Device]:
    """A class of devices that have this state."""

    class Odd(Device):
        def __init__(self) -> None:
            self.state = state
            super().__init__()

    return Odd


def with_registers(*registers: Register) -> type[Device]:
    """A class of devices with this table."""
    return type("Odd", (Device,), {"registers": registers})


@dataclass
class SetState:
    values: set[int] = field(default_factory=set)


@dataclass
class WrongState:
    value: int = 0
    other: Any = None


@dataclass
class Holder:
    inner: list[Any] = field(default_factory=lambda: [WrongState(other=print)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Unready, r"Unready is not complete: let its constructor end with super\(\).__init__\(\)"),
        (NeedsMore, "NeedsMore could not be made .TypeError.*give a function without arguments"),
        (lambda: 5, "made 5: let it be a subclass of hypernest.Device"),
        (with_state({"a": 1}), "state of Odd is {'a': 1}: let it be a data class"),
        (with_state(WrongState), "state of Odd is <class"),
        (with_state(SetState()), "state of Odd has a set in values"),
        (with_state(Holder()), "state of Odd has a builtin_function_or_method in inner.other"),
        (with_state(WrongState(value=None)), "state of Odd cannot be kept .this is no WrongState .Expected `int`"),  # type: ignore[arg-type]
        (with_state(WrongState(value=1 << 64)), "state of Odd cannot be kept"),
        (with_state(WrongState(value="5")), "state of Odd cannot be kept"),  # type: ignore[arg-type]
        (with_registers(Register(0x1000, "far", (4,), BOTH, "")), "register far of Odd cannot be"),
        (with_registers(Register(2, "odd", (4,), Access.READ, "")), "register odd of Odd cannot be"),
        (with_registers(Register(0, "wide", (16,), Access.READ, "")), "register wide of Odd cannot be"),
        (with_registers(Register(0xFFC, "row", (4,), Access.READ, "", count=2, stride=4)), "row of Odd cannot be"),
        (with_registers(Register(0, "nobody", (4,), BOTH, "")), "nothing implements writes to nobody"),
        (type("Odd", (Device,), {"size": 100}), "Odd has a size of 100"),
        (type("Odd", (Device,), {"tree_name": "my device"}), "'my device@80000000' is no name in a device tree"),
        (type("O" * 32, (Device,), {}), "is no name in a device tree"),
        (type("Odd", (Device,), {"tree_properties": lambda self: {"clock": 1 << 40}}), "does not fit a cell"),
        (type("Odd", (Device,), {"tree_properties": lambda self: 1 // 0}), "the device tree cannot tell of Odd .*zero"),
    ],
)
def test_devices_that_cannot_be(make: Callable[[], Device], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        bare("j .", devices=[make])


def test_a_function_must_make_a_new_one_each_time() -> None:
    one = Tally()
    with bare("j .", devices=[lambda: one]) as machine:
        snapshot = machine.snapshot()
        with pytest.raises(DeviceError, match="on a board already: let it make a new one each time"):
            snapshot.fork()
        machine.run(10)


# --- snapshots, forks, resets --------------------------------------------------------------------------------------

COUNTING = f"""
    li t0, {FIRST}
    li t1, 0
1:  addi t1, t1, 1
    sw t1, 0(t0)
    li t2, 0x20
    bne t1, t2, 1b
    li t0, 0x100000
    li t1, 0x5555
    sw t1, 0(t0)
    j .
"""


@on_all_engines
def test_forks_go_on_as_the_origin_does(engine: str) -> None:
    with bare(COUNTING, devices=[Tally], engine=engine) as machine:
        machine.run(50)
        snapshot = machine.snapshot()
        middle = machine.state_hash()
        machine.run()
        (device,) = machine.devices
        assert device.state.total == 32 * 33 // 2
        assert len(device.state.history) == 32
        for other in ENGINES:
            with snapshot.fork(engine=other) as fork:
                assert fork.state_hash() == middle
                assert fork.devices[0] is not device
                assert 1 < len(fork.devices[0].state.history) < 32
                fork.run()
                assert fork.devices[0].state == device.state
                assert fork.state_hash() == machine.state_hash()
        end = machine.state_hash()
        machine.restore(snapshot)
        assert machine.state_hash() == middle
        machine.run()
        assert machine.devices == (device,)
        assert machine.state_hash() == end


def test_interrupt_lines_and_deadlines_are_restored() -> None:
    script = DeviceScript()
    enable_interrupt(script, 32)
    script.write(FIRST, 0x8000_8000, 8)
    script.write(FIRST + 8, 0x8000_A000, 8)
    script.write(FIRST + 0x10, 50_000, 8)
    script.wait_pending(_EXTERNAL)
    script.take_interrupt(32)
    with run_script(script, [Copier], "interpreter") as whole, bare(script.text, devices=[Copier]) as machine:
        while machine.run(7).kind is StopKind.LIMIT:
            snapshot = machine.snapshot()
            machine.close()
            machine = snapshot.fork()
        assert machine.state_hash() == whole.state_hash()
        machine.close()


def test_state_that_became_wrong_is_told_when_it_is_kept() -> None:
    with bare("j .", devices=[Tally]) as machine:
        machine.devices[0].state.total = "many"
        with pytest.raises(DeviceError, match=r"state of Tally cannot be kept .*\$.total"):
            machine.snapshot()
        machine.devices[0].state.total = 5
        with machine.snapshot().fork() as fork:
            assert fork.devices[0].state.total == 5


def test_a_saved_snapshot_needs_its_devices_again(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    with bare(COUNTING, devices=[(Tally, FIRST)]) as machine:
        machine.run(50)
        machine.snapshot().save("middle", archive)
        machine.run()
        with Snapshot.load("middle", archive, devices=[Tally]).fork() as fork:
            fork.run()
            assert fork.state_hash() == machine.state_hash()
    with pytest.raises(BadState, match="the same devices, added ones included"):
        Snapshot.load("middle", archive).fork()
    with pytest.raises(BadState, match="this is no State"):
        Snapshot.load("middle", archive, devices=[Copier]).fork()


@on_all_engines
def test_a_reset_makes_them_anew(engine: str) -> None:
    text = f"""
        li t0, {FIRST}
        li t1, 3
        sw t1, 0(t0)
        li t0, 0x100000
        li t1, 0x7777
        sw t1, 0(t0)
        j .
    """
    made = []

    def make() -> Tally:
        made.append(Tally())
        return made[-1]

    with bare(text, devices=[make], engine=engine) as machine:
        machine.run(10)
        assert machine.devices == (made[-1],)
        while len(made) < 3:
            machine.run(1)
        assert machine.devices == (made[2],)
        assert [each.state.total for each in made] == [3, 3, 0]


def test_a_machine_that_cannot_be_reset_is_closed() -> None:
    text = "li t0, 0x100000\n li t1, 0x7777\n sw t1, 0(t0)\n j ."
    made: list[Tally] = []

    def make() -> Tally:
        made.append(Tally())
        return made[0]

    machine = bare(text, devices=[make])
    with pytest.raises(DeviceError, match="on a board already"):
        machine.run(10)
    with pytest.raises(HypernestError, match="closed"):
        machine.run(10)


# --- what is raised ------------------------------------------------------------------------------------------------


class Fragile(Device):
    """Fails as it is asked to."""

    registers = (
        Register(0x00, "raise", (4,), BOTH, "raises"),
        Register(0x04, "value", (4,), BOTH, "gives a value that is none"),
        Register(0x08, "fault", (4,), BOTH, "is refused"),
        Register(0x10, "alarm", (8,), BOTH, "update raises at that time"),
    )

    @dataclass
    class State:
        alarm: int = 0
        value: int = 0

    values: tuple[Any, ...] = (None, -1, 1 << 32, "7", 1.0)

    def __init__(self) -> None:
        self.state = Fragile.State()
        super().__init__()

    def read_raise(self) -> int:
        raise ValueError("this read")

    def write_raise(self, value: int) -> None:
        raise ValueError(f"this write of {value}")

    def read_value(self) -> Any:
        return self.values[self.state.value]

    def read_fault(self) -> int:
        raise BusError("no")

    def write_fault(self, value: int) -> None:
        raise BusError("no")

    def next_deadline(self) -> int | None:
        return self.state.alarm or None

    def update(self) -> None:
        if self.state.alarm and self.clock.now() >= self.state.alarm:
            self.state.alarm = 0
            raise RuntimeError("late")


@on_all_engines
def test_an_exception_ends_the_run_at_that_access(engine: str) -> None:
    text = f"""
        li t0, {FIRST}
        li a0, 7
        li a1, 7
        lw a0, 0(t0)
        sw a1, 0(t0)
    1:  addi a1, a1, 1
        j 1b
    """
    with bare(text, devices=[Fragile], engine=engine) as machine, bare(text, devices=[Fragile]) as stepped:
        with pytest.raises(
            DeviceError, match="Fragile raised ValueError when 4 bytes at offset 0x0 were read by hart 0 at"
        ) as first:
            machine.run(100)
        assert isinstance(first.value.__cause__, ValueError)
        load = machine.harts[0].pc - 4
        assert f"at pc {load:#x}: this read; " in str(first.value)
        assert (machine.harts[0].x["a0"], machine.harts[0].x["a1"]) == (0, 7)
        with pytest.raises(DeviceError, match=r"raised ValueError when 0x7 .4 bytes. was written at offset 0x0"):
            machine.run(100)
        assert machine.harts[0].pc == load + 8
        with machine.snapshot().fork() as fork:
            assert fork.run(100).kind is StopKind.LIMIT
        assert machine.run(100).kind is StopKind.LIMIT
        assert machine.harts[0].x["a1"] == 57
        failures = 0
        while stepped.instructions < machine.instructions:
            try:
                stepped.run(1)
            except DeviceError:
                failures += 1
        assert failures == 2
        assert stepped.state_hash() == machine.state_hash()


@on_all_engines
def test_values_that_are_none(engine: str) -> None:
    loads = f"li t0, {FIRST}\n" + "".join(f"li t1, {n}\n sw t1, 4(t0)\n lw a0, 4(t0)\n" for n in range(5)) + "j ."
    with bare(loads, devices=[Fragile], engine=engine) as machine:
        for value in Fragile.values:
            with pytest.raises(DeviceError, match=f"{value!r} is no value of 4 bytes"):
                machine.run(100)
            assert machine.harts[0].x["a0"] == 0
        machine.run(10)


@on_all_engines
def test_a_bus_error_is_the_guests(engine: str) -> None:
    assert fault("lw t1, 8(t0)", Fragile, engine) == (5, FIRST + 8)
    assert fault("sw t1, 8(t0)", Fragile, engine) == (7, FIRST + 8)


@on_all_engines
def test_update_that_raises(engine: str) -> None:
    text = f"li t0, {FIRST}\n li t1, 1000\n sd t1, 16(t0)\n 1: addi a0, a0, 1\n j 1b"
    with bare(text, devices=[Fragile, Copier], engine=engine) as machine:
        with pytest.raises(DeviceError, match="Fragile raised RuntimeError in update: late") as error:
            machine.run(5000)
        assert isinstance(error.value.__cause__, RuntimeError)
        assert machine.now == 1000
        assert machine.run(5000).kind is StopKind.LIMIT


def test_deadlines_that_are_none() -> None:
    class Timeless(Tally):
        def next_deadline(self) -> int | None:
            return "noon"  # type: ignore[return-value]

    with bare("j .", devices=[Timeless]) as machine:
        with pytest.raises(DeviceError, match="Timeless raised ValueError in next_deadline: 'noon' is no time"):
            machine.run(100)
        machine.run(0)


def test_what_the_device_tree_says() -> None:
    with bare("j .", devices=[(Tally, 0x1234_0000, 40)]) as machine:
        (attachment,) = (each for each in machine.bus.attachments if each.device in machine.devices)
        node = attachment.device.tree_node(attachment.base, attachment.interrupt)
        assert node.name == "counter@12340000"
        assert node.properties["compatible"] == ("example,tally", "example,any")
        assert node.properties["reg"] == (0, 0x1234_0000, 0, 0x1000)
        assert node.properties["interrupts"] == 40
    assert Copier().tree_node(0x1000, 3).name == "copier@1000"
    assert "compatible" not in Copier().tree_node(0x1000, 3).properties


# --- the past, and recordings --------------------------------------------------------------------------------------


@on_all_engines
def test_going_back(engine: str) -> None:
    with bare(COUNTING, devices=[Tally], engine=engine) as machine:
        machine.keep_history()
        machine.run(40)
        middle, state = machine.state_hash(), list(machine.devices[0].state.history)
        machine.run()
        end = machine.instructions, machine.state_hash()
        machine.goto(40)
        assert machine.state_hash() == middle
        assert machine.devices[0].state.history == state
        machine.run()
        assert (machine.instructions, machine.state_hash()) == end
        with machine.hooks.execute(machine.harts[0].pc, lambda event: None):
            machine.reverse_step(3)
        assert machine.instructions == end[0] - 3


def test_a_recording_is_repeated_with_the_same_devices(tmp_path: Path) -> None:
    with bare(COUNTING, devices=[Tally], record=tmp_path / "run") as machine:
        machine.run()
    for engine in ENGINES:
        with replay(tmp_path / "run", devices=[Tally], engine=engine) as again:
            assert again.verify().identical
            assert again.machine.devices[0].state.total == 32 * 33 // 2
    with pytest.raises(BadRecording, match="had 1 devices of its own, not 0"):
        replay(tmp_path / "run")


def test_a_device_that_does_not_follow_from_its_state_is_found_out(tmp_path: Path) -> None:
    class Whimsical(Tally):
        count = 0

        def write_add(self, value: int) -> None:
            Whimsical.count += 1
            super().write_add(value + (Whimsical.count == 50))  # the 18th of the second run

    with bare(COUNTING, devices=[Whimsical], record=tmp_path / "run") as machine:
        machine.run()
    with replay(tmp_path / "run", devices=[Whimsical]) as again:
        assert not again.verify().identical
