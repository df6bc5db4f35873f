"""The board: harts, memory, devices and the wires between them, at the addresses of QEMU's `virt` machine."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence

from hypernest.devices.bus import Bus
from hypernest.devices.clint import Clint
from hypernest.devices.device import BusError, Device
from hypernest.devices.finisher import Finish, FinishKind, TestFinisher
from hypernest.devices.plic import Plic
from hypernest.devices.rtc import GoldfishRtc
from hypernest.devices.uart import Uart
from hypernest.devices.virtio.block import VirtioBlock
from hypernest.devices.virtio.console import VirtioConsole
from hypernest.devices.virtio.device import VirtioDevice
from hypernest.devices.virtio.entropy import SeededGenerator, VirtioEntropy
from hypernest.devices.virtio.mmio import VirtioMmio
from hypernest.disks import Disk
from hypernest.engines.hart_state import HartState
from hypernest.errors import BadConfiguration
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.legal_states import illegal_register
from hypernest.isa.riscv.riscv64 import BASE_ISA, EXTENSION_NAMES, ISA_STRING
from hypernest.isa.riscv.state import SINK, Interrupt
from hypernest.machine.board_tree import Chosen, HartDescription, board_tree
from hypernest.machine.clock import MachineClock
from hypernest.machine.console import Console
from hypernest.machine.custom_devices import CustomDevices, DeviceMaker
from hypernest.machine.custom_state import decode_custom, encode_custom
from hypernest.machine.device_tree import flatten
from hypernest.machine.engines import EngineMaker
from hypernest.machine.harts import HostHart
from hypernest.machine.journal import Journal
from hypernest.machine.outcome import POWERED_OFF, RESET, failure
from hypernest.machine.scheduler import Scheduler
from hypernest.machine.state import BadState, BoardState, decode_like, encode_state
from hypernest.memory import PAGE, GuestMemory, MemoryImage

RESET_ROM = 0x1000
FINISHER, RTC, CLINT, PLIC, UART, VIRTIO = 0x10_0000, 0x10_1000, 0x200_0000, 0xC00_0000, 0x1000_0000, 0x1000_1000
RAM = 0x8000_0000

VIRTIO_SLOTS = 8
VIRTIO_INTERRUPT, UART_INTERRUPT, RTC_INTERRUPT = 1, 10, 11
MAXIMUM_DISKS = VIRTIO_SLOTS - 2

_SERIAL, _VIRTIO_CONSOLE = "serial", "virtio"  # the names of the consoles that take input

_HART = HartDescription(ISA_STRING, (*BASE_ISA.removeprefix("rv64"), *EXTENSION_NAMES))


class GuestBus(Bus):
    """The bus as the engines see it: counts accesses, and tells the board of those that it must follow up."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: list[int] = []
        self._read_followers: list[Callable[[], None] | None] = []
        self._write_followers: list[Callable[[], None] | None] = []
        self.after_write: Callable[[], None] = lambda: None
        """Called after every write: a device may have written to memory."""

    def attach(self, base: int, device: Device, interrupt: int | None = None) -> None:
        super().attach(base, device, interrupt)
        index = self._bases.index(base)
        self._counts.insert(index, 0)
        self._read_followers.insert(index, None)
        self._write_followers.insert(index, None)

    def follow(self, device: Device, follower: Callable[[], None], *, reads: bool) -> None:
        """Call `follower` after every write to `device`, and if `reads`, after every read."""
        index = [attachment.device for attachment in self._attachments].index(device)
        self._write_followers[index] = follower
        self._read_followers[index] = follower if reads else None

    def read(self, address: int, size: int) -> int:
        index = self._find(address)
        value = self._attachments[index].device.read(address - self._bases[index], size)
        self._counts[index] += 1
        follower = self._read_followers[index]
        if follower is not None:
            follower()
        return value

    def write(self, address: int, size: int, value: int) -> None:
        index = self._find(address)
        self._attachments[index].device.write(address - self._bases[index], size, value)
        self._counts[index] += 1
        follower = self._write_followers[index]
        if follower is not None:
            follower()
        self.after_write()

    def _find(self, address: int) -> int:
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            raise BusError(f"no device at {address:#x}")
        return index

    @property
    def accesses(self) -> Counter[str]:
        """How often the guest has accessed each kind of device."""
        counter: Counter[str] = Counter()
        for attachment, count in zip(self._attachments, self._counts, strict=True):
            if count:
                device = attachment.device
                backend = device.backend if isinstance(device, VirtioMmio) else None
                counter[type(backend or device).__name__] += count
        return counter


class HartLine:
    """The wire to one interrupt of one hart."""

    def __init__(self, scheduler: Scheduler, hart: int, interrupt: Interrupt) -> None:
        self._scheduler, self._hart, self._mask = scheduler, hart, 1 << interrupt

    def set(self, level: bool) -> None:
        self._scheduler.drive(self._hart, self._mask, level)


class Board:
    """Everything that is built when the machine is switched on, and thrown away when it is reset.

    `disks` and `console` stay the owner's; `devices` make those that the user adds. RAM begins with `image`. `epoch` is
    the date at guest time 0, in nanoseconds since 1970. `boot` says how many boards the machine had before, for the
    `journal` of what comes from outside.
    """

    def __init__(
        self,
        isa: NativeIsa,
        make_engine: EngineMaker,
        *,
        memory_size: int,
        harts: int,
        console: Console,
        disks: Sequence[Disk] = (),
        devices: Sequence[DeviceMaker] = (),
        seed: int = 0,
        epoch: int = 0,
        follow_wall: bool = False,
        journal: Journal | None = None,
        boot: int = 0,
        image: MemoryImage | None = None,
    ) -> None:
        self.isa = isa
        self.console = console
        self.memory = GuestMemory(RAM, memory_size, image)
        try:
            self.bus = GuestBus()
            self.engine = make_engine(isa, self.memory, self.bus)
            self.memory.on_write(self.engine.invalidate)
            self.harts = [self._new_hart(number) for number in range(harts)]
            self.clock = MachineClock(Layout(isa.registers))
            self._views = [HostHart(isa, each, self.memory, self.bus, self.engine, self.clock) for each in self.harts]
            self.scheduler = Scheduler(
                self.engine, self.harts, self.clock, console, journal or Journal(), boot, follow_wall
            )
            self.suspended: dict[int, int] = {}
            """Harts that the SBI has suspended, with the instructions that each had retired by then."""
            self._seed = seed
            self._accepted: list[bytes | None] = [None] * harts  # states that need no check, as they had one
            plic = self._attach_devices(disks, epoch)
            self.custom = CustomDevices(self, plic, devices)
            """The devices that the user has added."""
        except BaseException:
            self.memory.close()
            raise

    def _new_hart(self, number: int) -> HartState:
        hart = self.engine.new_hart()
        hart["hartid"] = number
        hart["pc"] = RESET_ROM
        return hart

    def view(self, hart: int) -> HostHart:
        """The hart as semantic functions see it, for the host's side."""
        return self._views[hart]

    def close(self) -> None:
        """Give the memory back. Nothing of the board can be used any more."""
        self.engine.close()
        self.memory.close()

    # --- state -----------------------------------------------------------------------------------------------------

    def capture(self) -> BoardState:
        """Everything that the machine's course depends on, except for memory and disks. Only between two runs."""
        return BoardState(
            harts=self.capture_harts(),
            devices={attachment.base: self._capture_device(attachment.device) for attachment in self.bus.attachments},
            scheduler=self.scheduler.capture(),
            console=self.console.capture(),
            suspended=dict(self.suspended),
        )

    def capture_harts(self) -> list[bytes]:
        """The words of all harts."""
        return [self._capture_hart(hart) for hart in self.harts]

    def _capture_device(self, device: Device) -> list[bytes]:
        if device in self.custom:
            return encode_custom(device)
        return [encode_state(owner.state) for owner in device.state_owners()]

    def freeze(self) -> MemoryImage:
        """RAM as it is now. From here on the host's pages cannot be mapped elsewhere for quicker access."""
        self.engine.leave_memory_file()
        return self.memory.freeze()

    def restore_memory(self, image: MemoryImage) -> None:
        """Let RAM be that image, and engines forget what they have seen in pages that differ."""
        self.engine.leave_memory_file()
        for first, end in self.memory.restore(image):
            self.engine.invalidate(RAM + first * PAGE, (end - first) * PAGE)

    def _capture_hart(self, hart: HartState) -> bytes:
        """Its words, without what depends on how runs were cut, and on the engine."""
        hart["x", SINK] = 0
        hart["clock_end"], hart["remaining"], hart["stop"] = self.clock.time, 0, 0
        return hart.snapshot()

    def restore(self, state: BoardState) -> None:
        """The way back, on any engine, RAM apart. Raises `BadState`, and then nothing has changed."""
        present = {each.base: each.device for each in self.bus.attachments}
        if state.devices.keys() != present.keys() or len(state.harts) != len(self.harts):
            raise BadState(
                "the state is that of another board: make a machine with as many harts and the same devices,"
                " added ones included"
            )
        devices = []
        for base, states in state.devices.items():
            owners = present[base].state_owners()
            if len(owners) != len(states):
                raise BadState(f"the device at {base:#x} is another one in the state: give the machine the same one")
            decode = decode_custom if present[base] in self.custom else decode_like
            decoded = [decode(data, owner.state) for data, owner in zip(states, owners, strict=True)]
            devices.append((present[base], decoded))
        for hart, data, accepted in zip(self.harts, state.harts, self._accepted, strict=True):
            if data is not accepted:
                _check_hart(hart, data)
        self._accepted = list(state.harts)
        self.scheduler.check(state.scheduler)
        self.console.restore(state.console)
        self.suspended.clear()
        self.suspended.update(state.suspended)
        self.clock.time = state.scheduler.time
        for device, states in devices:
            try:
                device.restore(*states)
            except Exception as error:
                if device not in self.custom:
                    raise
                self.custom.fail(device, "in restore", error)
        # After the devices, which have driven their lines while others were not restored yet.
        for hart, data in zip(self.harts, state.harts, strict=True):
            hart.restore(data)
            self.engine.flush_translations(hart)
        self.scheduler.restore(state.scheduler)

    # --- devices ---------------------------------------------------------------------------------------------------

    def _lines(self, *interrupts: Interrupt) -> list[HartLine]:
        return [
            HartLine(self.scheduler, hart, interrupt) for hart in range(len(self.harts)) for interrupt in interrupts
        ]

    def _attach_devices(self, disks: Sequence[Disk], epoch: int) -> Plic:
        bus, console = self.bus, self.console
        self.clint = Clint(self.clock, self._lines(Interrupt.MACHINE_SOFTWARE), self._lines(Interrupt.MACHINE_TIMER))
        plic = Plic(self._lines(Interrupt.MACHINE_EXTERNAL, Interrupt.SUPERVISOR_EXTERNAL))
        rtc = GoldfishRtc(self.clock, plic.line(RTC_INTERRUPT), epoch)
        uart = Uart(plic.line(UART_INTERRUPT), console.output)
        bus.attach(FINISHER, TestFinisher(self._finish))
        bus.attach(RTC, rtc, RTC_INTERRUPT)
        bus.attach(CLINT, self.clint)
        bus.attach(PLIC, plic)
        bus.attach(UART, uart, UART_INTERRUPT)
        bus.follow(self.clint, self._follow_clint, reads=False)
        bus.follow(rtc, self.scheduler.reconsider_deadlines, reads=False)
        bus.follow(uart, _follow_uart(console, uart), reads=True)
        bus.after_write = self._drop_reservation
        self.scheduler.timed = (self.clint, rtc)
        terminal = self._attach_virtio(plic, disks)
        console.connect({_SERIAL: uart.receive, _VIRTIO_CONSOLE: terminal.receive}, terminal.resize)
        return plic

    def _attach_virtio(self, plic: Plic, disks: Sequence[Disk]) -> VirtioConsole:
        """Disks from the first slot on, as small kernels expect them; console and entropy in the last ones."""
        if len(disks) > MAXIMUM_DISKS:
            raise BadConfiguration(f"{len(disks)} disks are too many: the board has room for {MAXIMUM_DISKS}")

        def print_on_terminal(data: bytes) -> None:
            self.console.output(data)
            self.console.touched(_VIRTIO_CONSOLE, settle=True)

        terminal = VirtioConsole(print_on_terminal)
        entropy = VirtioEntropy(SeededGenerator(b"entropy" + self._seed.to_bytes(8, "little")))
        slots: list[VirtioDevice | None] = [VirtioBlock(disk, f"disk{number}") for number, disk in enumerate(disks)]
        slots += [None] * (MAXIMUM_DISKS - len(disks)) + [terminal, entropy]
        for number, backend in enumerate(slots):
            interrupt = VIRTIO_INTERRUPT + number
            device = VirtioMmio(backend, self.memory, plic.line(interrupt))
            self.bus.attach(VIRTIO + number * device.size, device, interrupt)
        return terminal

    def _follow_clint(self) -> None:
        """The time CSR of every hart shows mtime, which the guest may have set."""
        for hart in self.harts:
            hart["time_offset"] = self.clint.state.time_offset
        self.scheduler.reconsider_deadlines()

    def _drop_reservation(self) -> None:
        """A device that writes memory breaks the reservation of load-reserved (unprivileged manual, section 13.2)."""
        running = self.clock.running
        if running is not None:
            running["reservation_valid"] = 0

    def _finish(self, request: Finish) -> None:
        outcomes = {FinishKind.POWER_OFF: POWERED_OFF, FinishKind.RESET: RESET}
        self.scheduler.finish(outcomes.get(request.kind) or failure(request.code))

    # --- what the guest is told ------------------------------------------------------------------------------------

    def device_tree(self, bootargs: str, initrd: tuple[int, int] | None) -> bytes:
        """The flattened device tree for this boot."""
        random = SeededGenerator(b"device tree" + self._seed.to_bytes(8, "little"))
        chosen = Chosen(bootargs, initrd, random.randbytes(64))
        return flatten(board_tree(self.bus, RAM, self.memory.size, len(self.harts), _HART, chosen))


def _check_hart(present: HartState, data: bytes) -> None:
    """Raises `BadState` if these cannot be the words of a hart in the place of the present one."""
    problem = present.problem(data)
    if problem is None and (register := illegal_register(data)):
        problem = f"the register {register} of a hart has a value that no instruction could have given it"
    if problem is not None:
        raise BadState(f"the state is damaged or of another version: {problem}")
    words = memoryview(data).cast("Q")
    if any(words[present.layout.index[name]] != present[name] for name in ("hartid", "hosted")):
        raise BadState("the state is that of a machine with another monitor or firmware: fork it instead")


def _follow_uart(console: Console, uart: Uart) -> Callable[[], None]:
    def follow() -> None:
        if uart.awaits_input:
            console.touched(_SERIAL)

    return follow
