"""The engines by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hypernest.engines.engine import Devices, Engine
from hypernest.isa.isa import Isa
from hypernest.memory import GuestMemory

ENGINES = ("auto", "reference", "interpreter", "translator")
MEMORY_PATHS = ("soft", "host")

MakeEngine = Callable[[Isa, GuestMemory, Devices], Engine]


def engine_maker(name: str, memory_path: str = "soft") -> tuple[str, MakeEngine]:
    """The name of the engine that is meant by one of `ENGINES`, and how to make it; `auto` is the fastest.

    `memory_path`, one of `MEMORY_PATHS`, is how compiled regions find memory.
    """
    if name == "reference":
        from hypernest.engines.reference import ReferenceEngine

        return name, ReferenceEngine
    if name == "interpreter":
        from hypernest.engines.interpreter import InterpreterEngine

        return name, InterpreterEngine
    from hypernest.engines.translator import TranslatorEngine
    from hypernest.engines.translator.host_pages import MemoryPath

    return "translator", partial(TranslatorEngine, memory_path=MemoryPath(memory_path))
