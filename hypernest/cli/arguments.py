"""Reads command lines: argparse with errors of one line, and the kinds of values that options take.

argparse, because a guest's first instruction waits for the parser: it loads five times faster than its friendlier
successors, and knows options whose value may be left out.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from hypernest.disks.disk import DiskMode
from hypernest.errors import HypernestError


class UsageError(HypernestError):
    """A command line that cannot be understood."""

    exit_status = 2


class HelpShown(Exception):
    """The command line asked for help and got it."""


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
        """Raises `UsageError` for anything that does not belong, `HelpShown` after --help."""
        parsed, unknown = self.parse_known_args(arguments)
        if not unknown:
            return parsed
        option = unknown[0].partition("=")[0]
        if not option.startswith("-"):
            self.error(f"{option!r} is one argument too many")
        raise UsageError(
            f"unknown option {option}{did_you_mean(option, self._option_string_actions)}, {self._see_help}"
        )

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Called by argparse when it has shown its help."""
        raise HelpShown

    def error(self, message: str) -> NoReturn:
        """Called by argparse with what is wrong."""
        message = re.sub(r"^argument ([^:]+): ", lambda match: f"{match[1].split('/')[-1]}: ", message)
        raise UsageError(f"{message}, {self._see_help}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A part of a sentence that proposes the word nearest to `word`, empty if none is near."""
    nearest = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {nearest[0]}?)" if nearest else ""


def count(text: str) -> int:
    """A whole number above zero; digits may be grouped as in 1_000_000."""
    if re.fullmatch(r"[0-9]{1,19}(_[0-9]{1,19})*", text) is None or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


class Disk(NamedTuple):
    """A disk to attach, and what may be done with it."""

    path: Path
    mode: DiskMode


_DISK_MODES = (DiskMode.READONLY, DiskMode.OVERLAY)


def disk(text: str) -> Disk:
    """FILE, FILE,readonly or FILE,overlay; whoever attaches it finds out whether it is a disk."""
    path, mode = text, DiskMode.WRITABLE
    for other in _DISK_MODES:
        if text.endswith(f",{other.value}"):
            path, mode = text.removesuffix(f",{other.value}"), other
    if not path:
        raise argparse.ArgumentTypeError("the name of a disk file is missing")
    _, comma, word = path.rpartition(",")
    if mode is DiskMode.WRITABLE and comma and word.isalpha() and not os.path.lexists(path):
        modes = " and ".join(each.value for each in _DISK_MODES)
        raise argparse.ArgumentTypeError(f"there is neither a file {path!r} nor a mode {word!r}: modes are {modes}")
    return Disk(Path(path), mode)


def input_file(text: str) -> Path:
    """A file that is there and may be read; it is not opened, since opening a pipe may wait for its other end."""
    path = Path(text)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}: {error.strerror}") from None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a file name") from None
    if is_folder or not os.access(path, os.R_OK):
        raise argparse.ArgumentTypeError(
            f"cannot read {text!r}: {'Is a directory' if is_folder else 'Permission denied'}"
        )
    return path


def output_file(text: str) -> Path:
    """A file that can be written, as far as can be told before it is."""
    path = Path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"cannot write {text!r}: Is a directory")
        if not path.parent.is_dir():
            raise argparse.ArgumentTypeError(f"cannot write {text!r}: there is no folder {str(path.parent)!r}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise argparse.ArgumentTypeError(f"cannot write {text!r}: Permission denied")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None
    return path
