"""Boot a guest: Debian unless another image, a kernel or a firmware is named.

On a terminal the guest gets every key; Ctrl-A x quits, Ctrl-A h helps. Elsewhere its console is standard input and
output.
The exit status is 0 after a clean power-off, the guest's own after a failure or with --exec, 124 at the limit.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import UsageError, count, did_you_mean, disk, input_file
from hypernest.cli.debugging import port, program_for_gdb, run_debugged
from hypernest.cli.profiling import Profiling
from hypernest.cli.profiling import add_arguments as add_profile_arguments
from hypernest.cli.streams import Streams
from hypernest.cli.terminal import Quit, Terminal

if TYPE_CHECKING:
    from hypernest.cli.snapshot import Origin
    from hypernest.images import Image
    from hypernest.machine.backend import ConsoleBackend
    from hypernest.machine.machine import Machine
    from hypernest.machine.outcome import StopReason

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2
TO_STANDARD_ERROR = Path("-")
LIMIT_STATUS = 124
ENGINES = ("auto", "reference", "interpreter", "translator")
_MEMORY, _HARTS = "512M", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What boots, on what, and for how long."""
    add = parser.add_argument
    add("image", metavar="IMAGE", nargs="?", help="an image (see hypernest images); debian if nothing else is named")
    add_guest_arguments(parser)
    add(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="how instructions run (auto)",
    )
    add(
        "--memory-path",
        choices=("soft", "host"),
        default="soft",
        help="how compiled code finds memory: a table in software or pages of the host (soft)",
    )
    add("--snapshot", metavar="NAME", help="go on with a snapshot instead of booting (see hypernest snapshot)")
    add("--snapshot-file", metavar="FILE", type=Path, help="the file with the snapshot, instead of the user's")
    add("--record", metavar="FILE", type=Path, help="write what comes from outside to FILE, for hypernest replay")
    add(
        "--clock",
        choices=("virtual", "wall"),
        help="how idle time passes: it is skipped, or as outside (wall on a terminal, else virtual)",
    )
    stop = parser.add_mutually_exclusive_group()
    stop.add_argument("--limit", metavar="N", type=count, help="stop after N guest instructions with exit status 124")
    stop.add_argument("--gdb", metavar="PORT", type=port, help="wait for gdb at PORT of this computer; 0: any free one")
    add(
        "--stats",
        metavar="FILE",
        type=Path,
        nargs="?",
        const=TO_STANDARD_ERROR,
        help="at the end, print instructions, time, traps, exits and memory, or write them to FILE as JSON",
    )
    add_profile_arguments(parser)


def add_guest_arguments(parser: argparse.ArgumentParser) -> None:
    """What else boots and on what, for every command that boots a guest."""
    add = parser.add_argument
    add("--kernel", metavar="FILE", type=input_file, help="a Linux Image, plain or gzip, an ELF file or a flat binary")
    add(
        "--initrd",
        metavar="FILE",
        type=input_file,
        action="append",
        default=[],
        help="an initial RAM file system, laid over the image's; may be given again",
    )
    add("--append", metavar="TEXT", default="", help="put TEXT behind the kernel command line")
    add("--firmware", metavar="FILE", type=input_file, help="start FILE in M-mode instead of the built-in SBI")
    add(
        "--disk",
        metavar="FILE[,MODE]",
        type=disk,
        action="append",
        default=[],
        help="attach a raw disk; MODE is readonly, or overlay: what is written is gone in the end; may be given again",
    )
    add("--memory", metavar="SIZE", default=_MEMORY, help=f"size of memory ({_MEMORY})")
    add("--harts", metavar="N", type=count, default=_HARTS, help=f"number of harts, 1 to 8 ({_HARTS})")
    add("--exec", metavar="COMMAND", help="run COMMAND in the guest; pass its output and exit status through")


def execute(arguments: argparse.Namespace) -> int:
    """Runs the guest to its end."""
    check_configuration(arguments)
    profiling = Profiling(arguments)
    origin = find_origin(arguments)
    image = None if origin else find_image(arguments)
    terminal = None
    if os.isatty(STANDARD_INPUT) and os.isatty(STANDARD_OUTPUT):
        terminal = Terminal(STANDARD_INPUT, STANDARD_OUTPUT)
    backend = terminal or streams(arguments, image, origin)
    if origin is None:
        machine = make_machine(arguments, image, arguments.engine, backend, terminal, arguments.memory_path)
    else:
        clock = arguments.clock or ("wall" if terminal else "virtual")
        machine = origin.snapshot.fork(engine=arguments.engine, console=backend, clock=clock, record=arguments.record)
    if terminal:
        terminal.resized = machine.console.resize
        if origin is not None:
            terminal.write(origin.prompt.encode())
    with machine:
        profiling.start(machine)
        try:
            with backend.taken():
                reason = run_machine(machine, arguments)
        except Quit:
            return 0
        finally:
            try:
                report(machine, arguments.stats)
            finally:
                profiling.write(machine)
            if machine.problem:
                print(f"hypernest: some guest code was not compiled: {machine.problem}", file=sys.stderr)
    backend.check()
    return exit_status(reason, quiet=arguments.exec is not None)


def run_machine(machine: Machine, arguments: argparse.Namespace) -> StopReason:
    """By itself or as gdb says. Raises `Quit` if gdb switched it off."""
    if arguments.gdb is None:
        return machine.run(arguments.limit)
    reason = run_debugged(machine, arguments.gdb, program_for_gdb(arguments))
    if reason is None:
        raise Quit
    return reason


def check_configuration(arguments: argparse.Namespace) -> None:
    """Raises `BadConfiguration` for numbers that cannot be, before an image is fetched for nothing."""
    from hypernest.machine.configuration import memory_size, number_of_harts

    memory_size(arguments.memory)
    number_of_harts(arguments.harts)


def find_origin(arguments: argparse.Namespace) -> Origin | None:
    """The snapshot to go on with, None if something boots."""
    if arguments.snapshot is None:
        if arguments.snapshot_file is not None:
            raise UsageError("--snapshot-file says where a snapshot is: give --snapshot NAME too.")
        return None
    refuse_beside_snapshot(arguments)
    from hypernest.cli.snapshot import origin

    return origin(arguments.snapshot, arguments.snapshot_file)


def refuse_beside_snapshot(arguments: argparse.Namespace) -> None:
    """Raises `UsageError` for what a snapshot has already."""
    given = {
        f"the image {arguments.image}": arguments.image is not None,
        "--kernel": arguments.kernel is not None,
        "--initrd": bool(arguments.initrd),
        "--append": bool(arguments.append),
        "--firmware": arguments.firmware is not None,
        "--disk": bool(arguments.disk),
        "--memory": arguments.memory != _MEMORY,
        "--harts": arguments.harts != _HARTS,
        "--exec": arguments.exec is not None,
        "--memory-path host": getattr(arguments, "memory_path", "soft") != "soft",
    }
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} cannot be given beside --snapshot: the guest runs already.")


def make_machine(
    arguments: argparse.Namespace,
    image: Image | None,
    engine: str,
    backend: ConsoleBackend | None,
    terminal: Terminal | None,
    memory_path: str = "soft",
    *,
    once: bool = False,
) -> Machine:
    """The machine that the arguments of `add_guest_arguments` describe.

    With --exec, or `once`, it ends instead of booting again, also when its kernel dies.
    """
    from hypernest.machine.machine import Machine

    once = once or arguments.exec is not None
    return Machine(
        image,
        kernel=arguments.kernel,
        initrd=[*arguments.initrd, *command_overlay(arguments, image, terminal)],
        append=" ".join([*describe(arguments, terminal if image else None), *on_panic(once), arguments.append]),
        firmware=arguments.firmware,
        disks=arguments.disk,
        memory=arguments.memory,
        harts=arguments.harts,
        engine=engine,
        memory_path=memory_path,
        console=backend,
        clock=getattr(arguments, "clock", None) or ("wall" if terminal else "virtual"),
        reboot=not once,
        record=getattr(arguments, "record", None),
    )


def streams(arguments: argparse.Namespace, image: Image | None, origin: Origin | None = None) -> Streams:
    """The console where there is no terminal. Our own guests power off at the end of the input."""
    if arguments.exec is None:
        ours = origin.ours if origin else image is not None and arguments.kernel is None
        return Streams(STANDARD_INPUT, STANDARD_OUTPUT, types_end=ours)
    from hypernest.cli.command_streams import CommandStreams
    from hypernest.images import READY

    return CommandStreams(STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR, READY)


def find_image(arguments: argparse.Namespace) -> Image | None:
    """The image to boot, fetched with a progress bar if it is not here; None if files say what boots."""
    from hypernest.images import find, names, progress_bar, pull
    from hypernest.images.errors import ImageMissing

    name = arguments.image
    stats = getattr(arguments, "stats", None)
    if name is None and stats is not None and stats.name in names():
        raise UsageError(f"--stats {stats}: to boot that image name it first, else give another file name.")
    if name is None:
        if arguments.kernel or arguments.firmware:
            return None
        name = "debian"
    try:
        return find(name)
    except ImageMissing:
        if name not in names():
            raise UsageError(
                f"there is no image {name!r}{did_you_mean(name, names())}, see hypernest images."
            ) from None
        with progress_bar() as progress:
            return pull(name, progress=progress)


def command_overlay(arguments: argparse.Namespace, image: Image | None, terminal: Terminal | None) -> list[bytes]:
    """What --exec adds to the initial RAM file system."""
    if arguments.exec is None:
        return []
    if image is None or not image.initrds:
        raise UsageError("--exec needs an image with a shell, such as debian: name it, or leave out --kernel.")
    from hypernest.images import exec_overlay

    return [exec_overlay(arguments.exec, terminal=terminal is not None)]


def describe(arguments: argparse.Namespace, terminal: Terminal | None) -> list[str]:
    """Words of the kernel command line by which our init learns what terminal it is on."""
    if terminal is None:
        return []
    columns, rows = terminal.size()
    words = [f"hypernest.size={columns}x{rows}"]
    if arguments.exec is None:
        # Unlike a serial port, the virtio console tells the guest when the window's size changes.
        words.append("hypernest.console=hvc0")
    if re.fullmatch(r"[A-Za-z0-9.+-]{1,40}", kind := os.environ.get("TERM", "")):
        words.append(f"hypernest.term={kind}")
    return words


def on_panic(ends: bool) -> list[str]:
    """Words by which a machine whose kernel dies ends too: Linux resets, and the machine stops at that."""
    return ["panic=-1"] if ends else []


def exit_status(reason: StopReason, *, quiet: bool) -> int:
    """The exit status for the end of a run; says on standard error what was no power-off, unless the guest has."""
    from hypernest.machine.outcome import StopKind

    match reason.kind:
        case StopKind.POWER_OFF:
            return 0
        case StopKind.FAILURE if quiet:
            return clamp(reason.code)
    print(f"hypernest: {reason}", file=sys.stderr)
    return {StopKind.LIMIT: LIMIT_STATUS, StopKind.FAILURE: clamp(reason.code)}.get(reason.kind, 1)


def clamp(code: int) -> int:
    """The exit status nearest to a guest's failure code; a failure is never 0."""
    return min(max(code, 1), 255)


def report(machine: Machine, where: Path | None) -> None:
    """What --stats asks for."""
    if where is None:
        return
    from hypernest.cli.stats import as_json, as_table

    if where == TO_STANDARD_ERROR:
        print(as_table(machine.stats), file=sys.stderr)
        return
    try:
        where.write_text(as_json(machine.stats))
    except OSError as error:
        raise UsageError(f"--stats: cannot write {str(where)!r}: {error.strerror}.") from error
