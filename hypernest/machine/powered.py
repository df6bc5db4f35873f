"""A computer under power: what it is made of, its board, and its end.

`Machine` is put together in layers, one concept each: this one, `running`, `remembering`, and `machine` on top.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from hypernest.devices.bus import Bus
from hypernest.devices.device import Device
from hypernest.disks import VersionedDisk
from hypernest.engines.engine import Engine, Exit
from hypernest.errors import HypernestError
from hypernest.host_memory import peak_memory
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.board import Board
from hypernest.machine.boot import Loaded, attach_rom, boot
from hypernest.machine.console import Console
from hypernest.machine.harts import HostHart, MachineHart
from hypernest.machine.hooks import Hooks
from hypernest.machine.host_access import MachineMemory
from hypernest.machine.journal import Journal
from hypernest.machine.outcome import StopReason
from hypernest.machine.sampler import Sampler
from hypernest.machine.scheduler import Scheduler
from hypernest.machine.setup import Setup
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.statistics import Statistics, Totals
from hypernest.machine.witness import Witness
from hypernest.memory import MemoryImage

if TYPE_CHECKING:
    from hypernest.engines.hart_state import HartState
    from hypernest.history.timeline import Timeline
    from hypernest.machine.machine import Machine


class MachineClosed(HypernestError):
    """The machine was used after `close`."""


class PoweredMachine:
    """What a machine is made of and the board that it has at present; every object of it is a `Machine`."""

    def _prepare(self, setup: Setup, disks: list[VersionedDisk], console: ConsoleBackend | None) -> None:
        """All but the board."""
        self._setup = setup
        self._disks = disks
        self._boot = 0
        self._journal = Journal()
        self._timeline: Timeline | None = None
        self._witness: Witness | None = None
        self._reason: StopReason | None = None
        self._past = Totals()
        self._seconds = self._startup_seconds = 0.0
        self._closed = False
        self._sampler: Sampler | None = None
        self._programs: tuple[Loaded, ...] = ()
        self.console = Console(console)
        """The guest's console: `send`, `read`, `resize`."""
        self.harts = tuple(
            MachineHart(RISCV64, lambda number=number: self._view(number), lambda number=number: self._state(number))  # type: ignore[misc]
            for number in range(setup.harts)
        )
        """The harts: `harts[0].x["a0"]`, `.f["fa0"]`, `.csr["mstatus"]`, `.pc`."""
        self.hooks = Hooks(self._whole)
        """Python functions to call before the guest does something: `hooks.execute`, `.write`, `.syscall`, ..."""
        self.memory = MachineMemory(lambda: self._open_board().memory)
        """Guest-physical memory: `memory[address]`, `memory[start:end]`, `read`, `write`."""

    def _or_close_disks(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except BaseException:
            self._close_disks()
            raise

    def _or_close(self, begin: Callable[[], None]) -> None:
        try:
            begin()
        except BaseException:
            self.close()
            raise

    def _make_board(self, image: MemoryImage | None = None) -> Board:
        setup = self._setup
        board = Board(
            RISCV64,
            setup.engine,
            memory_size=setup.memory_size,
            harts=setup.harts,
            console=self.console,
            disks=self._disks,
            devices=setup.devices,
            seed=setup.seed,
            epoch=setup.epoch,
            follow_wall=setup.follow_wall,
            journal=self._journal,
            boot=self._boot,
            image=image,
        )
        self.hooks.install(board)
        if self._timeline is not None:
            board.memory.on_write(self._timeline.watch_memory)
        return board

    def _start_monitor(self) -> None:
        """Whoever answers the traps that reach M-mode."""
        # The arrow of the architecture points from monitors to the machine; here it chooses its default one.
        from hypernest.monitors.sbi import Sbi

        self._sbi = Sbi(self._board) if self._setup.hosted else None

    def _switch_on(self) -> None:
        assert self._setup.plan is not None, "a machine is switched on with something to boot"
        self._board = self._make_board()
        try:
            self._start_monitor()
            self._programs = boot(self._board, self._setup.plan, self._sbi)
            self._board.scheduler.sample_with(self._sampler)
        except BaseException:
            self._board.close()
            raise

    def _begin_with(self, snapshot: Snapshot) -> None:
        self._board = self._make_board(snapshot.memory)
        try:
            self._start_monitor()
            if not self._setup.hosted:
                attach_rom(self._board)
            self._board.restore(snapshot.state)
            self._programs, self._reason = snapshot.programs, snapshot.reason
        except BaseException:
            self._board.close()
            raise

    @property
    def _whole(self) -> Machine:
        """Itself, with all the layers above."""
        return cast("Machine", self)

    @property
    def setup(self) -> Setup:
        """What the machine is made of."""
        return self._setup

    @property
    def stopped(self) -> StopReason | None:
        """Why the machine has stopped for good, if it has."""
        return self._reason

    @property
    def disks(self) -> Sequence[VersionedDisk]:
        """Its disks, for tools that look into them."""
        return tuple(self._disks)

    @property
    def journal(self) -> Journal:
        """What came from outside, and what will."""
        return self._journal

    @property
    def boot(self) -> int:
        """How often the machine has been reset."""
        return self._boot

    @property
    def programs(self) -> tuple[Loaded, ...]:
        """What was loaded, and where: the firmware and the kernel, as far as there are such."""
        return self._programs

    @property
    def engine(self) -> Engine:
        """What runs the harts, for tools that look into it."""
        return self._open_board().engine

    @property
    def scheduler(self) -> Scheduler:
        """What decides which hart runs, for tools that look into it; another one after each reset."""
        return self._open_board().scheduler

    @property
    def bus(self) -> Bus:
        """Where the devices are, for tools that look into it; another one after each reset."""
        return self._open_board().bus

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices that were added to the board, in the order of the argument; others after each reset."""
        return self._open_board().custom.devices

    @property
    def running_hart(self) -> MachineHart:
        """The hart that executed the last instruction, or would execute the next."""
        return self.harts[self._open_board().scheduler.turns.current]

    @property
    def instructions(self) -> int:
        """Instructions executed by all harts since the machine was made, trapping ones included."""
        return self._past.instructions + self._board.scheduler.steps

    @property
    def problem(self) -> str | None:
        """What keeps the machine from being as fast as it could be, a sentence for the user; None if nothing does."""
        return self._board.engine.problem

    @property
    def now(self) -> int:
        """Guest time in nanoseconds since the machine was last switched on."""
        return self._board.clock.now()

    @property
    def stats(self) -> Statistics:
        """What the machine has cost so far."""
        total = self._totals()
        return Statistics(
            instructions=total.instructions,
            seconds=self._seconds,
            mips=total.instructions / self._seconds / 1e6 if self._seconds else 0.0,
            harts=self._setup.harts,
            engine=self._setup.engine.name,
            guest_seconds=total.time / 1e9,
            idle_seconds=total.idle_time / 1e9,
            startup_seconds=self._startup_seconds,
            peak_memory_bytes=peak_memory(),
            guest_memory_bytes=self._board.memory.resident_size,
            traps=dict(total.traps),
            exits=dict(total.exits),
            device_accesses=dict(total.device_accesses),
            sbi_calls=dict(total.sbi_calls),
            translation=_with_share({name: total.translation[name] for name in self._board.engine.translation}),
        )

    def _totals(self) -> Totals:
        board, scheduler = self._board, self._board.scheduler
        return self._past + Totals(
            instructions=scheduler.steps,
            time=board.clock.now(),
            idle_time=scheduler.idle_time,
            traps=Counter(board.engine.traps),
            exits=Counter({why.name: scheduler.exits[why] for why in Exit}),
            device_accesses=board.bus.accesses,
            sbi_calls=Counter(self._sbi.calls if self._sbi is not None else {}),
            translation=Counter(board.engine.translation),
        )

    def _open_board(self) -> Board:
        if self._closed:
            raise MachineClosed("the machine has been closed: make a new one")
        return self._board

    def _view(self, hart: int) -> HostHart:
        return self._open_board().view(hart)

    def _state(self, hart: int) -> HartState:
        return self._open_board().harts[hart]

    def close(self) -> None:
        """Switch the machine off: memory is given back, disks are closed. Harmless when repeated.

        Raises `RunsAlready` from within a run, as in a hook: the engine stands on that memory.
        """
        if not self._closed:
            self._board.scheduler.require_rest()
            try:
                if self._witness is not None:
                    self._witness.close()
            finally:
                self._closed = True
                self._journal = Journal()
                self._board.close()
                self._close_disks()

    def _close_disks(self) -> None:
        for disk in self._disks:
            disk.close()


def _with_share(translation: Mapping[str, float]) -> dict[str, float]:
    """The counts of a translator with the share of instructions in regions, which can be no sum."""
    if not translation:
        return {}
    inside, outside = translation["steps_translated"], translation["steps_interpreted"]
    return {**translation, "share_in_regions": inside / max(inside + outside, 1)}
