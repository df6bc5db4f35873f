"""Repeat a recorded run, at full speed, on any engine: what the guest printed, and whether it is the same to the bit.

FILE is from hypernest run --record. At the end the verdict is on standard error: identical, or the first instruction
that differs. The exit status is 0 or 1 accordingly; with --gdb, which may go backwards too, it is 0.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import count, input_file
from hypernest.cli.debugging import port, program_for_gdb, run_debugged
from hypernest.cli.run import ENGINES, STANDARD_OUTPUT
from hypernest.cli.streams import Streams

if TYPE_CHECKING:
    from hypernest.history.recording import Replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recording, how far, and on what."""
    add = parser.add_argument
    add("recording", metavar="FILE", type=input_file, help="the recording")
    add("--engine", choices=ENGINES, default="auto", help="how instructions run (auto)")
    add(
        "--look-in",
        metavar="PATH",
        type=Path,
        action="append",
        default=[],
        help="a file or a folder where a kernel, disk or snapshot may be that is not where it was; may be given again",
    )
    add("--partial", action="store_true", help="accept a recording that was cut off, and repeat what is whole of it")
    stop = parser.add_mutually_exclusive_group()
    stop.add_argument("--until", metavar="N", type=count, help="stop after N instructions of the recorded run")
    stop.add_argument("--gdb", metavar="PORT", type=port, help="wait for gdb at PORT of this computer; 0: any free one")


def execute(arguments: argparse.Namespace) -> int:
    """Repeats the run; 0 if it is identical."""
    from hypernest.history.recording import replay

    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        backend = Streams(nothing, STANDARD_OUTPUT)
        with replay(
            arguments.recording,
            engine=arguments.engine,
            files=arguments.look_in,
            console=backend,
            partial=arguments.partial,
        ) as again:
            if again.recording.broken is not None:
                print(f"hypernest: the recording ends too early: {again.recording.broken}", file=sys.stderr)
            status = _verify(again, arguments.until) if arguments.gdb is None else _debug(again, arguments.gdb)
    finally:
        os.close(nothing)
    backend.check()
    return status


def _verify(again: Replay, until: int | None) -> int:
    verdict = again.verify(until)
    print(f"hypernest: {verdict}", file=sys.stderr)
    return 0 if verdict.identical else 1


def _debug(again: Replay, number: int) -> int:
    origin = again.recording.origin
    numbers = {"kernel": origin.kernel, "firmware": origin.firmware}
    paths = {what: None if each is None else origin.files[each].path for what, each in numbers.items()}
    files = {what: None if path is None else Path(os.fsdecode(path)) for what, path in paths.items()}
    run_debugged(again.machine, number, program_for_gdb(argparse.Namespace(**files)))
    return 0
