"""The engines by name."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.engines.engine import Devices, Engine
from hypernest.isa.isa import Isa
from hypernest.memory import GuestMemory

ENGINES = ("auto", "reference", "interpreter", "translator")

MakeEngine = Callable[[Isa, GuestMemory, Devices], Engine]


def engine_maker(name: str) -> tuple[str, MakeEngine]:
    """The name of the engine that is meant by one of `ENGINES`, and how to make it; `auto` is the fastest."""
    if name == "reference":
        from hypernest.engines.reference import ReferenceEngine

        return name, ReferenceEngine
    if name == "interpreter":
        from hypernest.engines.interpreter import InterpreterEngine

        return name, InterpreterEngine
    from hypernest.engines.translator import TranslatorEngine

    return "translator", TranslatorEngine
