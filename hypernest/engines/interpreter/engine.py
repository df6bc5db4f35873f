"""The interpreter as an engine: loads the native code and gives it harts, memory and devices."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hypernest.devices.device import BusError
from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.engine import Devices, Exit, Untranslated
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter.native_code import NativeCode
from hypernest.engines.interpreter.watching import watch_tables
from hypernest.engines.interpreter.words import (
    BLOCK_BYTES,
    COUNTERS,
    COVERING,
    EXPORTS,
    SHARED,
    TRAP_COUNTERS,
    EngineWords,
)
from hypernest.engines.watched import NOTHING, Interception, Kind, Watched
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.memory import GuestMemory

_KINDS = {int(kind): kind for kind in Kind}
POOL_BYTES = 64 << 20  # room for predecoded code; when it is full, everything is decoded anew
MAX_HARTS = 8

_DEVICE = ctypes.CFUNCTYPE(
    ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64
)


class InterpreterEngine(Untranslated):
    """Runs harts in generated native code. See `engine.Engine` for the contract; ValueError beyond eight harts."""

    def __init__(
        self,
        isa: NativeIsa,
        memory: GuestMemory,
        devices: Devices,
        cache: Path | None = None,
        native: NativeCode | None = None,
    ) -> None:
        """`cache` is the folder in which the native code is kept, the user's by default, unless `native` is loaded."""
        self._isa, self._memory, self._devices = isa, memory, devices
        self._layout = Layout(isa.registers)
        self._words = EngineWords(self._layout)
        self._native = native or NativeCode(cache)
        self._run, self._flush, self._written = self._native.run, self._native.flush, self._native.written
        self._exports = self._native.exports
        self._device = _DEVICE(self._access)
        self._error: BaseException | None = None
        self._harts: dict[int, HartState] = {}
        # Anonymous mappings cost nothing until they are touched. A process that is forked off gets its own.
        pages, own = memory.size >> 12, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._code_pages = mmap.mmap(-1, max(pages * 8, mmap.PAGESIZE), flags=own)
        self._pool = mmap.mmap(-1, POOL_BYTES, flags=own)
        with suppress(AttributeError, OSError):  # not every host has large pages
            self._pool.madvise(mmap.MADV_HUGEPAGE)
        self._shared = (ctypes.c_uint64 * (len(SHARED) + TRAP_COUNTERS))()
        self._watched, self._watch_tables = NOTHING, watch_tables(NOTHING)
        self._coverage: tuple[tuple[CoverageMap, ...], ctypes.Array[ctypes.c_uint64]] = (), (ctypes.c_uint64 * 0)()
        self._set_shared("code_pages", _address(self._code_pages))
        self._set_shared("pages", pages)
        self._set_shared("ram", memory.host_address)
        self._set_shared("pool", _address(self._pool))
        self._set_shared("pool_size", POOL_BYTES // BLOCK_BYTES * BLOCK_BYTES)

    def _set_shared(self, name: str, value: int) -> None:
        self._shared[SHARED.index(name)] = value

    def _shared_value(self, name: str) -> int:
        return self._shared[SHARED.index(name)]

    def native_address(self, name: str) -> int:
        """Where an exported function is."""
        return self._native.address(name)

    def native_text(self, name: str) -> str:
        """An exported string."""
        return self._native.text(name)

    def _get(self, hart: HartState, name: str) -> int:
        return hart.words[self._words.offsets[name]]

    def _set(self, hart: HartState, name: str, value: int) -> None:
        hart.words[self._words.offsets[name]] = value

    def new_hart(self) -> HartState:
        number = len(self._harts)
        if number >= MAX_HARTS:
            raise ValueError(f"a machine has at most {MAX_HARTS} harts")
        hart = HartState(self._layout, self._words.count)
        self._harts[hart.address] = hart
        self._set(hart, "ram", self._memory.host_address)
        self._set(hart, "ram_base", self._memory.base)
        self._set(hart, "ram_size", self._memory.size)
        self._set(hart, "shared", ctypes.addressof(self._shared))
        device = ctypes.cast(self._device, ctypes.c_void_p).value
        assert device is not None
        self._set(hart, "device", device)
        for name, address in zip(EXPORTS, self._exports, strict=True):
            self._set(hart, name, address)
        self._set_shared(f"hart_{number}", hart.address)
        self._set_shared("harts", number + 1)
        self._tell_harts()
        return hart

    def watch(self, watched: Watched) -> None:
        tables = watch_tables(watched)
        for name, value in tables.words.items():
            self._set_shared(name, value)
        if watched.execute != self._watched.execute:
            self._set_shared("guards", self._shared_value("guards") + 1)
        self._watched, self._watch_tables = watched, tables
        self._tell_harts()

    def cover(self, maps: Sequence[CoverageMap]) -> None:
        table = [word for each in maps for word in each.words]
        self._coverage = tuple(maps), (ctypes.c_uint64 * len(table))(*table)
        self._set_shared("coverage", ctypes.addressof(self._coverage[1]))
        self._set_shared("coverages", len(maps))
        self._set_shared("guards", self._shared_value("guards") + 1)
        self._tell_harts()

    def _tell_harts(self) -> None:
        """What harts remember may be wrong after a change of what is watched or covered."""
        watching = int(self._watch_tables.kinds) | COVERING * bool(self._coverage[0])
        for hart in self._harts.values():
            self._set(hart, "watching", watching)
            self._flush(hart.address)

    def interception(self, hart: HartState) -> Interception:
        first = self._words.offsets["hooked"]
        number, address, size, value, physical, last = hart.words[first : self._words.offsets["hook_last"] + 1]
        kind = _KINDS[number]
        traps = kind is Kind.TRAP or kind is Kind.INTERRUPT
        cause = self._get(hart, "trap_cause") if traps else 0
        return Interception(kind, address, size, value, physical, last, cause)

    def run(self, hart: HartState, steps: int, passing: Kind = Kind.NONE) -> Exit:
        if passing:
            self._set(hart, "passing", int(passing))
        self._run(hart.address, self._memory.host_address, steps)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return Exit(self._get(hart, "exit"))

    def _access(self, hart_address: int, address: int, size: int, value: int, write: int) -> int:
        """What native code calls for everything outside RAM."""
        hart = self._harts[hart_address]
        result, ok = 0, 1
        try:
            if write:
                self._devices.write(address, size, value)
            else:
                result = self._devices.read(address, size)
        except BusError:
            ok = 0
        except BaseException as error:  # carried over the native frames; `run` raises it
            self._error = error
            hart["stop"] = 1
        self._set(hart, "device_ok", ok)
        return result

    def invalidate(self, address: int, count: int) -> None:
        if count:
            self._written(ctypes.addressof(self._shared), address - self._memory.base, count)

    def flush_translations(self, hart: HartState) -> None:
        self._flush(hart.address)

    @property
    def traps(self) -> dict[str, int]:
        """How many traps of each cause were taken since the engine was made."""
        first = SHARED.index("traps")
        counts = {
            name: int(self._shared[first + (cause >> 57 | cause & 63)]) for cause, name in self._isa.causes.items()
        }
        return {name: count for name, count in counts.items() if count}

    def statistics(self) -> dict[str, int]:
        """Pages of code that were predecoded and dropped, and how often all were because there was no more room."""
        return {name: int(self._shared[SHARED.index(name)]) for name in COUNTERS}


def _address(mapping: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))
