"""The engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypernest.engines.engine import Devices, Engine
from hypernest.isa.isa import NativeIsa
from hypernest.memory import GuestMemory

if TYPE_CHECKING:
    from hypernest.engines.interpreter.native_code import NativeCode
    from hypernest.engines.translator.library import RegionLibrary

ENGINES = ("auto", "reference", "interpreter", "translator")
MEMORY_PATHS = ("soft", "host")


class EngineMaker:
    """Makes engines of the kind called `name`, one of `ENGINES`; `auto` is the fastest.

    `memory_path`, one of `MEMORY_PATHS`, is how compiled regions find memory. All engines from one maker share native
    code and regions, which is what makes forking a machine cheap.
    """

    def __init__(self, name: str, memory_path: str = "soft") -> None:
        self.name = "translator" if name == "auto" else name
        self.memory_path = memory_path
        self._native: NativeCode | None = None
        self._library: RegionLibrary | None = None

    def __call__(self, isa: NativeIsa, memory: GuestMemory, devices: Devices) -> Engine:
        if self.name == "reference":
            from hypernest.engines.reference import ReferenceEngine

            return ReferenceEngine(isa, memory, devices)
        from hypernest.engines.interpreter import InterpreterEngine
        from hypernest.engines.interpreter.native_code import NativeCode

        if self._native is None:
            self._native = NativeCode()
        if self.name == "interpreter":
            return InterpreterEngine(isa, memory, devices, native=self._native)
        from hypernest.engines.translator import TranslatorEngine
        from hypernest.engines.translator.host_pages import MemoryPath
        from hypernest.engines.translator.library import RegionLibrary

        if self._library is None:
            self._library = RegionLibrary(self._native.folder)
        path = MemoryPath(self.memory_path)
        return TranslatorEngine(isa, memory, devices, memory_path=path, native=self._native, library=self._library)
