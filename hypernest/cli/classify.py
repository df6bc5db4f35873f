"""Say which instructions stop an ISA from being virtualized, and prove it (Popek and Goldberg 1974).

  hypernest classify [ISA]                          every instruction by class, and what follows by the theorems
  hypernest classify [ISA] --explain INSTRUCTION    one instruction: definitions, proofs, states side by side
  hypernest classify --list                         the ISAs that are there, and their settings

ISA is a name or a Python file that describes your own (riscv64). A setting says which mode's software is run in which
mode, under which control bits: the first is shown in full, the others in a line each.

The exit status is 0 whatever the verdict is, 1 for an ISA or a file that cannot be used, 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import difflib
import io
import math
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.cli.arguments import UsageError, count, did_you_mean, output_file

if TYPE_CHECKING:
    from rich.console import Console

    from hypernest.analysis.model import MachineModel
    from hypernest.analysis.results import Classification

DEFAULT_ISA = "riscv64"
ALL = "all"
_SECONDS = 20.0
_WIDTH = 120  # of tables that no terminal shows
_MOST_PROCESSES = 2
_CONSTRUCTING = "running monitors"


def seconds(text: str) -> float:
    """A time above zero."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to classify, and what to say of it."""
    add = parser.add_argument
    add("isa", metavar="ISA", nargs="?", default=DEFAULT_ISA, help=f"a built-in ISA or a Python file ({DEFAULT_ISA})")
    add("--setting", metavar="NAME", help="only this setting, or all of them in full")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--explain", metavar="INSTRUCTION", help="all that is known of one instruction; or its variants")
    what.add_argument("--list", action="store_true", help="show the ISAs and their settings")
    add("--json", action="store_true", help="print one JSON object")
    add("--html", metavar="FILE", type=output_file, help="write a page for a browser too")
    add("--markdown", metavar="FILE", type=output_file, help="write a page for the documentation too")
    add("--jobs", metavar="N", type=count, default=None, help="processes that work at once (2, or 1 on one CPU)")
    add(
        "--time-limit",
        metavar="SECONDS",
        type=seconds,
        default=_SECONDS,
        help=f"for each question to the solver; what takes longer is reported as unknown ({_SECONDS:g})",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Classifies, prints, and writes files. Raises `HypernestError` for what cannot be used."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a dash is no reason to fail
    if arguments.list:
        _list()
        return 0
    if arguments.explain is not None and (arguments.html or arguments.markdown):
        raise UsageError("--explain is about one instruction: --html and --markdown are pages about all, leave it out.")
    _check_solver()
    from hypernest.analysis.isas import load_model

    model = load_model(arguments.isa)
    settings = _settings(arguments.setting, model)
    if arguments.explain is not None:
        _explain(arguments, model, settings)
    else:
        _report(arguments, model, settings)
    return 0


def _check_solver() -> None:
    """Raises `SolverMissing` now, instead of in a process that has begun to work."""
    from hypernest.lowering.solver import Solver

    Solver(frozenset())


def _settings(wanted: str | None, model: MachineModel) -> list[str]:
    """The names of the settings to be shown in full."""
    names = [each.name for each in model.settings]
    if wanted is None:
        return names[:1]
    if wanted == ALL and ALL not in names:
        return names
    if wanted not in names:
        raise UsageError(
            f"{model.isa.name} has no setting {wanted!r}{did_you_mean(wanted, names)}, it has {', '.join(names)}."
        )
    return [wanted]


@dataclass(frozen=True)
class _Classifier:
    """`classify` with what the command line says of it."""

    arguments: argparse.Namespace
    model: MachineModel

    def classify(
        self, setting: str, instructions: Collection[str] | None = None, *, construct: bool = True
    ) -> Classification:
        """The classification of a setting, with a bar on the terminal."""
        from hypernest.analysis.classification import Limits, classify

        jobs = self.arguments.jobs or min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
        options = {} if construct else {"programs": 0}
        last = _CONSTRUCTING if construct and instructions is None else ""
        with progress_bar(f"{self.model.isa.name}, {setting}", last) as progress:
            return classify(
                self.model,
                setting,
                source=self.arguments.isa,
                instructions=instructions,
                limits=Limits(time_limit=self.arguments.time_limit),
                jobs=jobs,
                progress=progress,
                **options,
            )


# --- all instructions ------------------------------------------------------------------------------------------------


def _report(arguments: argparse.Namespace, model: MachineModel, settings: Sequence[str]) -> None:
    classifier = _Classifier(arguments, model)
    shown = [classifier.classify(name) for name in settings]
    others: list[Classification] = []
    if arguments.setting is None and not (arguments.json and not arguments.html):
        others = [classifier.classify(each.name, construct=False) for each in model.settings[1:]]
    if arguments.html is not None:
        from hypernest.analysis.report import html

        _write(arguments.html, "--html", html.page(shown, others))
    if arguments.markdown is not None:
        from hypernest.analysis.report import markdown

        _write(arguments.markdown, "--markdown", markdown.page(shown))
    if arguments.json:
        _print_json(shown, complete=True)
        return
    from hypernest.analysis.report import table

    console = _console()
    for number, each in enumerate(shown):
        if number:
            console.rule()
        console.print(table.render(each))
    if others:
        console.print("\nother settings (--setting NAME shows one in full):")
        for each in others:
            console.print(table.summary_line(each))


def _write(path: Path, option: str, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{option}: cannot write {str(path)!r}: {error.strerror}.") from error


def _print_json(shown: Sequence[Classification], *, complete: bool) -> None:
    from hypernest.analysis.report.json import as_json

    sys.stdout.write(as_json(shown, complete=complete))


# --- one instruction -------------------------------------------------------------------------------------------------


def _explain(arguments: argparse.Namespace, model: MachineModel, settings: Sequence[str]) -> None:
    wanted = _instruction(arguments.explain, model)
    classifier = _Classifier(arguments, model)
    shown = [classifier.classify(name, {wanted}) for name in settings]
    if arguments.json:
        _print_json(shown, complete=False)
        return
    from hypernest.analysis.report import explain

    console = _console()
    for number, each in enumerate(shown):
        if number:
            console.rule()
        if len(each.verdicts) == 1:
            console.print(explain.render(each, each.verdicts[0]))
        else:
            console.print(explain.render_variants(each))
            console.print(f"\n--explain {each.verdicts[0].name!r} explains one of them.", markup=False, highlight=False)


def _instruction(wanted: str, model: MachineModel) -> str:
    """The instruction, or the row of several, that is meant. Case and spaces do not matter."""
    from hypernest.analysis.instances import instances

    known: dict[str, str] = {}
    for each in instances(model):
        known |= {_plain(name): name for name in (each.row.name, each.name)}
    plain = _plain(wanted)
    if plain in known:
        return known[plain]
    near = [known[each] for each in difflib.get_close_matches(plain, known, n=3)]
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UsageError(f"{model.isa.name} has no instruction {wanted!r}{hint}.")


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


# --- the terminal ----------------------------------------------------------------------------------------------------


def _list() -> None:
    from rich.text import Text

    from hypernest.analysis.isas import BUILT_IN, load_model

    console = _console()
    for name in BUILT_IN:
        model = load_model(name)
        console.print(Text.assemble((name, "bold"), f"  {model.title}"))
        for each in model.settings:
            console.print(Text(f"  {each.name:<18} {each.title}"))
    console.print(Text("Your own: hypernest classify ./my_isa.py"))


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


@contextmanager
def progress_bar(title: str, last: str) -> Iterator[Callable[[int, int, str], None] | None]:
    """What shows (done, all, a name) as a bar on standard error, and in the end `last`. None if that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, expand=True) as bar:
        task = bar.add_task(title, total=None, name="")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name if done < total else last)

        yield show
