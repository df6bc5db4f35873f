"""Finds the command that was asked for, and turns whatever ends it into a line and an exit status."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from hypernest.cli.arguments import HelpShown, Parser, UsageError, did_you_mean
from hypernest.errors import HypernestError

COMMANDS = {
    "run": "boot a guest, Debian unless another is named",
    "debug": "start a program with gdb connected to its machine",
    "pull": "fetch a guest image",
    "images": "list the guest images that are here",
    "inspect": "show a piece of guest code, its LLVM IR and its host assembly side by side",
    "classify": "say which instructions stop an ISA from being virtualized, and prove it",
    "snapshot": "keep a guest on disk, go on with it, list what is kept",
    "replay": "repeat a recorded run, and tell whether it is the same to the bit",
    "cache": "show what is kept on disk, or clear it",
    "bench": "measure speed and memory side by side with QEMU",
    "version": "print the versions of hypernest and of what it stands on",
}
"""The commands and what they do. Each is a module of this package, imported only when it is asked for, that has
`add_arguments(parser)` and `execute(arguments) -> exit status`."""

_ALIASES = {"-V": "version", "--version": "version"}

INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""What a shell reports for a program ended by SIGINT and by SIGPIPE."""
OUTPUT_LOST = 1


def run(arguments: Sequence[str]) -> int:
    """Execute one command line (without the program's name); returns the exit status.

    Errors a user can cause become one line on standard error. Anything else is a mistake of hypernest's own and
    leaves a traceback.
    """
    _open_streams()
    try:
        try:
            return _dispatch(list(arguments))
        finally:
            sys.stdout.flush()
    except HelpShown:
        return 0
    except HypernestError as error:
        print(f"hypernest: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return OUTPUT_CLOSED
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _discard_output()
        print(f"hypernest: the output cannot be written: {error.strerror}.", file=sys.stderr)
        return OUTPUT_LOST


def _open_streams() -> None:
    """What the caller has closed goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _discard_output() -> None:
    """Python flushes standard output once more at exit, which must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    name = _ALIASES.get(arguments[0], arguments[0])
    if name not in COMMANDS:
        kind = "option" if name.startswith("-") else "command"
        raise UsageError(f"unknown {kind} {name}{did_you_mean(name, [*COMMANDS, *_ALIASES])}, see hypernest --help.")
    command = import_module(f"hypernest.cli.{name}")
    parser = Parser(name, command.__doc__ or "")
    command.add_arguments(parser)
    status: int = command.execute(parser.parse(arguments[1:]))
    return status


def help_text() -> str:
    """What `hypernest` alone prints."""
    commands = "\n".join(f"  {name:<8} {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: hypernest COMMAND [OPTION]...\n\n"
        "A RISC-V virtual machine that boots unmodified Linux.\n\n"
        f"commands:\n{commands}\n\n"
        "hypernest COMMAND --help tells more about a command."
    )
