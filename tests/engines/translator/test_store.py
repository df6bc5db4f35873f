"""The store of compiled regions: what is kept comes back, nothing else ever does, and no disk fails a run."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import pytest

from hypernest.engines.translator import database, store
from hypernest.engines.translator.database import FILE, StoreUnusable
from hypernest.engines.translator.store import RegionStore, StoreStatistics, clear, statistics

ROOT = Path(__file__).parents[3]
GENERATOR = b"generator of these tests"
PAGE = bytes(range(16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "native"


def page(number: int) -> bytes:
    return blake2b(b"page %d" % number, digest_size=32).digest()


def record(number: int, head: int = 0, size: int = 600) -> bytes:
    return random.Random(f"{number} {head}").randbytes(size)


def keep(folder: Path, *numbers: int, generator: bytes = GENERATOR, limit: int = store.LIMIT) -> RegionStore:
    """Save one record a page, in one flush each, and close."""
    kept = RegionStore(folder, generator, limit)
    for number in numbers:
        kept.save(page(number), 0, record(number))
        kept.flush()
    kept.close()
    return kept


def found(folder: Path, *numbers: int, generator: bytes = GENERATOR) -> list[int]:
    """Which of the pages come back, as they were."""
    reader = RegionStore(folder, generator)
    loaded = {number: reader.load(page(number)) for number in numbers}
    reader.close()
    for number, records in loaded.items():
        assert records in ([], [record(number)])
    return [number for number, records in loaded.items() if records]


def execute(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / FILE)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_what_is_saved_comes_back(folder: Path) -> None:
    first = RegionStore(folder, GENERATOR)
    first.save(PAGE, 8, b"eight")
    first.save(PAGE, 2**63 - 1, b"far")
    first.save(PAGE, 0, b"")
    assert first.load(PAGE) == [b"eight", b"far", b""]  # not written yet
    first.flush()
    second = RegionStore(folder, GENERATOR)
    assert second.load(PAGE) == [b"", b"eight", b"far"]
    first.save(PAGE, 8, b"eight again")
    first.close()
    assert second.load(PAGE) == [b"", b"eight again", b"far"]
    assert second.load(bytes(16)) == []
    second.close()
    assert first.problem is None and second.problem is None
    assert statistics(folder) == StoreStatistics(records=3, pages=1, bytes=14, limit=store.LIMIT, generators=1)


def test_an_unused_store_makes_nothing(folder: Path) -> None:
    RegionStore(folder, GENERATOR).close()
    assert not folder.parent.exists()
    assert statistics(folder).records == 0
    clear(folder)
    assert not folder.parent.exists()


def test_generators_do_not_see_each_other(folder: Path) -> None:
    keep(folder, 1)
    keep(folder, 1, 2, generator=b"another")
    assert found(folder, 1, 2) == [1]
    assert statistics(folder).generators == 2


def test_it_is_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        kept = RegionStore(folder, GENERATOR)
        kept.save(PAGE, 0, b"x")
        kept.flush()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        kept.close()
    finally:
        os.umask(before)
    assert modes == {FILE: 0o600, f"{FILE}-wal": 0o600, f"{FILE}-shm": 0o600}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]


# Damage


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("UPDATE records SET record = ? WHERE id = 2", record(1)),  # another page's
        ("UPDATE records SET record = ? WHERE id = 2", record(2)[:-1]),
        ("UPDATE records SET record = ? WHERE id = 2", "text"),
        ("UPDATE records SET checksum = ? WHERE id = 2", b""),
        ("UPDATE records SET head = ? WHERE id = 2", 4),
        ("UPDATE records SET head = ? WHERE id = 2", b"\xff"),
        ("UPDATE pages SET generator = ? WHERE id = 2", b"another"),
    ],
)
def test_a_record_that_is_not_what_was_saved_is_dropped(folder: Path, statement: str, value: object) -> None:
    keep(folder, 1, 2, 3)
    execute(folder, statement, value)
    generator = value if "generator" in statement and isinstance(value, bytes) else GENERATOR
    assert found(folder, 2, generator=generator) == []
    assert found(folder, 1, 2, 3) == [1, 3]
    assert statistics(folder) == StoreStatistics(2, 2, 1200, store.LIMIT, 1)
    keep(folder, 2)
    assert found(folder, 1, 2, 3) == [1, 2, 3]


def test_another_pages_records_are_not_believed(folder: Path) -> None:
    keep(folder, 1, 2)
    execute(folder, "DELETE FROM records WHERE page = 2")
    execute(folder, "UPDATE records SET page = 2")
    assert found(folder, 1, 2) == []


def test_no_flipped_bit_gets_through_or_stops_the_store(folder: Path) -> None:
    keep(folder, *range(40))
    whole = (folder / FILE).read_bytes()
    chance = random.Random(1)
    lost = 0
    for _ in range(60):
        # Every other time in the structure at the start of a block, the others in its records more likely than not.
        start = chance.randrange(0, len(whole), database._BLOCK_BYTES)
        at = start + chance.randrange(120 if chance.random() < 0.5 else database._BLOCK_BYTES)
        (folder / FILE).write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        lost += len(found(folder, *range(40))) < 40
        keep(folder, 99)
        assert found(folder, 99) == [99]
        clear(folder)
    assert lost


@pytest.mark.parametrize("length", [1, 99, 16384, 20000, -16384, -1])
def test_a_truncated_file_is_begun_anew(folder: Path, length: int) -> None:
    keep(folder, *range(100))
    whole = (folder / FILE).read_bytes()
    (folder / FILE).write_bytes(whole[:length])
    reader = RegionStore(folder, GENERATOR)
    for number in range(100):
        assert reader.load(page(number)) in ([], [record(number)])
    reader.close()
    keep(folder, 1000, 1001)
    assert found(folder, 1000, 1001) == [1000, 1001]


def test_an_emptied_file_is_begun_anew(folder: Path) -> None:
    keep(folder, 1)
    (folder / FILE).write_bytes(b"")
    assert found(folder, 1) == []
    keep(folder, 2)
    assert found(folder, 1, 2) == [2]


@pytest.mark.parametrize("garbage", [b"garbage" * 1000, b"SQLite format 3\0" + bytes(range(256)) * 100])
def test_garbage_is_begun_anew(folder: Path, garbage: bytes) -> None:
    keep(folder, 1)
    (folder / FILE).write_bytes(garbage)
    broken = RegionStore(folder, GENERATOR)
    assert broken.load(page(1)) == []
    assert broken.problem is not None and "was damaged and has been begun anew" in broken.problem
    broken.save(page(2), 0, record(2))
    broken.close()
    assert found(folder, 1, 2) == [2]


def test_what_was_saved_survives_finding_the_damage(folder: Path) -> None:
    keep(folder, 1)
    (folder / FILE).write_bytes(b"garbage" * 1000)
    keep(folder, 2)
    assert found(folder, 1, 2) == [2]


def test_a_file_that_is_damaged_again_is_given_up(folder: Path) -> None:
    unlucky = RegionStore(folder, GENERATOR)
    for number in range(3):
        unlucky.save(page(number), 0, record(number))
        unlucky.flush()
        unlucky._database.close()
        (folder / FILE).write_bytes(b"garbage" * 1000)
        assert unlucky.load(page(number)) == []
    unlucky.close()
    assert (folder / FILE).read_bytes() == b"garbage" * 1000
    keep(folder, 1)
    assert found(folder, 1) == [1]


def test_another_schema_is_begun_anew(folder: Path) -> None:
    keep(folder, 1)
    execute(folder, "CREATE TRIGGER more AFTER INSERT ON pages BEGIN DELETE FROM records; END")
    assert found(folder, 1) == []
    keep(folder, 2)
    assert found(folder, 2) == [2]


def test_a_log_without_its_file_is_not_replayed(folder: Path) -> None:
    kept = RegionStore(folder, GENERATOR)
    kept.save(page(1), 0, record(1))
    kept.flush()
    log = (folder / f"{FILE}-wal").read_bytes()
    kept.close()
    (folder / FILE).unlink()
    (folder / f"{FILE}-wal").write_bytes(log)
    (folder / f"{FILE}-wal").chmod(0o600)
    assert found(folder, 1) == []
    keep(folder, 2)
    assert found(folder, 1, 2) == [2]


def test_a_damaged_file_in_use_is_left_to_the_last_user(folder: Path) -> None:
    keep(folder, 1)
    user = RegionStore(folder, GENERATOR)
    assert user.load(page(1))
    (folder / FILE).write_bytes(b"garbage" * 10000)
    late = RegionStore(folder, GENERATOR)
    assert late.load(page(1)) == []
    late.save(page(2), 0, record(2))
    late.close()
    assert late.problem is not None and "is damaged, so compiled regions are not kept" in late.problem
    user.close()
    keep(folder, 3)
    assert found(folder, 1, 2, 3) == [3]


# Disks that refuse


def test_a_file_in_place_of_the_folder(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file")
    refused = keep(folder, 1)
    assert refused.load(page(1)) == []
    assert refused.problem is not None and refused.problem.startswith("compiled regions cannot be kept in ")
    assert refused.problem.count("\n") == 0
    assert folder.read_text() == "a file"
    with pytest.raises(StoreUnusable):
        clear(folder)


def test_a_folder_that_cannot_be_made() -> None:
    refused = keep(Path("/proc/hypernest/native"), 1)
    assert refused.problem is not None and "choose another with HYPERNEST_CACHE" in refused.problem


def test_a_folder_in_place_of_the_file(folder: Path) -> None:
    (folder / FILE).mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    refused = keep(folder, 1)
    assert refused.problem is not None and "unable to open" in refused.problem


def test_a_full_disk_stops_writing_but_not_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder, 1)
    connect = database._raw_connection

    def confined(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(database, "_raw_connection", confined)
    full = RegionStore(folder, GENERATOR)
    for number in range(2, 502):
        full.save(page(number), 0, record(number))
    full.flush()
    assert full.problem is not None and full.problem.startswith("no space is left for compiled regions in ")
    full.save(page(2), 0, record(2))
    assert full.load(page(1)) == [record(1)]
    assert full.load(page(2)) == []
    full.close()
    assert statistics(folder).records == 1


def test_a_disk_that_fails_in_the_middle_costs_nothing_but_the_regions(folder: Path) -> None:
    """The limit on file sizes makes writes fail in another way than a full disk, in a process of its own."""
    keep(folder, 1)
    program = f"""
import resource, sys
from pathlib import Path
from hypernest.engines.translator.store import RegionStore
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
store = RegionStore(Path(sys.argv[1]), {GENERATOR!r})
for number in range(500):
    store.save(number.to_bytes(16, "big"), 0, bytes(1000))
store.flush()
store.close()
print(store.problem)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stderr == ""
    assert "compiled regions" in done.stdout and done.stdout.count("\n") == 1
    assert found(folder, 1) == [1]


def test_a_locked_file_is_waited_for_only_shortly(folder: Path) -> None:
    keep(folder, 1)
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    locked_out = RegionStore(folder, GENERATOR)
    start = time.monotonic()
    for number in range(200):
        assert locked_out.load(page(number)) == []
    locked_out.save(page(2), 0, record(2))
    locked_out.flush()
    assert time.monotonic() - start < 5  # and not 200 times as long as one attempt
    assert locked_out.problem is None
    other.close()
    locked_out.close()
    assert found(folder, 1, 2) == [1, 2]


def test_a_writer_in_the_way_keeps_nobody_from_reading(folder: Path) -> None:
    keep(folder, 1)
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reader = RegionStore(folder, GENERATOR)
    reader.save(page(2), 0, record(2))
    reader.flush()
    assert reader.load(page(1)) == [record(1)]
    other.close()
    reader.flush()
    assert found(folder, 1, 2) == [1, 2]
    reader.close()


def test_waiting_records_do_not_fill_the_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LARGEST_BUFFER", 10_000)
    keep(folder, 1)
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer = RegionStore(folder, GENERATOR)
    for number in range(100, 120):
        writer.save(page(number), 0, record(number))
    assert len(writer._saved) < 20
    assert writer.problem is not None and "some regions are not kept" in writer.problem
    other.close()
    writer.close()


# Tampering


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("name", ["", FILE])
def test_what_others_could_have_written_is_not_read(folder: Path, name: str, mode: int) -> None:
    keep(folder, 1)
    (folder / name).chmod(mode | (0 if name else 0o111))
    refused = RegionStore(folder, GENERATOR)
    assert refused.load(page(1)) == []
    refused.save(page(2), 0, record(2))
    refused.close()
    assert refused.problem is not None and "chmod go-w" in refused.problem
    with pytest.raises(StoreUnusable, match="chmod go-w"):
        statistics(folder)
    (folder / name).chmod(0o700)
    assert found(folder, 1, 2) == [1]


@pytest.mark.parametrize("name", ["", FILE])
def test_what_another_user_owns_is_not_read(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(folder, 1)
    if os.geteuid() == 0:
        os.chown(folder / name, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    refused = RegionStore(folder, GENERATOR)
    assert refused.load(page(1)) == []
    assert refused.problem is not None and "chown" in refused.problem


# The limit


def test_what_was_used_least_recently_goes_first(folder: Path) -> None:
    keep(folder, *range(10))
    keep(folder, 20, generator=b"another")
    assert found(folder, 2) == [2]  # uses it
    full = keep(folder, 10, limit=6000)  # 12 records of 600 bytes: down to at most 5400
    assert full.evicted == 3
    assert found(folder, *range(11)) == [2, 4, 5, 6, 7, 8, 9, 10]
    assert found(folder, 20, generator=b"another") == [20]
    assert full.problem is None


def test_the_limit_holds(folder: Path) -> None:
    kept = RegionStore(folder, GENERATOR, limit=50_000)
    for number in range(400):
        kept.save(page(number), 0, record(number))
        if number % 10 == 9:
            kept.flush()
            assert statistics(folder).bytes <= 50_000
    kept.close()
    here = statistics(folder)
    assert here.bytes == 600 * here.records > 40_000
    assert kept.evicted == 400 - here.records
    assert found(folder, 399) == [399]
    assert (folder / FILE).stat().st_size < 400_000


def test_a_record_beyond_the_limit_is_not_kept(folder: Path) -> None:
    kept = RegionStore(folder, GENERATOR, limit=1000)
    kept.save(PAGE, 0, bytes(1001))
    assert kept.load(PAGE) == []
    kept.close()
    huge = RegionStore(folder, GENERATOR)
    huge.save(PAGE, 0, bytes(database.LARGEST_RECORD))
    huge.save(PAGE, 1, bytes(database.LARGEST_RECORD + 1))
    huge.close()
    assert list(map(len, RegionStore(folder, GENERATOR).load(PAGE))) == [database.LARGEST_RECORD]


def test_what_other_generators_have_not_used_for_long_goes(folder: Path) -> None:
    keep(folder, 1, 2, generator=b"old")
    keep(folder, 3)
    execute(folder, "UPDATE pages SET used = used - ? WHERE id != 2", 31 * 24 * 3600 * 10**9)
    kept = keep(folder, 4)
    assert kept.evicted == 0
    assert found(folder, 1, 2, generator=b"old") == [2]
    assert found(folder, 3, 4) == [3, 4]


# Many at once


def one_of_many(folder: Path, seed: int, results: multiprocessing.Queue[tuple[int, str | None]]) -> None:
    kept = RegionStore(folder, GENERATOR)
    chance = random.Random(seed)
    wrong = 0
    for step in range(300):
        number = chance.randrange(500)
        kept.save(page(number), seed, record(number, seed))
        other = chance.randrange(500)
        wrong += not set(kept.load(page(other))) <= {record(other, head) for head in range(10)}
        if step % 30 == 0:
            kept.flush()
    kept.close()
    results.put((wrong, kept.problem))


@pytest.mark.parametrize("start", ["nothing", "garbage"])
def test_ten_processes_share_a_store(folder: Path, start: str) -> None:
    if start == "garbage":
        keep(folder, 1)
        (folder / FILE).write_bytes(b"garbage" * 1000)
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[int, str | None]] = context.Queue()
    processes = [context.Process(target=one_of_many, args=(folder, seed, results)) for seed in range(10)]
    for process in processes:
        process.start()
    ended = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert [wrong for wrong, _ in ended] == [0] * 10
    reader = RegionStore(folder, GENERATOR)
    expected: dict[int, set[int]] = {}
    for seed, (_, problem) in zip(range(10), ended, strict=True):
        chance = random.Random(seed)
        for _ in range(300):
            expected.setdefault(chance.randrange(500), set()).add(seed)
            chance.randrange(500)
        assert start == "garbage" or problem is None
    complete = 0
    for number, heads in expected.items():
        loaded = reader.load(page(number))
        assert set(loaded) <= {record(number, head) for head in heads}
        complete += len(loaded) == len(heads)
    assert complete == len(expected) or start == "garbage"
    reader.close()
    keep(folder, 1000)
    assert found(folder, 1000) == [1000]


def test_a_fork_does_not_carry_the_file_along(folder: Path) -> None:
    keep(folder, 1)
    parent = RegionStore(folder, GENERATOR)
    assert parent.load(page(1))
    parent.save(page(2), 0, record(2))
    child = os.fork()
    if child == 0:
        try:
            carried_along = parent._database._connection is not None
            parent.save(page(3), 0, record(3))
            parent.close()
            os._exit(0 if parent.load(page(1)) and not carried_along else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert parent.load(page(3)) == [record(3)]
    parent.close()
    assert found(folder, 1, 2, 3) == [1, 2, 3]


def test_another_thread_may_take_it_over(folder: Path) -> None:
    keep(folder, 1)
    passed_on = RegionStore(folder, GENERATOR)
    assert passed_on.load(page(1))
    passed_on.save(page(2), 0, record(2))
    thread = threading.Thread(target=passed_on.close)
    thread.start()
    thread.join()
    assert passed_on.problem is None
    assert found(folder, 1, 2) == [1, 2]


# Clearing


def test_clear_removes_all_of_it(folder: Path) -> None:
    keep(folder, 1)
    (folder / "interpreter-x.o").touch()
    clear(folder)
    assert [path.name for path in folder.iterdir()] == ["interpreter-x.o"]


@pytest.fixture
def in_use(folder: Path) -> Iterator[RegionStore]:
    keep(folder, *range(100))
    user = RegionStore(folder, GENERATOR)
    assert user.load(page(1))
    yield user
    user.close()


def test_clear_empties_a_store_in_use(folder: Path, in_use: RegionStore) -> None:
    clear(folder)
    assert statistics(folder).records == 0
    assert in_use.load(page(1)) == []
    in_use.save(page(2), 0, record(2))
    in_use.flush()
    assert found(folder, 1, 2) == [2]
    assert in_use.problem is None


def test_clear_takes_damage_away(folder: Path) -> None:
    keep(folder, 1)
    (folder / FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreUnusable, match="hypernest cache clear"):
        statistics(folder)
    clear(folder)
    assert statistics(folder).records == 0
