"""Show what the cache folder holds, or clear it; whatever is removed is fetched or made again when it is needed."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from hypernest.cli.arguments import UsageError, did_you_mean
from hypernest.errors import HypernestError


class ClearFailed(HypernestError):
    """A part of the cache that cannot be removed."""


_CLEARED = {
    "compiled": {"regions", "native"},
    "regions": {"regions"},
    "native": {"native"},
    "snapshots": {"snapshots"},
    "all": {"regions", "native", "images", "guests", "snapshots"},
}
"""The parts that go, by option."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One kind of thing in the cache: its files and folders, how to remove them, and what else there is to say."""

    name: str
    what: str
    folder: Path
    paths: list[Path]
    clear: Callable[[], None]
    note: str = ""

    @property
    def size(self) -> int:
        return sum(map(_disk_size, self.paths))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and to which part."""
    parser.add_argument("action", metavar="clear", nargs="?", type=_action, help="remove all compiled code")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--regions", action="store_true", help="clear only the translator's compiled regions")
    which.add_argument("--native", action="store_true", help="clear only the interpreter's object code")
    which.add_argument("--snapshots", action="store_true", help="clear only unpacked copies of snapshots")
    which.add_argument("--all", action="store_true", help="clear all that, guest images and benchmark guests")


def execute(arguments: argparse.Namespace) -> int:
    """Says what goes before it removes it."""
    from hypernest.cache import cache_folder

    folder = cache_folder()
    chosen = [name for name in ("regions", "native", "snapshots", "all") if getattr(arguments, name)]
    if arguments.action is None:
        if chosen:
            raise UsageError(f"--{chosen[0]} says what to clear: hypernest cache clear --{chosen[0]}.")
        print(_table(_parts(folder)))
        return 0
    names = _CLEARED[chosen[0] if chosen else "compiled"]
    parts = [part for part in _parts(folder) if part.name in names and part.paths]
    print(f"removing\n{_table(parts)}" if parts else f"nothing to remove in {folder}", flush=True)
    for part in parts:
        part.clear()
    return 0


def _action(text: str) -> str:
    if text != "clear":
        raise argparse.ArgumentTypeError(f"{text!r} is nothing to do{did_you_mean(text, ['clear'])}")
    return text


def _parts(folder: Path) -> list[_Part]:
    """All there is; only what hypernest itself puts there is looked at, in case the folder has other uses."""
    from hypernest.cli.images import readable_size
    from hypernest.engines.translator.store import clear
    from hypernest.history.archive.expansions import LIMIT, PATTERN
    from hypernest.images import names

    def part(name: str, what: str, subfolder: str, pattern: str) -> _Part:
        paths = _matching(folder / subfolder, pattern)
        return _Part(name, what, folder / subfolder, paths, lambda: _remove(paths))

    native = folder / "native"
    unpacked = _matching(folder / "snapshots", PATTERN)
    regions = _matching(native, r"regions\.sqlite(-.*)?|\.regions-.*")
    return [
        part("images", "guest images", "images", "|".join(map(re.escape, names()))),
        part("native", "the interpreter's object code", "native", r"interpreter-[0-9a-f]{32}\.o|tmp[a-z0-9_]{8}"),
        _Part("regions", "the translator's compiled regions", native, regions, lambda: clear(native), _note(native)),
        _Part(
            "snapshots",
            "snapshots unpacked, to be mapped when they are restored",
            folder / "snapshots",
            unpacked,
            lambda: _remove(unpacked),
            f"at most {readable_size(LIMIT)}; what is removed is unpacked again when it is restored",
        ),
        part("guests", "benchmark guests", "guests", r".*-[0-9a-f]{20}(\.cpio)?"),
    ]


def _note(native: Path) -> str:
    """What the store of regions says of itself."""
    from hypernest.cli.images import readable_size
    from hypernest.engines.translator.store import statistics

    try:
        kept = statistics(native)
    except HypernestError as error:
        return str(error)
    return (
        f"{kept.records} regions of {kept.pages} pages, {readable_size(kept.bytes)} of at most "
        f"{readable_size(kept.limit)}, by {kept.generators} generator{'' if kept.generators == 1 else 's'}"
    )


def _table(parts: Iterable[_Part]) -> str:
    from hypernest.cli.images import readable_size

    lines = [f"{'PART':<12} {'SIZE':>9} {'FILES':>6}  WHERE"]
    for part in parts:
        lines.append(f"{part.name:<12} {readable_size(part.size):>9} {len(part.paths):>6}  {part.folder}: {part.what}")
        if part.note and part.paths:
            lines.append(f"{'':30} {part.note}")
    return "\n".join(lines)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """What is in `folder` under such names, symbolic links excepted."""
    try:
        return sorted(p for p in folder.iterdir() if re.fullmatch(pattern, p.name) and not p.is_symlink())
    except OSError:
        return []


def _disk_size(path: Path) -> int:
    """The bytes that a file takes, or in all files under a folder; 0 for what cannot be looked at."""
    if path.is_dir():
        return sum(_disk_size(Path(at, name)) for at, _, files in os.walk(path) for name in files)
    try:
        status = path.lstat()
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512)  # less where it has holes


def _remove(paths: Iterable[Path]) -> None:
    from hypernest.images.cache import locked

    for path in paths:
        try:
            if path.is_dir():
                # An image that is being pulled is waited for.
                with locked(path) if (path / "lock").exists() else nullcontext():
                    shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            where, reason = error.filename or path, (error.strerror or str(error)).lower()
            raise ClearFailed(f"cannot remove {where} ({reason}), see who else uses it and its permissions.") from error
