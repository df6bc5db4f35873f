"""The translator: hot guest code compiled into native regions, beside the interpreter."""

from hypernest.engines.translator.engine import TranslatorEngine

__all__ = ["TranslatorEngine"]
