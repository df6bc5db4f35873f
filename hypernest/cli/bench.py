"""Measure speed and memory side by side with QEMU, and print tables of ratios and costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hypernest.cli.arguments import count, input_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the suite."""
    parser.add_argument("--only", metavar="NAME", action="append", help="only this workload; may be given again")
    parser.add_argument(
        "--peer", metavar="NAME", action="append", help="only this peer: qemu, hypernest, native; may be given again"
    )
    parser.add_argument(
        "--qemu",
        metavar="FILE",
        action="append",
        type=input_file,
        help="a qemu-system-riscv64 besides those in PATH, the fastest counts; may be given again",
    )
    parser.add_argument("--repeat", metavar="N", type=count, default=3, help="runs of each workload; the median counts")
    parser.add_argument("--engine", metavar="NAME", default="auto", help="the engine that hypernest uses")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        action="append",
        help="an option for `hypernest run`, without its dashes or as --option=--NAME=VALUE; may be given again",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, once: it runs, but measures little")
    parser.add_argument(
        "--objects",
        action="store_true",
        help="instead, what it costs to snapshot, fork, keep, rewind, record and hook a machine",
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=count, default=300, help="longest time for one run")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured to FILE")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the speeds next to QEMU's as a picture (SVG)")


def execute(arguments: argparse.Namespace) -> int:
    """Prints the tables when all is done."""
    options = vars(arguments)
    if options.pop("objects"):
        from hypernest.benchmark.objects import print_table

        print_table(arguments.quick)
        return 0
    from hypernest.benchmark.command import bench

    bench(**options)
    return 0
