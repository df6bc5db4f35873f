"""The machine as a Python program uses it."""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hypernest.devices.bus import Bus
from hypernest.devices.device import Device
from hypernest.disks import DiskMode, VersionedDisk
from hypernest.engines.engine import Engine, Exit
from hypernest.errors import BadConfiguration, HypernestError
from hypernest.host_memory import peak_memory
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.board import Board
from hypernest.machine.boot import BootPlan, Loaded, attach_rom, boot
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import FilePath, choice, memory_size, number_of_harts, open_disks
from hypernest.machine.console import Console
from hypernest.machine.custom_devices import DeviceChoice, device_makers
from hypernest.machine.engines import ENGINES, MEMORY_PATHS, EngineMaker
from hypernest.machine.harts import HostHart, MachineHart
from hypernest.machine.hooks import Hook, Hooks
from hypernest.machine.host_access import MachineMemory
from hypernest.machine.journal import Journal
from hypernest.machine.outcome import LIMIT_REACHED, StopKind, StopReason
from hypernest.machine.sampler import Sampler
from hypernest.machine.scheduler import Scheduler
from hypernest.machine.setup import Setup
from hypernest.machine.signals import deferred_signals
from hypernest.machine.snapshot import Snapshot
from hypernest.machine.state import BadState, state_digest
from hypernest.machine.statistics import Statistics, Totals
from hypernest.machine.witness import Witness
from hypernest.memory import MemoryImage

if TYPE_CHECKING:
    from hypernest.debug.backtrace import Frame
    from hypernest.debug.disassembly import Instruction
    from hypernest.debug.machine_symbols import MachineSymbols
    from hypernest.engines.hart_state import HartState
    from hypernest.history.timeline import Timeline
    from hypernest.images import Image

EPOCH = 1_767_225_600 * 10**9
"""The date at which machines with a virtual clock are switched on, 2026-01-01, so that runs repeat to the bit."""

CLOCKS = ("virtual", "wall")

_LAST_OUTPUT = 200


class TextNotSeen(HypernestError):
    """The guest did not print what `run_until` waited for; its output is still there to be read."""


class MachineClosed(HypernestError):
    """The machine was used after `close`."""


class Machine:
    """A RISC-V computer: one to eight harts, memory, and the devices of QEMU's `virt` board.

    What boots: an `image` (a name such as `debian`, or an `Image`), or a `kernel` (Linux Image, ELF or flat binary:
    a path or its bytes) with `initrd`s that are concatenated; both together mean the image with another kernel. The
    built-in SBI enters the kernel in S-mode; with `firmware` that program starts in M-mode instead and finds the
    kernel behind it, if there is one. `append` is put behind the image's kernel command line.

    `engine` is `auto`, `reference`, `interpreter` or `translator`; `memory_path` is how compiled code finds memory:
    a table in software (`soft`) or host pages (`host`: quicker where the guest seldom changes its page tables).
    `disks` are paths of raw disk images, or (path, mode) pairs; a mode is `readonly` (or True) or `overlay`: then the
    guest may write, but what it writes stays in memory, and is gone in the end.
    `devices` are devices of your own (docs/devices.md): classes, or functions without arguments that make one, or such
    with an address, or with an address and the number of an interrupt.
    `console` is a back end to attach a person or a pipe; without one the guest is spoken to with `Machine.console`.
    With `clock="wall"` idle time passes as outside; with `"virtual"` it is skipped, and a run follows from the
    arguments, `seed` included, to the bit. When the guest asks for a reset it restarts from its files, unless `reboot`
    is false: then the run ends. `record` names a file for a recording of the run, see `hypernest.replay`.

    Raises `BadConfiguration` or `BadImage` for what cannot be. Use it as a context manager, or `close` it.
    """

    def __init__(
        self,
        image: str | Image | None = None,
        *,
        kernel: Source | None = None,
        initrd: Sequence[Source] = (),
        append: str | None = None,
        firmware: Source | None = None,
        disks: Sequence[FilePath | tuple[FilePath, DiskMode | str | bool]] = (),
        devices: Sequence[DeviceChoice] = (),
        memory: int | str = "512M",
        harts: int = 1,
        engine: str = "auto",
        memory_path: str = "soft",
        console: ConsoleBackend | None = None,
        seed: int = 0,
        clock: str = "virtual",
        reboot: bool = True,
        record: FilePath | None = None,
    ) -> None:
        begin = time.perf_counter()
        maker = EngineMaker(choice("engine", engine, ENGINES), choice("memory path", memory_path, MEMORY_PATHS))
        follow_wall = choice("clock", clock, CLOCKS) == "wall"
        if not 0 <= seed < 1 << 64:
            raise BadConfiguration(f"the seed {seed} is not possible: give a number of 64 bits")
        plan = _plan(image, kernel, tuple(initrd), append, firmware)
        setup = Setup(
            memory_size=memory_size(memory),
            harts=number_of_harts(harts),
            engine=maker,
            seed=seed,
            epoch=time.time_ns() if follow_wall else EPOCH,
            follow_wall=follow_wall,
            reboot=reboot,
            hosted=plan.firmware is None,
            plan=plan,
            title=_title(image, kernel, firmware),
            devices=device_makers(devices),
        )
        self._prepare(setup, open_disks(disks), console)
        self._or_close_disks(self._switch_on)
        if record is not None:
            from hypernest.history import recording

            self._or_close(lambda: recording.record(self, record, image=image, disks=disks))
        self._startup_seconds = time.perf_counter() - begin

    @classmethod
    def made_of(cls, setup: Setup, disks: list[VersionedDisk], console: ConsoleBackend | None = None) -> Machine:
        """A machine of what another one was made of, switched on. It owns the `disks`. For `history`."""
        machine = cls.__new__(cls)
        machine._prepare(setup, disks, console)
        machine._or_close_disks(machine._switch_on)
        return machine

    @classmethod
    def begin_with(
        cls,
        snapshot: Snapshot,
        *,
        engine: str | None = None,
        console: ConsoleBackend | None = None,
        clock: str = "virtual",
        record: FilePath | None = None,
    ) -> Machine:
        """A machine that goes on from `snapshot` by itself; see `Snapshot.fork`."""
        begin = time.perf_counter()
        setup = replace(snapshot.setup, follow_wall=choice("clock", clock, CLOCKS) == "wall")
        if engine is not None and choice("engine", engine, ENGINES) not in ("auto", setup.engine.name):
            setup = replace(setup, engine=EngineMaker(engine))
        machine = cls.__new__(cls)
        machine._prepare(setup, [VersionedDisk(version.fork()) for version in snapshot.disks], console)
        machine._boot, machine._past = snapshot.boot, Totals(instructions=snapshot.past)
        machine._or_close_disks(lambda: machine._begin_with(snapshot))
        if record is not None:
            from hypernest.history import recording

            machine._or_close(lambda: recording.record(machine, record, snapshot=snapshot))
        machine._startup_seconds = time.perf_counter() - begin
        return machine

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
        self.hooks = Hooks(self)
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

    # --- snapshots -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The machine as it is now, to go back to or to fork. Copies nothing but what was written since the last."""
        board = self._open_board()
        return Snapshot(
            setup=self._setup,
            state=board.capture(),
            memory=board.freeze(),
            disks=tuple(disk.freeze() for disk in self._disks),
            boot=self._boot,
            past=self._past.instructions,
            reason=self._reason,
            programs=self._programs,
            journal=self._journal,
            position=self._journal.position,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Be again as `snapshot` says: one of this machine, of one that began with its snapshots, or of its origin.

        Quick if memory began with the same image, as it does then. What was to come according to the journal is
        forgotten. Raises `BadState` if the machine has other harts, memory or devices, and then nothing has changed.
        """
        self.become(snapshot)
        if snapshot.journal is self._journal:
            self._journal.forget_after(snapshot.position)
        else:
            self._journal.begin_anew()
        if self._timeline is not None:
            self._timeline.begin_anew()

    def become(self, snapshot: Snapshot) -> None:
        """Be as `snapshot` says, with what lay ahead then according to the journal lying ahead again. For `history`."""
        board = self._open_board()
        if self._witness is not None:
            self._witness.leave()
        sizes = [version.sectors for version in snapshot.disks], [disk.sectors for disk in self._disks]
        if snapshot.setup.memory_size != self._setup.memory_size or sizes[0] != sizes[1]:
            raise BadState("the snapshot is of a machine with other memory or disks: fork it instead")
        board.restore(snapshot.state)
        board.restore_memory(snapshot.memory)
        for disk, version in zip(self._disks, snapshot.disks, strict=True):
            disk.restore(version)
        self._boot = board.scheduler.boot = snapshot.boot
        self._past = replace(self._past, instructions=snapshot.past)
        self._reason, self._programs = snapshot.reason, snapshot.programs
        if snapshot.journal is self._journal:
            self._journal.position = snapshot.position

    def hart_words(self) -> list[bytes]:
        """The registers of all harts, for tools that look whether anything has changed."""
        return self._open_board().capture_harts()

    # --- the past --------------------------------------------------------------------------------------------------

    def keep_history(self, memory: int | str = "512M") -> Timeline:
        """From here on keep the past, so that the machine can go back; returns what is known of it.

        `memory` is about how much of the host's memory the past may take: if it is more, moments become farther apart.
        Costs some percent of speed. Calling it again begins anew.
        """
        from hypernest.history.timeline import Timeline

        self._timeline = Timeline(self, memory_size(memory))
        self._journal.on_note = self._timeline.branch
        self.hooks.around = self._timeline.around
        self._board.memory.on_write(self._timeline.watch_memory)
        return self._timeline

    @property
    def history(self) -> Timeline:
        """The known past; `NoHistory` if it is not kept."""
        if self._timeline is None:
            from hypernest.history.timeline import NoHistory

            raise NoHistory("the past of this machine is not kept: call keep_history() before it runs")
        return self._timeline

    def goto(self, count: int) -> None:
        """Be where the machine was after `count` instructions of all harts, or run up to there. No hook is called.

        Running on from the past repeats the same input; with new input, or if registers or memory are changed, the
        machine goes another way and what was known of the time behind is forgotten. Raises `NoHistory` for a time
        before `keep_history`.
        """
        self.history.go_to(count)

    def reverse_step(self, count: int = 1) -> StopReason:
        """Go back by `count` instructions, at most to the beginning of what is known; says where that is."""
        target = self.instructions - count
        if target < self.history.beginning:
            from hypernest.history.timeline import BEGINNING

            self.history.go_to(self.history.beginning)
            return BEGINNING
        self.history.go_to(target)
        return LIMIT_REACHED

    def reverse_run(self, hooks: Collection[Hook] | None = None) -> StopReason:
        """Go back to before whatever one of `hooks` (all that are attached) would have been called for last.

        No callback is called. Returns where that is, or that the beginning of the known past was reached.
        """
        return self.history.last_hit([*self.hooks] if hooks is None else hooks)

    def reverse_until(self, condition: int | str | Hook | Callable[[Machine], bool]) -> StopReason:
        """Go back to the latest earlier moment of that kind, or to the beginning; returns which.

        An address or a symbol: before it is executed. A hook, such as one on writes to a range: before what it is
        called for. Anything else is called with the machine, after every instruction, and tells whether it is the
        moment; that is slow, some 20,000 instructions a second, and asks the recent past first.
        """
        if isinstance(condition, Hook):
            return self.reverse_run([condition])
        if not isinstance(condition, int | str):
            return self.history.last_time(condition)
        with self.hooks.execute(condition, lambda event: None) as hook:
            return self.reverse_run([hook])

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """A `with` block in which the machine runs as it did: with noted input only, unseen, without hooks."""
        self._journal.sealed = self.console.muted = True
        try:
            with self.hooks.suspended():
                yield
        finally:
            self._journal.sealed = self.console.muted = False

    def watch_course(self, witness: Witness | None) -> None:
        """Let `witness`, and no other, look on from now on."""
        self._witness = witness

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

    def brief_hash(self) -> bytes:
        """A digest of 16 bytes like `state_hash`, but without memory: cheap enough to take often."""
        return state_digest(self._open_board().capture())

    def nonzero_pages(self) -> Iterator[tuple[int, bytes]]:
        """All pages of RAM that are not zero, with their numbers, in order."""
        return self._open_board().memory.nonzero_pages()

    def state_hash(self) -> str:
        """A digest, in hexadecimal, of all that the machine's course depends on, except for disks.

        Equal on every engine and host for the same inputs at the same count of instructions.
        """
        digest = blake2b(state_digest(self._open_board().capture()), digest_size=32)
        for page, content in self.nonzero_pages():
            digest.update(page.to_bytes(8, "little"))
            digest.update(content)
        return digest.hexdigest()

    # --- running ---------------------------------------------------------------------------------------------------

    def run(
        self, instructions: int | None = None, until: int | str | Callable[[Machine], bool] | None = None
    ) -> StopReason:
        """Run until the guest stops, or for that many instructions of all harts together, or until something is so.

        `until` is an address or a symbol, before which to stop when a hart comes there, or a function that is called
        with the machine after every instruction and says whether to stop (slow: some 20,000 instructions a second).
        A machine that has stopped for good gives the same reason again.
        """
        if until is None:
            return self._run(instructions) or LIMIT_REACHED
        if isinstance(until, int | str):
            with self.hooks.execute(until, lambda event: event.stop()):
                return self._run(instructions) or LIMIT_REACHED
        last = None if instructions is None else self.instructions + instructions
        while last is None or self.instructions < last:
            before = self.instructions
            reason = self.step()
            if until(self):
                return StopReason(StopKind.BREAK, message="what was waited for is so")
            if reason.kind is not StopKind.LIMIT or self.instructions == before:
                return reason
        return LIMIT_REACHED

    def step(self, count: int = 1) -> StopReason:
        """Execute `count` instructions: of the hart whose turn it is, or of several whose turns they are."""
        return self.run(count)

    def run_until(self, text: str, limit: int | None = None) -> str:
        """Run until the console has printed `text`; returns the unread output up to and including it.

        Stops right after the instruction that printed its last character. Raises `TextNotSeen` when the machine stops
        before, or after `limit` instructions.
        """
        if not text:
            return ""
        self.console.watch(text, lambda: self._board.scheduler.pause())
        try:
            reason = None if self.console.found else self._run(limit)
        finally:
            output = self.console.unwatch()
        if output is None:
            last = self.console.last(_LAST_OUTPUT)
            raise TextNotSeen(f"the guest did not print {text!r}: {reason}; the end of its output is {last!r}")
        return output

    def serve_gdb(self, port: int = 0, wait: bool = True) -> StopReason | None:
        """Let gdb debug the machine, at a `port` of this computer (0: any free one) that is told on standard error.

        With `wait` the machine stands still until gdb is there, without it runs. Returns when gdb has detached or
        killed: None; or when the machine has stopped for good. `BadConfiguration` if the port cannot be had.
        """
        from hypernest.debug.gdb import serve

        return serve(self, port, wait)

    def _run(self, instructions: int | None) -> StopReason | None:
        """None if the run was paused."""
        if instructions is not None and instructions < 0:
            raise BadConfiguration(f"{instructions} instructions cannot be run: give a number that is not negative")
        last = None if instructions is None else self.instructions + instructions
        begin = time.perf_counter()
        if self._timeline is not None:
            self._timeline.begin_run()
        try:
            while self._reason is None:
                if self._witness is not None and self._witness.next_visit <= self.instructions:
                    halted = self._witness.visit()
                    if halted is not None:
                        return halted
                board = self._open_board()
                with deferred_signals(lambda: board.clock.running is not None, board.scheduler.pause) as signals:  # noqa: B023
                    try:
                        reason = board.scheduler.run(self._steps_to(last))
                    finally:
                        board.scheduler.account()
                if reason is None and signals and not self.console.found:
                    continue  # whoever handled them wants to go on
                if reason is LIMIT_REACHED and self.instructions != last:
                    if self._timeline is not None and self._timeline.next_visit == self.instructions:
                        self._timeline.visit()
                    continue
                if reason is None or reason.kind in (StopKind.LIMIT, StopKind.BREAK):
                    return reason
                if reason.kind is StopKind.RESET and self._setup.reboot and self._setup.plan is not None:
                    self._reset()
                else:
                    self._reason = reason
            return self._reason
        finally:
            self._seconds += time.perf_counter() - begin
            if self._timeline is not None:
                self._timeline.end_run()
            if self._witness is not None:
                self._witness.end_run()

    def _steps_to(self, last: int | None) -> int | None:
        """How many steps to run at once: up to the count `last`, or the next one at which somebody wants to look."""
        visits = [each.next_visit for each in (self._timeline, self._witness) if each is not None]
        ends = [each for each in (last, *visits) if each is not None]
        return max(min(ends) - self.instructions, 0) if ends else None

    def _reset(self) -> None:
        """Switch off and on again: memory cleared, everything loaded anew. The clock starts at 0 again."""
        self._past = self._totals()
        self._board.close()
        gc.collect()  # the engine is full of cycles
        self._boot += 1
        try:
            self._switch_on()
        except BaseException:
            self._witness = None  # there is nothing left to look at
            self.close()
            raise

    # --- looking ---------------------------------------------------------------------------------------------------

    def sample_with(self, sampler: Sampler | None) -> None:
        """From here on show `sampler` the running hart every `sampler.period` instructions; None ends that."""
        self._open_board().scheduler.sample_with(sampler)
        self._sampler = sampler

    @cached_property
    def symbols(self) -> MachineSymbols:
        """Names of addresses in the guest: `symbols["panic"]`, `symbols.find(address)`, `symbols.add(path)`."""
        from hypernest.debug.machine_symbols import MachineSymbols

        return MachineSymbols(self)

    def disassemble(self, address: int | str | None = None, count: int = 8, hart: int = 0) -> Sequence[Instruction]:
        """Up to `count` instructions as `hart` would find them, from an address, a symbol, or its pc on.

        Raises `OutOfRange` or `NotMapped` if nothing is there, `NoSuchPlace` if the symbol is not known.
        """
        from hypernest.debug.disassembly import disassemble

        one = self.harts[hart]
        start = one.pc if address is None else self.symbols.resolve(address)
        return disassemble(one.memory, start, count, lambda at: self.symbols.find(at, one))

    def backtrace(self, hart: int = 0, limit: int = 256) -> Sequence[Frame]:
        """The functions in which `hart` is, the innermost first: where each goes on, its symbol, line and CFA.

        Raises `BadImage` if a program's debug information is damaged.
        """
        from hypernest.debug.backtrace import backtrace

        return backtrace(self, hart, limit)

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
        return self.harts[self._open_board().scheduler.current]

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

    # --- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Switch the machine off: memory is given back, disks are closed. Harmless when repeated."""
        if not self._closed:
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

    def __repr__(self) -> str:
        from hypernest.debug.presentation import machine_text

        return machine_text(self)

    def _repr_html_(self) -> str:
        from hypernest.debug.presentation import machine_html

        return machine_html(self)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_share(translation: Mapping[str, float]) -> dict[str, float]:
    """The counts of a translator with the share of instructions in regions, which can be no sum."""
    if not translation:
        return {}
    inside, outside = translation["steps_translated"], translation["steps_interpreted"]
    return {**translation, "share_in_regions": inside / max(inside + outside, 1)}


def _title(image: str | Image | None, kernel: Source | None, firmware: Source | None) -> str:
    """What runs, in a word or two for people."""
    name = image if isinstance(image, str) else getattr(image, "name", None)
    files = (Path(os.fsdecode(each)).name for each in (kernel, firmware) if isinstance(each, str | os.PathLike))
    return " ".join(filter(None, (name, *files))) or "program"


def _plan(
    image: str | Image | None,
    kernel: Source | None,
    initrd: tuple[Source, ...],
    append: str | None,
    firmware: Source | None,
) -> BootPlan:
    """What boots, with what an image contributes in front."""
    if isinstance(image, str):
        from hypernest.images import find

        image = find(image)
    if image is not None:
        kernel = image.kernel if kernel is None else kernel
        initrd = (*image.initrds, *initrd)
        append = " ".join(filter(None, (image.append, append)))
    if kernel is None and firmware is None:
        raise BadConfiguration("there is nothing to boot: give an image, a kernel or a firmware")
    return BootPlan(kernel, initrd, append or "", firmware)
