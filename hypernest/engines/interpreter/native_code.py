"""The native code of the interpreter, loaded: it keeps nothing of its own, so any number of engines can share it."""

from __future__ import annotations

import ctypes
from pathlib import Path

from hypernest.cache import cache_folder
from hypernest.engines.interpreter.object_code import object_code, target_machine
from hypernest.engines.interpreter.words import EXPORTS

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
_FLUSH = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_WRITTEN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64)


class NativeCode:
    """What Python calls of the native code. `cache` is the folder in which it is kept, the user's by default."""

    def __init__(self, cache: Path | None = None) -> None:
        import llvmlite.binding as llvm

        self.folder = cache or cache_folder() / "native"
        machine = target_machine()
        # The manager that keeps all sections together: references between them reach 2 GiB, and RAM lies around.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=True)
        for code in object_code(self.folder):
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        self.run = _RUN(self.address("hypernest_run"))
        self.flush = _FLUSH(self.address("hypernest_flush_translations"))
        self.written = _WRITTEN(self.address("hypernest_written"))
        exports = self._engine.get_global_value_address("hypernest_exports")
        self.exports = tuple((ctypes.c_uint64 * len(EXPORTS)).from_address(exports))

    def address(self, name: str) -> int:
        """Where an exported function is."""
        return int(self._engine.get_function_address(name))

    def text(self, name: str) -> str:
        """An exported string."""
        return ctypes.string_at(self._engine.get_global_value_address(name)).decode()
