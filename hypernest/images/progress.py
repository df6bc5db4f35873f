"""Say how far a pull is. The library is quiet; whoever wants to show something passes a `Progress`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called with what is being done (a few words), and how much of it: `done` of `total` bytes, or 0 of 0."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def silent(step: str, done: int, total: int) -> None:
    """The `Progress` that shows nothing."""


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A `Progress` that draws a bar on standard error, or prints a line a step where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        shown = ""

        def line(step: str, done: int, total: int) -> None:
            nonlocal shown
            if step != shown:
                shown = step
                console.print(step, markup=False, highlight=False)

        yield line
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True, expand=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                for task in tasks.values():
                    bar.update(task, visible=False)
                tasks[step] = bar.add_task(step, total=total or None)
            bar.update(tasks[step], completed=done, total=total or None)

        yield show
