"""The interpreter as an engine: loads the native code and gives it harts, memory and devices."""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypernest.cache import cache_folder
from hypernest.devices.device import BusError
from hypernest.engines.engine import Devices, Exit, Untranslated
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter.object_code import object_code, target_machine
from hypernest.engines.interpreter.words import BLOCK_BYTES, COUNTERS, EXPORTS, SHARED, TRAP_COUNTERS, EngineWords
from hypernest.isa.isa import Isa
from hypernest.isa.layout import Layout
from hypernest.memory import GuestMemory

POOL_BYTES = 64 << 20  # room for predecoded code; when it is full, everything is decoded anew
MAX_HARTS = 8

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_FLUSH = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_WRITTEN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)
_DEVICE = ctypes.CFUNCTYPE(
    ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64
)


class InterpreterEngine(Untranslated):
    """Runs harts in generated native code. See `engine.Engine` for the contract; ValueError beyond eight harts."""

    def __init__(self, isa: Isa, memory: GuestMemory, devices: Devices, cache: Path | None = None) -> None:
        """`cache` is the folder in which the native code is kept; the user's cache folder by default."""
        self._isa, self._memory, self._devices = isa, memory, devices
        self._layout = Layout(isa.registers)
        self._words = EngineWords(self._layout)
        self._native = _load(object_code(cache or cache_folder() / "native"))
        self._run = _RUN(self._native.get_function_address("hypernest_run"))
        self._flush = _FLUSH(self._native.get_function_address("hypernest_flush_translations"))
        self._written = _WRITTEN(self._native.get_function_address("hypernest_written"))
        exports = self._native.get_global_value_address("hypernest_exports")
        self._exports = (ctypes.c_uint64 * len(EXPORTS)).from_address(exports)
        self._device = _DEVICE(self._access)
        self._error: BaseException | None = None
        self._harts: dict[int, HartState] = {}
        # Anonymous mappings cost nothing until they are touched.
        pages = memory.size >> 12
        self._code_pages = mmap.mmap(-1, max(pages * 8, mmap.PAGESIZE))
        self._pool = mmap.mmap(-1, POOL_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(AttributeError, OSError):  # not every host has large pages
            self._pool.madvise(mmap.MADV_HUGEPAGE)
        self._shared = (ctypes.c_uint64 * (len(SHARED) + TRAP_COUNTERS))()
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
        return int(self._native.get_function_address(name))

    def native_text(self, name: str) -> str:
        """An exported string."""
        return ctypes.string_at(self._native.get_global_value_address(name)).decode()

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
        self._flush(hart.address)
        return hart

    def run(self, hart: HartState, steps: int) -> Exit:
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


def _load(objects: list[bytes]) -> Any:
    """An LLVM execution engine with the objects loaded and ready to call."""
    import llvmlite.binding as llvm

    machine = target_machine()
    # The manager that keeps all sections together: references between them reach 2 GiB, and guest memory lies around.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine
