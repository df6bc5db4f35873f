"""The machine as a Python program uses it."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from hypernest.engines.engine import Engine, Exit
from hypernest.errors import BadConfiguration, HypernestError
from hypernest.host_memory import peak_memory
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.board import Board
from hypernest.machine.boot import BootPlan, Loaded, boot
from hypernest.machine.boot_files import Source
from hypernest.machine.configuration import FilePath, choice, memory_size, number_of_harts, open_disks
from hypernest.machine.console import Console
from hypernest.machine.engines import ENGINES, MEMORY_PATHS, engine_maker
from hypernest.machine.harts import HostHart, MachineHart
from hypernest.machine.host_access import MachineMemory
from hypernest.machine.outcome import LIMIT_REACHED, StopKind, StopReason
from hypernest.machine.sampler import Sampler
from hypernest.machine.signals import deferred_signals
from hypernest.machine.statistics import Statistics, Totals

if TYPE_CHECKING:
    from hypernest.engines.hart_state import HartState
    from hypernest.images import Image

EPOCH = 1_767_225_600 * 10**9
"""The date at which machines with a virtual clock are switched on, 2026-01-01, so that runs repeat to the bit."""

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
    `disks` are paths of raw disk images, or (path, read-only) pairs.
    `console` is a back end to attach a person or a pipe; without one the guest is spoken to with `Machine.console`.
    With `clock="wall"` idle time passes as outside; with `"virtual"` it is skipped, and a run follows from the
    arguments, `seed` included, to the bit. When the guest asks for a reset it restarts from its files, unless `reboot`
    is false: then the run ends.

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
        disks: Sequence[FilePath | tuple[FilePath, bool]] = (),
        memory: int | str = "512M",
        harts: int = 1,
        engine: str = "auto",
        memory_path: str = "soft",
        console: ConsoleBackend | None = None,
        seed: int = 0,
        clock: str = "virtual",
        reboot: bool = True,
    ) -> None:
        begin = time.perf_counter()
        self._memory_size = memory_size(memory)
        self._harts = number_of_harts(harts)
        self._engine_name, self._make_engine = engine_maker(
            choice("engine", engine, ENGINES), choice("memory path", memory_path, MEMORY_PATHS)
        )
        self._follow_wall = choice("clock", clock, ("virtual", "wall")) == "wall"
        if not 0 <= seed < 1 << 64:
            raise BadConfiguration(f"the seed {seed} is not possible: give a number of 64 bits")
        self._seed = seed
        self._reboot = reboot
        self._plan = _plan(image, kernel, tuple(initrd), append, firmware)
        self._reason: StopReason | None = None
        self._past = Totals()
        self._seconds = 0.0
        self._closed = False
        self._sampler: Sampler | None = None
        self._programs: tuple[Loaded, ...] = ()
        self.console = Console(console)
        """The guest's console: `send`, `read`, `resize`."""
        self._disks = open_disks(disks)
        try:
            self._switch_on()
        except BaseException:
            self._close_disks()
            raise
        self.harts = tuple(
            MachineHart(RISCV64, lambda number=number: self._view(number), lambda number=number: self._state(number))  # type: ignore[misc]
            for number in range(self._harts)
        )
        """The harts: `harts[0].x["a0"]`, `.f["fa0"]`, `.csr["mstatus"]`, `.pc`."""
        self.memory = MachineMemory(lambda: self._open_board().memory)
        """Guest-physical memory: `memory[address]`, `memory[start:end]`, `read`, `write`."""
        self._startup_seconds = time.perf_counter() - begin

    def _switch_on(self) -> None:
        self._board = Board(
            RISCV64,
            self._make_engine,
            memory_size=self._memory_size,
            harts=self._harts,
            console=self.console,
            disks=self._disks,
            seed=self._seed,
            epoch=time.time_ns() if self._follow_wall else EPOCH,
            follow_wall=self._follow_wall,
        )
        try:
            # The arrow of the architecture points from monitors to the machine; here it chooses its default one.
            from hypernest.monitors.sbi import Sbi

            self._sbi = Sbi(self._board) if self._plan.firmware is None else None
            self._programs = boot(self._board, self._plan, self._sbi)
            self._board.scheduler.sample_with(self._sampler)
        except BaseException:
            self._board.close()
            raise

    # --- running ---------------------------------------------------------------------------------------------------

    def run(self, instructions: int | None = None) -> StopReason:
        """Run until the guest stops, or for that many instructions of all harts together.

        A machine that has stopped for good gives the same reason again.
        """
        return self._run(instructions) or LIMIT_REACHED

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

    def _run(self, instructions: int | None) -> StopReason | None:
        """None if the run was paused."""
        if instructions is not None and instructions < 0:
            raise BadConfiguration(f"{instructions} instructions cannot be run: give a number that is not negative")
        last = None if instructions is None else self.instructions + instructions
        begin = time.perf_counter()
        try:
            while self._reason is None:
                board = self._open_board()
                with deferred_signals(lambda: board.clock.running is not None, board.scheduler.pause) as signals:  # noqa: B023
                    try:
                        reason = board.scheduler.run(None if last is None else last - self.instructions)
                    finally:
                        board.scheduler.account()
                if reason is None and signals and not self.console.found:
                    continue  # whoever handled them wants to go on
                if reason is None or reason.kind is StopKind.LIMIT:
                    return reason
                if reason.kind is StopKind.RESET and self._reboot:
                    self._reset()
                else:
                    self._reason = reason
            return self._reason
        finally:
            self._seconds += time.perf_counter() - begin

    def _reset(self) -> None:
        """Switch off and on again: memory cleared, everything loaded anew. The clock starts at 0 again."""
        self._past = self._totals()
        self._board.close()
        gc.collect()  # the engine is full of cycles, and its code is large
        self._switch_on()

    # --- looking ---------------------------------------------------------------------------------------------------

    def sample_with(self, sampler: Sampler | None) -> None:
        """From here on show `sampler` the running hart every `sampler.period` instructions; None ends that."""
        self._open_board().scheduler.sample_with(sampler)
        self._sampler = sampler

    @property
    def programs(self) -> tuple[Loaded, ...]:
        """What was loaded, and where: the firmware and the kernel, as far as there are such."""
        return self._programs

    @property
    def engine(self) -> Engine:
        """What runs the harts, for tools that look into it."""
        return self._open_board().engine

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
            harts=self._harts,
            engine=self._engine_name,
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
            self._closed = True
            self._board.close()
            self._close_disks()

    def _close_disks(self) -> None:
        for disk in self._disks:
            disk.close()

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
