"""Reads command lines: argparse with errors of one line, and the kinds of values that options take.

argparse, because a guest's first instruction waits for the parser: it loads five times faster than its friendlier
successors, and knows options whose value may be left out.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from hypernest.errors import HypernestError

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class UsageError(HypernestError):
    """A command line that cannot be understood."""

    exit_status = 2


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`s, and name the option that was probably meant."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"hypernest {command}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._see_help = f"see {self.prog} --help."

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Raises `UsageError` for anything that does not belong, `SystemExit` after --help."""
        parsed, unknown = self.parse_known_args(arguments)
        if not unknown:
            return parsed
        option = unknown[0].partition("=")[0]
        if not option.startswith("-"):
            self.error(f"{option!r} is one argument too many")
        raise UsageError(
            f"unknown option {option}{did_you_mean(option, self._option_string_actions)}, {self._see_help}"
        )

    def error(self, message: str) -> NoReturn:
        """Called by argparse with what is wrong."""
        message = re.sub(r"^argument ([^:]+): ", lambda match: f"{match[1].split('/')[-1]}: ", message)
        raise UsageError(f"{message}, {self._see_help}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A part of a sentence that proposes the word nearest to `word`, empty if none is near."""
    nearest = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def memory_size(text: str) -> int:
    """Bytes, from a number and a unit: 512M, 2G, 1.5GiB."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([KMGT])(?:I?B)?", text.upper())
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it like 512M or 2G")
    return int(float(match[1]) * _UNITS[match[2]])


def count(text: str) -> int:
    """A whole number above zero; digits may be grouped as in 1_000_000."""
    if re.fullmatch(r"\d+(_\d+)*", text) is None or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def input_file(text: str) -> Path:
    """A file that is there and may be read."""
    path = Path(text)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: {error.strerror}") from None
    except ValueError:  # a NUL byte
        raise argparse.ArgumentTypeError(f"{text!r} is not a file name") from None
