"""Compiled regions kept on disk, so that what was hot once starts hot; shared by all machines of a user.

Nothing here may fail a run: whatever is wrong with the disk, the store goes on without it and says so once. A record
is native code, so it is believed only if the folder is private and the record fits its checksum.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.engines.translator.database import (
    FILE,
    LARGEST_RECORD,
    Database,
    StoreBusy,
    StoreDamaged,
    StoreUnusable,
)

if TYPE_CHECKING:
    from sqlite3 import Connection

LIMIT = 256 << 20
"""How many bytes of records are kept unless the owner says otherwise."""

_AFTER_EVICTION = 0.9  # of the limit
_LARGEST_BUFFER = 32 << 20  # bytes saved but not written
_STALE_NANOSECONDS = 30 * 24 * 3600 * 10**9
_PAUSE_SECONDS = 1.0
_PATIENCE_AT_CLOSE_SECONDS = 1.0


class RegionStore:
    """The regions of one `generator`, a digest of everything that takes part in generating code.

    Kept in `folder`, which is made and opened when first needed, up to `limit` bytes of records of all generators.
    `problem` is a sentence for the user once something was wrong with the disk; no method ever raises for that.
    `evicted` counts the records this object removed because of the limit. One thread at a time may use it, any thread.
    """

    def __init__(self, folder: Path, generator: bytes, limit: int = LIMIT) -> None:
        self.problem: str | None = None
        self.evicted = 0
        self._database = Database(folder)
        self._generator = generator
        self._limit = limit
        self._saved: dict[bytes, dict[int, bytes]] = {}
        self._saved_bytes = 0
        self._used: dict[bytes, int] = {}
        self._spoiled: dict[int, tuple[int, object]] = {}
        self._reads = self._writes = True
        self._began_anew = False
        self._looked_for_stale = False
        self._no_reading_before = 0.0

    def load(self, page: bytes) -> list[bytes]:
        """The whole and genuine records of the page with this digest, which counts as used now."""
        found: dict[int, bytes] = {}
        if self._reads and (not self._no_reading_before or time.monotonic() >= self._no_reading_before):
            with self._going_on(reading=True), self._database.session() as connection:
                rows = connection.execute(_LOAD, (self._generator, page)).fetchall()
                for number, owner, head, checksum, record in rows:
                    if (
                        isinstance(record, bytes)
                        and isinstance(head, int)
                        and checksum == self._sum(page, head, record)
                    ):
                        found[head] = record
                    else:
                        self._spoiled[number] = (owner, checksum)
        if found:
            self._used[page] = time.time_ns()
        found.update(self._saved.get(page, {}))
        return list(found.values())

    def save(self, page: bytes, head: int, record: bytes) -> None:
        """Keep `record`, from the next `flush` on, as the one that page and head (below 2**63) have."""
        if not self._writes or len(record) > min(self._limit, LARGEST_RECORD):
            return
        records = self._saved.setdefault(page, {})
        self._saved_bytes += len(record) - len(records.get(head, b""))
        records[head] = record
        if self._saved_bytes > _LARGEST_BUFFER:
            self.flush()
            if self._saved_bytes > _LARGEST_BUFFER:
                self._tell(f"{self._database.path} is in use by other processes, so some regions are not kept.")
                self._forget()

    def flush(self) -> None:
        """Write what was saved and used since the last time; if other processes are in the way, the next time."""
        self._flush()

    def close(self) -> None:
        """Flush, and let go of the file."""
        self._flush(patience=_PATIENCE_AT_CLOSE_SECONDS)
        self._database.close()

    def _flush(self, **patience: float) -> None:
        for _ in range(2):  # the second time in a new file
            if not self._writes or not (self._saved or self._used or self._spoiled):
                return
            with self._going_on(reading=False), self._database.session(**patience) as connection:
                connection.execute("BEGIN IMMEDIATE")
                evicted = self._write(connection)
                connection.execute("COMMIT")
                self.evicted += evicted
                self._forget()

    def _write(self, connection: Connection) -> int:
        """All changes of a flush; returns how many records had to go."""
        now = time.time_ns()
        for number, (owner, checksum) in self._spoiled.items():  # unless somebody has replaced it
            connection.execute("DELETE FROM records WHERE id = ? AND checksum IS ?", (number, checksum))
            connection.execute(_UPDATE_BYTES, (owner, owner))
        connection.executemany(
            "UPDATE pages SET used = ? WHERE generator = ? AND page = ?",
            [(used, self._generator, page) for page, used in self._used.items()],
        )
        for page, records in self._saved.items():
            connection.execute(_ADD_PAGE, (self._generator, page, now))
            numbers = connection.execute(_FIND_PAGE, (self._generator, page)).fetchall()
            if len(numbers) != 1:
                raise StoreDamaged(f"{self._database.path} is damaged.")
            ((owner,),) = numbers
            connection.executemany(
                "INSERT OR REPLACE INTO records (page, head, checksum, record) VALUES (?, ?, ?, ?)",
                [(owner, head, self._sum(page, head, record), record) for head, record in records.items()],
            )
            connection.execute(_UPDATE_BYTES, (owner, owner))
        if not self._saved:
            return 0
        if not self._looked_for_stale:
            stale = connection.execute(
                "SELECT id FROM pages WHERE used < ? AND generator != ?", (now - _STALE_NANOSECONDS, self._generator)
            )
            _drop(connection, [number for (number,) in stale.fetchall()])
            self._looked_for_stale = True
        return self._evict(connection)

    def _evict(self, connection: Connection) -> int:
        ((total,),) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM pages").fetchall()
        if total <= self._limit:
            return 0
        excess = total - int(self._limit * _AFTER_EVICTION)
        victims = []
        for number, size in connection.execute(_BY_USE).fetchall():
            if excess <= 0:
                break
            victims.append(number)
            excess -= size
        return _drop(connection, victims)

    def _sum(self, page: bytes, head: int, record: bytes) -> bytes:
        digest = blake2b(digest_size=32)
        digest.update(b"%d %d %d " % (len(self._generator), len(page), head) + self._generator + page)
        digest.update(record)
        return digest.digest()

    @contextmanager
    def _going_on(self, *, reading: bool) -> Iterator[None]:
        """Whatever goes wrong with the file ends inside."""
        try:
            yield
        except StoreBusy:
            if reading:
                self._no_reading_before = time.monotonic() + _PAUSE_SECONDS
        except StoreDamaged as error:
            self._begin_anew(error)
        except StoreUnusable as error:
            self._tell(str(error))
            self._give_up(reading=reading)

    def _begin_anew(self, damage: StoreDamaged) -> None:
        path = self._database.path
        try:
            if self._began_anew:
                raise damage
            self._database.remove()
        except StoreUnusable:
            # Those who use the file notice it too; the last of them, or the next to come, removes it.
            self._tell(f"{path} is damaged, so compiled regions are not kept: see hypernest cache clear.")
            self._give_up(reading=True)
            self._database.close()
            return
        self._began_anew = True
        self._spoiled.clear()
        self._used.clear()
        self._tell(f"{path} was damaged and has been begun anew; if that happens again, check the disk.")

    def _give_up(self, *, reading: bool) -> None:
        """Stop writing, which reading does not depend on, and reading if that is what failed."""
        self._writes = False
        self._reads = self._reads and not reading
        self._forget()

    def _forget(self) -> None:
        """Forget what was to be written."""
        for waiting in (self._saved, self._used, self._spoiled):
            waiting.clear()
        self._saved_bytes = 0

    def _tell(self, problem: str) -> None:
        self.problem = self.problem or problem


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What a store holds: `bytes` of records, of at most `limit`; pages and records of how many generators."""

    records: int
    pages: int
    bytes: int
    limit: int
    generators: int


def statistics(folder: Path, limit: int = LIMIT) -> StoreStatistics:
    """What is kept in `folder`, nothing if there is no store; raises `StoreUnusable`."""
    if not os.path.exists(folder / FILE):
        return StoreStatistics(0, 0, 0, limit, 0)
    database = Database(folder)
    try:
        with database.session() as connection:
            ((records,),) = connection.execute("SELECT count(*) FROM records").fetchall()
            ((pages, size, generators),) = connection.execute(
                "SELECT count(*), coalesce(sum(bytes), 0), count(DISTINCT generator) FROM pages WHERE bytes > 0"
            ).fetchall()
    finally:
        database.close()
    return StoreStatistics(records, pages, size, limit, generators)


def clear(folder: Path) -> None:
    """Remove all compiled regions kept in `folder`, damaged or not; raises `StoreUnusable`."""
    database = Database(folder)
    try:
        database.remove()
    except StoreBusy:
        database.empty()
    finally:
        database.close()


def _drop(connection: Connection, pages: list[int]) -> int:
    """Remove pages with their records; returns the number of records."""
    numbers = [(page,) for page in pages]
    removed = connection.executemany("DELETE FROM records WHERE page = ?", numbers).rowcount if numbers else 0
    connection.executemany("DELETE FROM pages WHERE id = ?", numbers)
    return removed


_LOAD = (
    "SELECT records.id, records.page, head, checksum, record FROM pages JOIN records ON records.page = pages.id"
    " WHERE generator = ? AND pages.page = ? ORDER BY head"
)
_BY_USE = "SELECT id, CAST(bytes AS INTEGER) FROM pages ORDER BY used, id"
_FIND_PAGE = "SELECT id FROM pages WHERE generator = ? AND page = ?"
_ADD_PAGE = (
    "INSERT INTO pages (generator, page, used, bytes) VALUES (?, ?, ?, 0)"
    " ON CONFLICT (generator, page) DO UPDATE SET used = excluded.used"
)
_UPDATE_BYTES = (
    "UPDATE pages SET bytes = (SELECT coalesce(sum(length(record)), 0) FROM records WHERE page = ?) WHERE id = ?"
)
