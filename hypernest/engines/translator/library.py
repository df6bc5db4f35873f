"""The regions that the engines of a machine and its forks share: their code, the store on disk, and who compiles.

Regions depend on the bytes of a page and on nothing else, so what one engine has found hot serves the others. Engines
may run in several threads: whatever is here is used with `lock` held, and code is thrown away only while none runs.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.engines.interpreter.object_code import generator
from hypernest.engines.translator.arena import Arena, ArenaFull
from hypernest.engines.translator.compiler_process import CompilerProcess
from hypernest.engines.translator.host_pages import MemoryPath
from hypernest.engines.translator.record import Record
from hypernest.engines.translator.store import RegionStore

if TYPE_CHECKING:
    from hypernest.engines.translator.engine import TranslatorEngine

ARENA_BYTES = 64 << 20
_COMPILER = "hypernest.engines.translator.compiler:answer"
_MOST_NEWS = 256


@dataclass(frozen=True, slots=True)
class PlacedRegion:
    """A region whose code is in the arena, and the bytes of the page, from `first` to `last`, that it was made of."""

    record: Record
    address: int
    bytes: bytes


@dataclass
class Shelf:
    """The regions for one way to memory, by the digest of their page and their head."""

    store: RegionStore
    pages: dict[bytes, dict[int, PlacedRegion]] = field(default_factory=dict)
    partial: set[bytes] = field(default_factory=set)
    """Digests of pages of which a region was made around watched instructions."""


News = deque[tuple[int, PlacedRegion]]
"""Regions that another engine has placed, with the number of the page of RAM where it had them."""


class RegionLibrary:
    """`folder` is where the store on disk is. Nothing is started or opened before it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()
        self.running = 0
        """Engines that are executing, perhaps code of the arena."""
        self.problems: list[str] = []
        self._engines: weakref.WeakKeyDictionary[TranslatorEngine, News] = weakref.WeakKeyDictionary()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._shelves: dict[MemoryPath, Shelf] = {}
        self.sizes: dict[int, int] = {}
        """Sizes of regions, in instructions, by their address."""
        self.compiler = CompilerProcess(_COMPILER)
        try:
            self.arena = Arena(ARENA_BYTES)
        except (OSError, AttributeError) as error:
            self.problems.append(f"the host gives no executable memory ({error}).")
            self.arena = Arena(0)

    def shelf(self, path: MemoryPath) -> Shelf:
        """The regions for that way to memory."""
        if path not in self._shelves:
            self._shelves[path] = Shelf(RegionStore(self._folder, generator(f"region, {path}")))
        return self._shelves[path]

    @property
    def problem(self) -> str | None:
        """What keeps hot code in the interpreter, a sentence for the user."""
        stores = (shelf.store.problem for shelf in self._shelves.values())
        return next(filter(None, (*self.problems, self.compiler.problem, *stores)), None)

    # --- engines ---------------------------------------------------------------------------------------------------

    def join(self, engine: TranslatorEngine) -> News:
        """An engine begins; returns where it will find what others have placed."""
        with self.lock:
            if not self._engines and not self.compiler.alive:
                self.compiler = CompilerProcess(_COMPILER)
            return self._engines.setdefault(engine, deque(maxlen=_MOST_NEWS))

    def leave(self, engine: TranslatorEngine) -> None:
        """An engine ends. With the last one goes the compiler's process, and what it made is written."""
        with self.lock:
            self._engines.pop(engine, None)
            if not self._engines:
                self.compiler.close()
                for shelf in self._shelves.values():
                    shelf.store.close()
                self._shelves.clear()

    def tell(self, teller: TranslatorEngine, page: int, placed: PlacedRegion) -> None:
        """Let all other engines know of a region."""
        for engine, news in list(self._engines.items()):
            if engine is not teller:
                news.append((page, placed))

    def is_foreign(self) -> bool:
        """Has this process been forked off the one that the arena and the compiler belong to?"""
        return self._process != os.getpid()

    def begin_here(self) -> Iterable[TranslatorEngine]:
        """Begin anew in a forked process; returns the engines, which must forget what they have."""
        self.lock, self.running = threading.RLock(), 0
        self._begin()
        for news in self._engines.values():
            news.clear()
        return list(self._engines)

    # --- code ------------------------------------------------------------------------------------------------------

    def place(self, known: dict[int, PlacedRegion], record: Record, code: bytes) -> PlacedRegion | None:
        """Bring a region into the arena, and among those `known` of its page; None if there can be no room now."""
        if len(record.code) > self.arena.size:
            return None
        try:
            address = self.arena.add(record.code)
        except ArenaFull:
            if self.running:
                return None
            self.make_room()
            address = self.arena.add(record.code)
        placed = PlacedRegion(record, address + record.start, code[record.first : record.last + 1])
        known[record.head] = placed
        self.sizes[placed.address] = record.instructions
        return placed

    def make_room(self) -> None:
        """Begin anew: nothing is translated any more, and what is still hot will be found again. Nobody may run."""
        for engine, news in self._engines.items():
            news.clear()
            engine.forget_regions()
        for shelf in self._shelves.values():
            for known in shelf.pages.values():
                known.clear()
            shelf.pages.clear()
        self.sizes.clear()
        self.arena.clear()
