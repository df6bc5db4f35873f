"""Keep guests on disk and go on with them: save, restore, list, show, delete.

Snapshots are kept in a file of the user's, each page of memory and disks once, however many snapshots have it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hypernest.cli.arguments import Parser, UsageError, count, did_you_mean
from hypernest.errors import HypernestError

if TYPE_CHECKING:
    from rich.console import Console

    from hypernest.history.archive import Archive
    from hypernest.machine.machine import Machine
    from hypernest.machine.snapshot import Snapshot

_PROMPT, _LATER_PROMPT = "~ # ", " # "
"""What our own guests print when they wait for their first command, and, wherever they are by then, for the next."""

_PATIENCE = 3600 * 10**9
"""Nanoseconds of guest time to wait for text; for a guest that idles this passes in seconds."""

_STRETCH = 100_000_000

STANDARD_ERROR = 2
_LONGEST_PROMPT = 200
_MODES = {0: "user", 1: "supervisor", 3: "machine"}


class NothingToSave(HypernestError):
    """The guest ended before it was to be saved."""


class _Action(NamedTuple):
    """What can be done with snapshots."""

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do; the rest is for that."""
    actions = "; ".join(f"{name}: {action.summary}" for name, action in _ACTIONS.items())
    parser.add_argument("action", metavar="ACTION", nargs="?", type=_action, help=actions)
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="see hypernest snapshot ACTION --help")


def execute(arguments: argparse.Namespace) -> int:
    """Does what the action says."""
    if arguments.action is None:
        raise UsageError(f"say what to do: {', '.join(_ACTIONS)}, see hypernest snapshot --help.")
    action = _ACTIONS[arguments.action]
    parser = Parser(f"snapshot {arguments.action}", f"{action.summary.capitalize()}.")
    action.add_arguments(parser)
    return action.execute(parser.parse(arguments.rest))


def _action(text: str) -> str:
    if text not in _ACTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is nothing to do{did_you_mean(text, _ACTIONS)}")
    return text


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", metavar="FILE", type=Path, help="the file with the snapshots, instead of the user's")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the name of the snapshot")


# --- save ----------------------------------------------------------------------------------------------------------


def _add_save(parser: argparse.ArgumentParser) -> None:
    from hypernest.cli.run import ENGINES, add_guest_arguments

    add = parser.add_argument
    _add_name(parser)
    add("image", metavar="IMAGE", nargs="?", help="an image (see hypernest images); debian if nothing else is named")
    add_guest_arguments(parser)
    add("--snapshot", metavar="NAME", help="go on with this snapshot instead of booting")
    add("--engine", choices=ENGINES, default="auto", help="how instructions run (auto)")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--until", metavar="TEXT", help="run until the guest has printed TEXT (images: a prompt)")
    when.add_argument("--instructions", metavar="N", type=count, help="run for N guest instructions")
    add(
        "--type",
        metavar="LINE",
        action="append",
        default=[],
        help="then type LINE and run until it has printed TEXT again (images: a prompt); may be given again",
    )
    add("--limit", metavar="N", type=count, help="give up when TEXT has not come after N guest instructions")
    _add_file(parser)


def _save(arguments: argparse.Namespace) -> int:
    from hypernest.cli.images import readable_size
    from hypernest.history.archive import require_name
    from hypernest.history.snapshots import open_archive

    require_name(arguments.name)
    _check(arguments)
    archive = open_archive(arguments.file, writable=True)
    archive.require_free(arguments.name)
    with _guest(arguments, archive) as machine:
        prompt = _run(arguments, machine)
        entry = machine.snapshot().save(
            arguments.name, archive, parent=arguments.snapshot, about={"prompt": prompt} if prompt else {}
        )
    print(
        f"saved {entry.name} after {entry.about['instructions']:,} instructions:"
        f" {readable_size(entry.own_bytes)} more in {archive.path}"
    )
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be before anything boots, and fill in what our own guests print when they wait."""
    from hypernest.cli.run import check_configuration, refuse_beside_snapshot

    check_configuration(arguments)
    if arguments.exec is not None:
        raise UsageError("--exec ends the guest: give --type LINE to have a command run before the snapshot.")
    if arguments.instructions is not None:
        if arguments.type or arguments.limit:
            raise UsageError("--instructions says when to save: leave out --type and --limit.")
        return
    if arguments.snapshot is not None:
        refuse_beside_snapshot(arguments)
        ours = bool(arguments.type)
    else:
        ours = not (arguments.kernel or arguments.firmware)
    if arguments.until is None and not ours:
        raise UsageError("when to save is not said: give --until TEXT or --instructions N.")


def _guest(arguments: argparse.Namespace, archive: Archive) -> Machine:
    """The machine to be saved, not run yet."""
    from hypernest.cli.run import find_image, make_machine

    if arguments.snapshot is not None:
        from hypernest.machine.snapshot import Snapshot

        return Snapshot.load(arguments.snapshot, archive).fork(engine=arguments.engine, console=_spectator())
    image = find_image(arguments)
    if image is not None:
        # The console that learns the size of the terminal on which the snapshot is restored.
        arguments.append = f"hypernest.console=hvc0 {arguments.append}"
    return make_machine(arguments, image, arguments.engine, _spectator(), None, once=True)


class _Spectator:
    """A console back end that shows what the guest prints to the person who waits, and types nothing."""

    def write(self, data: bytes) -> None:
        """It does not matter if that fails."""
        with suppress(OSError):
            os.write(STANDARD_ERROR, data)

    def read(self) -> bytes:
        """Nothing."""
        return b""

    def wait(self, seconds: float | None) -> bool:
        """No input can come."""
        time.sleep(seconds or 0)
        return False


def _spectator() -> _Spectator | None:
    return _Spectator() if os.isatty(STANDARD_ERROR) else None


def _run(arguments: argparse.Namespace, machine: Machine) -> str:
    """Run the guest to where it is to be saved; returns the last line it has printed, if text was waited for."""
    from hypernest.machine.outcome import StopKind

    if arguments.instructions is not None:
        reason = machine.run(arguments.instructions)
        if reason.kind is not StopKind.LIMIT:
            raise NothingToSave(f"{reason} after {machine.instructions:,} instructions: save it before that")
        return ""
    output = ""
    if arguments.snapshot is None or not arguments.type:
        output = _run_until(machine, arguments.until or _PROMPT, arguments.limit)
    for line in arguments.type:
        machine.console.read()  # what was printed before is no answer
        machine.console.send(f"{line}\n")
        output = _run_until(machine, arguments.until or _LATER_PROMPT, arguments.limit)
    return output.rpartition("\n")[2][-_LONGEST_PROMPT:]


def _run_until(machine: Machine, text: str, limit: int | None) -> str:
    """As `Machine.run_until`, but not for ever if the guest waits for something else."""
    from hypernest.machine.running import TextNotSeen

    last = None if limit is None else machine.instructions + limit
    deadline = machine.now + _PATIENCE
    while True:
        stretch = _STRETCH if last is None else min(_STRETCH, last - machine.instructions)
        end = machine.instructions + stretch
        try:
            return machine.run_until(text, stretch)
        except TextNotSeen:
            if machine.instructions < end or end == last:
                raise
        if machine.now > deadline:
            output = machine.console.last(_LONGEST_PROMPT)
            raise NothingToSave(
                f"the guest did not print {text!r} within an hour of its time; the end of its output is {output!r}:"
                " say with --until what it prints"
            )


# --- restore -------------------------------------------------------------------------------------------------------


def _add_restore(parser: argparse.ArgumentParser) -> None:
    from hypernest.cli import run

    _add_name(parser)
    _add_file(parser)
    run.add_arguments(parser)


def _restore(arguments: argparse.Namespace) -> int:
    """Goes on as `hypernest run --snapshot NAME` does."""
    from hypernest.cli import run

    arguments.snapshot, arguments.snapshot_file = arguments.name, arguments.file
    return run.execute(arguments)


class Origin(NamedTuple):
    """What `hypernest run` goes on with, and the line on which the guest's cursor stood."""

    snapshot: Snapshot
    prompt: str

    @property
    def ours(self) -> bool:
        """Whether it is a guest of ours, which ends with its input."""
        from hypernest.images import names

        return self.snapshot.setup.title in names()


def origin(name: str, file: Path | None) -> Origin:
    """The snapshot `name` in the user's archive or that in `file`."""
    from hypernest.history.snapshots import open_archive
    from hypernest.machine.snapshot import Snapshot

    archive = open_archive(file)
    snapshot = Snapshot.load(name, archive)
    (entry,) = (entry for entry in archive.entries() if entry.name == name)
    return Origin(snapshot, _text(entry.about, "prompt", default=""))


# --- list, show, delete --------------------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from hypernest.cli.images import readable_size

    archive = _archive_to_read(arguments)
    entries = archive.entries() if archive is not None else []
    if not entries:
        print("there are no snapshots: make one with hypernest snapshot save NAME")
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("NAME", "CREATED", "GUEST"):
        table.add_column(title, no_wrap=True)
    for title in ("INSTRUCTIONS", "MEMORY", "OWN SIZE"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("FROM", no_wrap=True)
    for entry in entries:
        row = (
            entry.name,
            _date(entry.created)[:16],
            _printable(_text(entry.about, "guest")),
            f"{_number(entry.about, 'instructions'):,}",
            _memory(entry.about),
            readable_size(entry.own_bytes),
            entry.parent or "",
        )
        table.add_row(*map(Text, row))
    _console().print(table)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from rich.table import Table
    from rich.text import Text

    from hypernest.cli.images import readable_size
    from hypernest.history.snapshots import open_archive
    from hypernest.machine.snapshot import Snapshot

    archive = open_archive(arguments.file)
    snapshot = Snapshot.load(arguments.name, archive)
    (entry,) = (entry for entry in archive.entries() if entry.name == arguments.name)
    harts = "1 hart" if snapshot.setup.harts == 1 else f"{snapshot.setup.harts} harts"
    size = f"{readable_size(entry.own_bytes)} of its own ({entry.own_pages:,} pages)"
    rows = [
        ("name", entry.name),
        ("created", _date(entry.created)),
        ("made from", entry.parent or "a boot"),
        ("guest", snapshot.setup.title),
        ("machine", f"{harts}, {_memory({'memory': snapshot.memory.size})} of memory"),
        ("instructions", f"{snapshot.instructions:,}"),
        ("guest time", f"{snapshot.now / 1e9:.6f} s"),
        ("content", f"{readable_size(entry.blocks * 4096)} that are not zero, {size}"),
        *((f"disk {number}", readable_size(disk.sectors * 512)) for number, disk in enumerate(snapshot.disks)),
        *_harts(snapshot),
        ("file", str(archive.path)),
    ]
    if snapshot.reason is not None:
        rows.insert(-1, ("ended", str(snapshot.reason)))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for what, value in rows:
        table.add_row(Text(what, "bold"), Text(_printable(value), overflow="fold"))
    _console().print(table)
    return 0


def _harts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Where each hart is, with names where there are any."""
    from hypernest.debug.kallsyms import kernel_symbols
    from hypernest.debug.symbol_files import program_symbols
    from hypernest.debug.symbols import Symbols

    with snapshot.fork(engine="reference") as machine:
        tables = [program_symbols(program) for program in snapshot.programs]
        symbols = Symbols([*tables, kernel_symbols(machine.memory)])
    rows = []
    for number in range(snapshot.setup.harts):
        hart = snapshot.hart(number)
        place = symbols.find(hart["pc"], translated=hart["satp"] != 0)
        mode = _MODES.get(hart["priv"], "no known")
        named = f" {place}" if place is not None and mode != "user" else ""
        rows.append((f"hart {number}", f"pc {hart['pc']:#x}{named}, {mode} mode"))
    return rows


def _add_delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="+", help="the names of snapshots")
    _add_file(parser)


def _delete(arguments: argparse.Namespace) -> int:
    from hypernest.cli.images import readable_size
    from hypernest.history.snapshots import open_archive

    open_archive(arguments.file)  # a file that is not there is not made
    archive = open_archive(arguments.file, writable=True)
    before = archive.path.stat().st_size
    archive.delete(*arguments.names)
    freed = max(before - archive.path.stat().st_size, 0)
    print(f"deleted {', '.join(arguments.names)}: {readable_size(freed)} less in {archive.path}")
    return 0


def _archive_to_read(arguments: argparse.Namespace) -> Archive | None:
    """The archive; None if it is the user's and there is none yet."""
    from hypernest.history.snapshots import default_path, open_archive

    if arguments.file is None and not default_path().exists():
        return None
    return open_archive(arguments.file)


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    _add_file(parser)


_ACTIONS = {
    "save": _Action("run a guest and keep it as it is then", _add_save, _save),
    "restore": _Action("go on with a snapshot, as run --snapshot", _add_restore, _restore),
    "list": _Action("list the snapshots that are here", _add_file, _list),
    "show": _Action("show what is in a snapshot", _add_show, _show),
    "delete": _Action("remove snapshots", _add_delete, _delete),
}


# --- for people ----------------------------------------------------------------------------------------------------


def _console() -> Console:
    """Where tables go: in full width where nobody cuts them."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=500)


def _printable(text: str) -> str:
    """Text from a file, which may have been made to paint the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _text(about: Mapping[str, Any], key: str, default: str = "?") -> str:
    value = about.get(key)
    return value if isinstance(value, str) else default


def _number(about: Mapping[str, Any], key: str) -> int:
    value = about.get(key)
    return value if isinstance(value, int) else 0


def _memory(about: Mapping[str, Any]) -> str:
    return f"{_number(about, 'memory') >> 20:,} MiB"


def _date(nanoseconds: int) -> str:
    from datetime import datetime

    try:
        return f"{datetime.fromtimestamp(nanoseconds // 10**9).astimezone():%Y-%m-%d %H:%M:%S %z}"
    except (ValueError, OverflowError, OSError):
        return "?"
