"""The SQLite file under the store of regions: private to its user, shared by processes, begun anew when damaged.

A file in use must not be replaced, which SQLite cannot see to by itself. So whoever has it open holds a shared lock on
its folder, and it is removed only under an exclusive one. A new file gets its name when it is complete, so nobody ever
finds half of one. Nor may an open SQLite file be carried through a fork: before one, all are closed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hypernest.errors import HypernestError
from hypernest.private_files import is_private, make_folder

if TYPE_CHECKING:
    from sqlite3 import Connection

FILE = "regions.sqlite"
LARGEST_RECORD = 16 << 20
"""In bytes; what says it is larger is damaged."""

_UNFINISHED = ".regions-"
_COMPANIONS = ("-wal", "-shm", "-journal")
_PATIENCE_SECONDS = 0.05
_OPENING_ATTEMPTS = 5
_BLOCK_BYTES = 16384  # most records fit into one, which reads a third faster than SQLite's 4096
_LOG_BLOCKS = 256
_SCHEMA = (
    "CREATE TABLE pages (id INTEGER PRIMARY KEY, generator BLOB NOT NULL, page BLOB NOT NULL,"
    " used INTEGER NOT NULL, bytes INTEGER NOT NULL, UNIQUE (generator, page))",
    "CREATE INDEX pages_by_use ON pages (used)",
    "CREATE TABLE records (id INTEGER PRIMARY KEY, page INTEGER NOT NULL, head INTEGER NOT NULL,"
    " checksum BLOB NOT NULL, record BLOB NOT NULL, UNIQUE (page, head))",
)


class StoreUnusable(HypernestError):
    """Compiled regions cannot be read or kept."""


class StoreBusy(StoreUnusable):
    """Another process was in the way for longer than it is worth waiting."""


class StoreDamaged(StoreUnusable):
    """The file is not what it should be; it can only be removed."""


class Database:
    """The file of regions in `folder`, opened (and made) when it is first used; any thread may use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE
        self._connection: Connection | None = None
        self._release: weakref.finalize[[int], Database] | None = None
        _DATABASES.add(self)

    @contextmanager
    def session(self, patience: float = _PATIENCE_SECONDS) -> Iterator[Connection]:
        """A connection that waits `patience` seconds for other processes; what is not committed is undone.

        Raises `StoreUnusable` or one of its kinds, whatever goes wrong with the file in or around the session.
        """
        try:
            import sqlite3
        except ImportError as error:
            raise StoreUnusable("this Python lacks sqlite3, compiled regions are kept only with it.") from error
        with _LOCK:
            try:
                connection = self._connection or self._open()
                try:
                    if patience != _PATIENCE_SECONDS:
                        connection.execute(f"PRAGMA busy_timeout = {round(patience * 1000)}")
                    yield connection
                finally:
                    if connection.in_transaction:
                        connection.rollback()
                    if patience != _PATIENCE_SECONDS:
                        connection.execute(f"PRAGMA busy_timeout = {round(_PATIENCE_SECONDS * 1000)}")
            except (sqlite3.Error, OSError, MemoryError) as error:
                raise self._meaning(error) from error

    def close(self) -> None:
        """Let go of the file, which the next session opens again."""
        with _LOCK:
            self._close()

    def remove(self) -> None:
        """Remove the file, `StoreBusy` if it is in use anywhere."""
        with _LOCK:
            self._close()
            try:
                with suppress(FileNotFoundError):
                    self._hold(fcntl.LOCK_EX)
                    for path in store_files(self.folder):
                        path.unlink(missing_ok=True)
            except OSError as error:
                raise self._meaning(error) from error
            finally:
                self._close()

    def empty(self) -> None:
        """Drop all regions though others may be using the file."""
        with self.session(patience=1) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM records")
            connection.execute("DELETE FROM pages")
            connection.execute("COMMIT")
            connection.execute("VACUUM")

    def _open(self) -> Connection:
        import sqlite3

        make_folder(self.folder)
        self._hold(fcntl.LOCK_SH)
        try:
            self._require_private(self.folder)
            remains = [path for path in store_files(self.folder) if path.name.startswith(FILE)]
            if not self.path.exists():
                if remains and self.path not in remains:
                    # SQLite would take what they hold for the newest part of a new file.
                    raise StoreDamaged(f"{self.path} is missing, but not all of it, see hypernest cache clear.")
                self._create()
            self._require_private(*(path for path in store_files(self.folder) if path.name.startswith(FILE)))
            for attempt in range(_OPENING_ATTEMPTS):
                try:
                    self._connection = self._connect(self.path)
                    return self._connection
                except sqlite3.OperationalError as error:
                    # The last user of a file tidies it up, and SQLite does not always wait for that.
                    if _code(error) != sqlite3.SQLITE_BUSY or attempt == _OPENING_ATTEMPTS - 1:
                        raise
            raise AssertionError
        except BaseException:
            self._close()
            raise

    def _connect(self, path: Path) -> Connection:
        """A connection to a file with the right schema."""
        connection = _raw_connection(path)
        try:
            found = {row[0].decode(errors="replace") for row in connection.execute("SELECT sql FROM sqlite_master")
                     if row[0] is not None}  # fmt: skip
            if found != set(_SCHEMA):
                raise StoreDamaged(f"{path} is not a store of this version, see hypernest cache clear.")
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        descriptor, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=self.folder)
        os.close(descriptor)
        try:
            connection = _raw_connection(Path(name))
            try:
                connection.execute(f"PRAGMA page_size = {_BLOCK_BYTES}")
                connection.execute("PRAGMA journal_mode = WAL")
                for statement in _SCHEMA:
                    connection.execute(statement)
            finally:
                connection.close()
            with suppress(FileExistsError):  # another process was first
                os.link(name, self.path)
        finally:
            for suffix in ("", *_COMPANIONS):
                Path(name + suffix).unlink(missing_ok=True)

    def _require_private(self, *paths: Path) -> None:
        for path in paths:
            with suppress(FileNotFoundError):  # the last user of a file removes its companions
                if not is_private(path):
                    raise StoreUnusable(
                        f"{path} is not the user's alone, so compiled regions are not kept there: take it from others "
                        "(chown, chmod go-w) or choose another folder with HYPERNEST_CACHE."
                    )

    def _hold(self, kind: int) -> None:
        """Lock the folder, shared or exclusively."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._release = weakref.finalize(self, os.close, descriptor)
        end = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            import sqlite3

            with suppress(sqlite3.Error):
                connection.close()
        if self._release is not None:
            self._release()
            self._release = None

    def _meaning(self, error: Exception) -> StoreUnusable:
        """What an error means to whoever uses the store."""
        import sqlite3

        code = _code(error)
        in_the_way = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
        if isinstance(error, BlockingIOError) or code in in_the_way:
            return StoreBusy(f"{self.path} is in use by other processes, try again later.")
        number = error.errno if isinstance(error, OSError) else None
        if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
            return StoreUnusable(
                f"no space is left for compiled regions in {self.folder}: "
                "free some or choose another folder with HYPERNEST_CACHE."
            )
        if code in {getattr(sqlite3, f"SQLITE_{name}") for name in _SIGNS_OF_DAMAGE}:
            return StoreDamaged(f"{self.path} is damaged, see hypernest cache clear.")
        reason = (error.strerror or str(error) if isinstance(error, OSError) else str(error) or "no memory").lower()
        return StoreUnusable(
            f"compiled regions cannot be kept in {self.folder} ({reason}), choose another with HYPERNEST_CACHE."
        )


_LOCK = threading.RLock()
"""Held while a connection is used, and while this process forks."""

_DATABASES: weakref.WeakSet[Database] = weakref.WeakSet()

_SIGNS_OF_DAMAGE = ("ERROR", "CORRUPT", "NOTADB", "SCHEMA", "TOOBIG", "CONSTRAINT", "MISMATCH", "FORMAT", "RANGE")


def store_files(folder: Path) -> list[Path]:
    """The files that make up a store, left-overs of processes that died included; raises OSError."""
    names = {FILE, *(FILE + suffix for suffix in _COMPANIONS)}
    return [path for path in folder.iterdir() if path.name in names or path.name.startswith(_UNFINISHED)]


def _code(error: Exception) -> int | None:
    """SQLite's primary result code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _before_fork() -> None:
    _LOCK.acquire()
    for database in list(_DATABASES):
        database.close()


os.register_at_fork(before=_before_fork, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


def _raw_connection(path: Path) -> Connection:
    import sqlite3

    connection = sqlite3.connect(
        path, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
    )
    try:
        connection.text_factory = bytes  # a damaged file may call anything text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_RECORD + 4096)
        # A power failure may damage the file; it can be made again, and nobody should wait for a disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BLOCKS}")
    except BaseException:
        connection.close()
        raise
    return connection
