"""The interpreter: native code generated from the description, threaded through predecoded slots."""

from hypernest.engines.interpreter.engine import InterpreterEngine

__all__ = ["InterpreterEngine"]
