"""Debug a program: start a machine with it, and gdb connected to that.

FILE starts in M-mode if it is linked to the beginning of RAM (0x80000000), else the built-in SBI starts it in S-mode as
it starts a kernel; the name of an image will do, too. Other options are those of hypernest run.

gdb has the terminal; what the guest prints appears between its lines, and `monitor console TEXT` types a line. For a
guest that needs a terminal of its own use hypernest run --gdb, and connect gdb from another one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import UsageError, input_file
from hypernest.cli.debugging import program_for_gdb, serve
from hypernest.cli.run import STANDARD_OUTPUT, add_guest_arguments, check_configuration, find_image, make_machine
from hypernest.cli.streams import Streams
from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from hypernest.machine.machine import Machine

_NAMES = ("gdb-multiarch", "riscv64-unknown-elf-gdb", "riscv64-linux-gnu-gdb", "riscv64-elf-gdb", "gdb")
_QUESTION = ("-nx", "-batch", "-ex", "set architecture riscv:rv64")
_PATIENCE_SECONDS = 30
_SIGNALLED = 128

_SETTINGS = """\
set remotetimeout 60
target remote :{port}
define hookpost-monitor
  maintenance flush register-cache
  maintenance flush dcache
end
"""
"""What gdb executes first. A monitor command may have gone to another time, so what gdb knows is no longer so."""


class NoGdb(HypernestError):
    """There is no gdb on this computer that knows RISC-V."""


class _GdbEnded(Exception):
    """gdb has ended, so nobody needs the machine any more."""


class _SpokenTo(Streams):
    """The guest's console for a person who is at gdb: input may always come, by `monitor console`."""

    def wait(self, seconds: float | None) -> bool:
        """See `ConsoleBackend`."""
        super().wait(seconds)
        return True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is debugged, and how gdb is started."""
    add = parser.add_argument
    add("image", metavar="FILE", nargs="?", help="the program, an ELF file with symbols as a rule, or an image")
    add_guest_arguments(parser)
    add(
        "--engine",
        choices=("auto", "reference", "interpreter", "translator"),
        default="auto",
        help="how instructions run (auto)",
    )
    add("--with", dest="gdb", metavar="PROGRAM", help="the gdb to start")
    add("--ex", metavar="COMMAND", action="append", default=[], help="a command for gdb; may be given again")
    add("--batch", action="store_true", help="end when the commands of --ex are done")


def execute(arguments: argparse.Namespace) -> int:
    """Runs gdb to its end; its exit status."""
    gdb = find_gdb(arguments.gdb)
    check_configuration(arguments)
    _place_program(arguments)
    image = find_image(arguments)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        backend = (Streams if arguments.batch else _SpokenTo)(nothing, STANDARD_OUTPUT)
        with make_machine(arguments, image, arguments.engine, backend, None) as machine:
            return _debug(machine, [gdb, *_options(arguments)], program_for_gdb(arguments))
    finally:
        os.close(nothing)


def find_gdb(wanted: str | None = None) -> str:
    """The path of a gdb that knows RISC-V. Raises `NoGdb`."""
    for name in _NAMES if wanted is None else (wanted,):
        path = shutil.which(name)
        if path is not None and _knows_riscv(path):
            return path
    if wanted is not None:
        raise NoGdb(f"{wanted!r} is no gdb that knows RISC-V: install gdb-multiarch, or name another.")
    raise NoGdb("there is no gdb that knows RISC-V: install gdb-multiarch (apt-get install gdb-multiarch).")


def _knows_riscv(path: str) -> bool:
    try:
        done = subprocess.run(
            [path, *_QUESTION], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and b"riscv:rv64" in done.stdout


def _place_program(arguments: argparse.Namespace) -> None:
    """If FILE is a file, have it boot as what it is linked to be."""
    from hypernest.images import names

    if arguments.image is None or (arguments.image in names() and not Path(arguments.image).exists()):
        return
    from hypernest.machine.board import RAM
    from hypernest.machine.boot import KERNEL_OFFSET
    from hypernest.machine.boot_files import read_program

    try:
        path = input_file(arguments.image)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"{error}.") from None
    kernel_address = RAM + KERNEL_OFFSET
    program = read_program(path, "program", RAM, kernel_address)
    what = "kernel" if program.segments[0].address >= kernel_address else "firmware"
    if getattr(arguments, what) is not None:
        raise UsageError(f"{arguments.image} is linked as a {what}: leave out --{what}.")
    arguments.image = None
    setattr(arguments, what, path)


def _options(arguments: argparse.Namespace) -> list[str]:
    return ["-quiet", *(["-batch"] if arguments.batch else [])] + [
        word for command in arguments.ex for word in ("-ex", command)
    ]


def _debug(machine: Machine, gdb: Sequence[str], program: Path | None) -> int:
    """Serve `machine` to a gdb of our own. Ctrl-C is gdb's: it stops the guest."""
    process: subprocess.Popen[bytes] | None = None

    def start(port: int) -> None:
        nonlocal process
        settings.write(_SETTINGS.format(port=port))
        settings.flush()
        name, *options = gdb
        process = subprocess.Popen([name, "-x", settings.name, *options, *([program] if program else [])])

    def check() -> None:
        if process is not None and process.poll() is not None:
            raise _GdbEnded

    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as settings:
        try:
            serve(machine, 0, start, check)
        except _GdbEnded:
            pass
        finally:
            status = process.wait() if process is not None else 1
            signal.signal(signal.SIGINT, before)
    return status if status >= 0 else _SIGNALLED - status
