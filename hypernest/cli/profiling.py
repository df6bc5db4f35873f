"""The options of `hypernest run` that profile a guest: what they take, and what they write at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import UsageError, count, input_file, output_file

if TYPE_CHECKING:
    from hypernest.debug.profile import Stacks
    from hypernest.debug.symbols import SymbolTable
    from hypernest.machine.machine import Machine


def _speedscope() -> Callable[[Stacks, str], str]:
    from hypernest.debug.profile_formats import speedscope

    return speedscope


def _folded() -> Callable[[Stacks, str], str]:
    from hypernest.debug.profile_formats import folded

    return folded


def _picture() -> Callable[[Stacks, str], str]:
    from hypernest.debug.profile_picture import picture

    return picture


_FORMATS = {".json": _speedscope, ".folded": _folded, ".txt": _folded, ".svg": _picture}
"""What writes a file, by the end of its name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--profile and what belongs to it."""
    add = parser.add_argument
    add(
        "--profile",
        metavar="FILE",
        type=profile_file,
        action="append",
        default=[],
        help="write where guest time went by symbol: for speedscope (.json), as folded stacks (.folded, .txt) or as a"
        " picture (.svg); may be given again",
    )
    add("--profile-period", metavar="N", type=count, help="look every N instructions where the guest is (99991)")
    add(
        "--symbols",
        metavar="FILE",
        type=input_file,
        action="append",
        default=[],
        help="more names for --profile: an ELF program or a System.map; may be given again",
    )


def profile_file(text: str) -> Path:
    """A file that can be written, with a name whose end says in which format."""
    path = Path(text)
    if path.suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise argparse.ArgumentTypeError(f"the format of {text!r} is not known: end its name in one of {known}")
    return output_file(text)


class Profiling:
    """A profile that was asked for: made before the machine, started with it, written when it ends.

    Raises `UsageError` for options that need --profile, `BadImage` for files of symbols that are none.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._files: Sequence[Path] = arguments.profile
        if not self._files:
            for option, value in (("--symbols", arguments.symbols), ("--profile-period", arguments.profile_period)):
                if value:
                    raise UsageError(f"{option} says more about a profile: give --profile FILE too.")
            return
        from hypernest.debug.profile import PERIOD, Profile
        from hypernest.debug.symbol_files import read_symbols

        self._profile = Profile(arguments.profile_period or PERIOD)
        self._tables: list[SymbolTable] = [read_symbols(path) for path in arguments.symbols]

    def start(self, machine: Machine) -> None:
        """Look at `machine` from here on. Raises `BadImage` if the symbols of what boots are damaged."""
        if not self._files:
            return
        from hypernest.debug.symbol_files import program_symbols

        self._tables += [program_symbols(program) for program in machine.programs]
        machine.sample_with(self._profile)

    def write(self, machine: Machine) -> None:
        """Write the files. `machine` must be open still: a Linux kernel is asked for its own symbols."""
        if not self._files:
            return
        from hypernest.debug.kallsyms import kernel_symbols
        from hypernest.debug.profile import Names
        from hypernest.debug.symbols import Symbols

        machine_mode = "firmware" if len(machine.programs) > 1 else "machine"
        names = Names(
            Symbols([*self._tables, kernel_symbols(machine.memory)]),
            modes={0: "user", 1: "kernel", 3: machine_mode},
            harts=len(machine.harts) > 1,
        )
        stacks = names.stacks(self._profile)
        title = f"{self._profile.instructions:,} guest instructions by symbol"
        for path in self._files:
            try:
                path.write_text(_FORMATS[path.suffix]()(stacks, title))
            except OSError as error:
                raise UsageError(f"--profile: cannot write {str(path)!r}: {error.strerror}.") from error
