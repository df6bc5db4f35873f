"""Archives that are damaged, cut short, of another version or made up: refused in one sentence, or exactly right."""

from __future__ import annotations

import os
import resource
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import zstandard

from hypernest.errors import HypernestError
from hypernest.history.archive import BLOCK, Archive, BadSnapshot, SnapshotTooLarge
from hypernest.history.archive.format import RUN, digest, new_header
from tests.history.archive.content import laid_out, loaded, page, pages, save

ROOT = struct.Struct("<QQQQ32s")
START = len(new_header())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def small(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """What is in a small archive at `path`: two snapshots that share pages."""
    archive = Archive(path, writable=True)
    contents = {"one": pages(5), "two": {**pages(5), 1: page(77), 9: page(78)}}
    for name, content in contents.items():
        save(archive, name, content, name.encode())
    return {name: (name.encode(), laid_out(content)) for name, content in contents.items()}


def refused_or_right(path: Path, contents: dict[str, tuple[bytes, bytes]]) -> int:
    """How many of the snapshots are refused; the others have their content."""
    errors = []
    for name, content in contents.items():
        try:
            found = loaded(path, name)
        except BadSnapshot as error:
            errors.append(str(error))
        else:
            assert found == content
    assert all("\n" not in error and str(path) in error for error in errors)
    return len(errors)


def test_any_byte_changed(path: Path, small: dict[str, tuple[bytes, bytes]]) -> None:
    good = path.read_bytes()
    random = Random(1)
    padding = random.sample(range(START), 50)
    refused = 0
    for at in (*range(60), *range(4096, 4250), *range(8192, 8350), *padding, *range(START, len(good), 3)):
        bad = bytearray(good)
        bad[at] ^= 1 << random.randrange(8)
        path.write_bytes(bad)
        count = refused_or_right(path, small)
        refused += count > 0
        assert count == 2 or at >= START or at >= 48, f"byte {at} of the header does not matter"
    assert refused > 0.3 * (len(good) - START)


def test_any_piece_overwritten(path: Path, small: dict[str, tuple[bytes, bytes]]) -> None:
    good = path.read_bytes()
    random = Random(2)
    for _ in range(300):
        bad = bytearray(good)
        at, length = random.randrange(len(good)), random.choice((2, 8, 64, 512, 4096))
        bad[at : at + length] = random.choice((bytes, random.randbytes))(len(bad[at : at + length]))
        path.write_bytes(bad)
        refused_or_right(path, small)


def test_cut_at_any_length(path: Path, small: dict[str, tuple[bytes, bytes]]) -> None:
    good = path.read_bytes()
    for length in (*range(200), *range(200, START, 97), *range(START, len(good))):
        path.write_bytes(good[:length])
        with pytest.raises(BadSnapshot, match="cut short|holds no snapshots|does not say"):
            Archive(path)
        assert length % 50 or refused_or_right(path, small) == 2


def test_what_follows_the_end_does_not_matter(path: Path, small: dict[str, tuple[bytes, bytes]]) -> None:
    path.write_bytes(path.read_bytes() + b"junk" * 1000)
    assert refused_or_right(path, small) == 0


def test_another_version(path: Path, small: dict[str, tuple[bytes, bytes]]) -> None:
    good = path.read_bytes()
    head = struct.pack("<8sII", good[:8], 2, BLOCK)
    path.write_bytes(head + digest(head) + good[48:])
    with pytest.raises(BadSnapshot, match=r"have format 2 .* knows format 1 .*: use the version that wrote them"):
        Archive(path)


# --- made up -------------------------------------------------------------------------------------------------------


def frame(count: int = 2) -> bytes:
    return zstandard.compress(b"".join(page(number) for number in range(count)))


@dataclass
class Crafted:
    """An archive with one commit, everything in it rightly signed and open to change; see `format.Commit`."""

    frames: list[tuple[bytes, int]] = field(default_factory=lambda: [(frame(), 2)])
    sums: list[bytes] = field(default_factory=lambda: [digest(page(0)), digest(page(1))])
    state: tuple[int, int, list[tuple[int, int, int]]] = (BLOCK, 1, [(0, 0, 1)])
    ram: tuple[int, int, list[tuple[int, int, int]]] = (8 * BLOCK, 2, [(0, 0, 1), (3, 1, 1)])
    name: Any = "x"
    about: bytes = b"\x80"
    record: Callable[[list[Any]], None] = lambda record: None
    """Changes name, created, parent, about, streams, begin, frames, digests and previous before they are signed."""
    root: Callable[[list[Any]], None] = lambda root: None
    """Changes the root: sequence, end, offset, length and digest of the record."""

    def write(self, path: Path) -> None:
        data = bytearray(new_header())

        def extent(content: bytes) -> list[Any]:
            data.extend(content)
            return [len(data) - len(content), len(content), digest(content)]

        for content, _ in self.frames:
            extent(content)
        sums = extent(b"".join(self.sums))
        streams = {
            name: [size, blocks, extent(b"".join(RUN.pack(*run) for run in runs))]
            for name, (size, blocks, runs) in (("state", self.state), ("ram", self.ram))
        }
        frames = [[len(content), count] for content, count in self.frames]
        record = [self.name, 0, None, self.about, streams, START, frames, sums, None]
        self.record(record)
        packed = extent(msgspec.msgpack.encode(record))
        root = [1, len(data), *packed]
        self.root(root)
        signed = ROOT.pack(*root)
        signed += digest(signed)
        data[4096 : 4096 + len(signed)] = data[8192 : 8192 + len(signed)] = signed
        path.write_bytes(data)


def attempt(path: Path) -> bytes:
    """Load all of it the hard way; what is there of RAM up to 1 MiB."""
    with Archive(path).load("x") as saved:
        assert len(saved.state) <= 1 << 20
        stream = saved.open("ram")
        stream.content_digest()
        stream.read(3)
        file = os.memfd_create("test")
        try:
            stream.fill(file)
            return os.pread(file, 1 << 20, 0)
        finally:
            os.close(file)


def put(index: int, value: Any) -> Callable[[list[Any]], None]:
    def change(items: list[Any]) -> None:
        items[index] = value

    return change


def inside(*way: Any, value: Any) -> Callable[[list[Any]], None]:
    def change(items: Any) -> None:
        for step in way[:-1]:
            items = items[step]
        items[way[-1]] = value

    return change


def itself(record: list[Any]) -> None:
    record[8] = [START, 10, bytes(32)]


HUGE = 2**63 - 1
HOSTILE = {
    "a frame of another content": Crafted(frames=[(zstandard.compress(bytes(2 * BLOCK)), 2)]),
    "a frame that claims and holds a gigabyte": Crafted(frames=[(zstandard.compress(bytes(1 << 30)), 2)]),
    "a frame that claims an exabyte": Crafted(
        frames=[(b"\x28\xb5\x2f\xfd\xc0\x38" + b"\x00" * 7 + b"\x10" + bytes(9), 2)]
    ),
    "a frame that does not say": Crafted(
        frames=[(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 30)), 2)]
    ),
    "a frame and more": Crafted(frames=[(frame() + b"more", 2)]),
    "two frames in one": Crafted(frames=[(frame() + frame(), 2)]),
    "no frame": Crafted(frames=[(b"no frame at all", 2)]),
    "fewer pages": Crafted(frames=[(frame(1), 2)]),
    "more pages": Crafted(frames=[(frame(3), 2)]),
    "too many pages in a frame": Crafted(frames=[(frame(65), 65)], sums=[digest(page(each)) for each in range(65)]),
    "an empty frame": Crafted(frames=[(frame(), 2), (b"", 0)]),
    "fewer digests": Crafted(sums=[digest(page(0))]),
    "wrong digests": Crafted(sums=[digest(page(1)), digest(page(0))]),
    "a page that is not there": Crafted(ram=(8 * BLOCK, 1, [(0, 2, 1)])),
    "a run beyond all pages": Crafted(ram=(BLOCK << 32, (1 << 32) - 1, [(0, 0, (1 << 32) - 1)])),
    "a run beyond the stream": Crafted(ram=(2 * BLOCK, 2, [(1, 0, 2)])),
    "a run of nothing": Crafted(ram=(2 * BLOCK, 0, [(1, 0, 0)])),
    "a block twice": Crafted(ram=(8 * BLOCK, 3, [(0, 0, 2), (1, 1, 1)])),
    "runs in another order": Crafted(ram=(8 * BLOCK, 2, [(3, 0, 1), (0, 1, 1)])),
    "another number of blocks": Crafted(ram=(8 * BLOCK, 3, [(0, 0, 2)])),
    "a huge stream": Crafted(ram=((BLOCK << 32) + 1, 0, [])),
    "half a run": Crafted(record=inside(4, "ram", 2, 1, value=13)),
    "a state with holes": Crafted(state=(2 * BLOCK, 1, [(0, 0, 1)])),
    "a huge state": Crafted(state=(1 << 40, 1 << 28, [(each, 0, 1) for each in range(1 << 12)])),
    "a large state of one page": Crafted(state=(BLOCK << 15, 1 << 15, [(each, 0, 1) for each in range(1 << 15)])),
    "no state": Crafted(record=lambda record: record[4].pop("state")),
    "no name": Crafted(name=""),
    "a name that paints": Crafted(name="\x1b[31mx"),
    "a number for a name": Crafted(name=7),
    "a stream's name that paints": Crafted(record=inside(4, "\x1b[2J", value=[0, 0, [START, 0, digest(b"")]])),
    "a negative size": Crafted(record=inside(4, "ram", 0, value=-1)),
    "a size beyond 64 bits": Crafted(record=inside(4, "ram", 0, value=2**64 - 1)),
    "frames that begin in the header": Crafted(record=put(5, 0)),
    "frames that begin far away": Crafted(record=put(5, HUGE)),
    "frames of other lengths": Crafted(record=inside(6, 0, 0, value=5)),
    "frames of huge lengths": Crafted(record=inside(6, 0, 0, value=HUGE)),
    "digests in the frames": Crafted(record=inside(7, 0, value=START)),
    "digests far away": Crafted(record=inside(7, 0, value=HUGE)),
    "digests of huge length": Crafted(record=inside(7, 1, value=HUGE)),
    "digests without a digest": Crafted(record=inside(7, 2, value=b"")),
    "a previous commit in this one": Crafted(record=itself),
    "a previous commit before everything": Crafted(record=put(8, [0, START, digest(new_header())])),
    "a previous commit of nothing": Crafted(record=put(8, [START, 0, digest(b"")])),
    "a previous commit far away": Crafted(record=put(8, [HUGE, HUGE, bytes(32)])),
    "one field more": Crafted(record=lambda record: record.append(0)),
    "one field less": Crafted(record=lambda record: record.pop()),
    "an end before the beginning": Crafted(root=put(1, 100)),
    "a root beyond all others": Crafted(root=put(0, 2**64 - 1)),
    "an end behind the file": Crafted(root=put(1, HUGE)),
    "a record in the header": Crafted(root=put(2, 0)),
    "a record far away": Crafted(root=put(2, HUGE)),
    "a record of huge length": Crafted(root=put(3, HUGE)),
    "a record of a wrong digest": Crafted(root=put(4, bytes(32))),
}


def test_what_is_crafted_right_is_loaded(path: Path) -> None:
    Crafted().write(path)
    assert attempt(path) == laid_out({0: page(0), 3: page(1), 7: bytes(BLOCK)})


@pytest.mark.parametrize("crafted", HOSTILE.values(), ids=HOSTILE)
def test_what_is_crafted_wrong_is_refused(path: Path, crafted: Crafted) -> None:
    crafted.write(path)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(BadSnapshot, match=f"the snapshots in {path} are damaged .*: use another copy"):
        attempt(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "about", [b"", b"\xc1", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\x81\xa1\xff\x00", b"\x05"]
)
def test_descriptions_are_not_trusted(path: Path, about: bytes) -> None:
    Crafted(about=about).write(path)
    with pytest.raises(BadSnapshot, match="a description is garbled"):
        Archive(path).entries()


@pytest.mark.parametrize("record", [b"", b"\xc1", b"\x99" * 100_000, b"\xdd\xff\xff\xff\xff", b"\x99\xa1\xff"])
def test_records_are_not_trusted(path: Path, record: bytes) -> None:
    crafted = Crafted()
    crafted.write(path)
    data = bytearray(path.read_bytes())
    offset = len(data)
    data += record
    root = ROOT.pack(1, len(data), offset, len(record), digest(record))
    for at in (4096, 8192):
        data[at : at + len(root) + 32] = root + digest(root)
    path.write_bytes(data)
    if record:
        with pytest.raises(BadSnapshot, match="a record is garbled"):
            Archive(path)
    else:
        assert Archive(path).entries() == []


def test_more_than_the_host_has_is_refused_before_anything_is_written(path: Path) -> None:
    """One page many times: the file is small, the content is not."""
    runs = [(block, 0, 1) for block in range(1 << 18)]
    crafted = Crafted(ram=(1 << 40, 1 << 18, runs))
    crafted.write(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypernest.history.archive.reading._available_memory", lambda: 1 << 29)
        for take in (attempt, lambda path: Archive(path).load("x").open("ram").image()):
            with pytest.raises(SnapshotTooLarge, match=r"needs 1.1 GB of memory and 0.5 GB are free: free some"):
                take(path)
        patch.setattr("hypernest.history.archive.reading._available_memory", lambda: 1 << 20)
        with pytest.raises(SnapshotTooLarge):
            next(Archive(path).load("x").open("ram").all_blocks())


def test_pages_known_twice_do_no_harm(path: Path) -> None:
    """An archive may name a page twice; what is saved into it and what stays is right all the same."""
    Crafted(sums=[digest(page(0))] * 2, frames=[(zstandard.compress(page(0) * 2), 2)]).write(path)
    archive = Archive(path, writable=True)
    save(archive, "y", pages(9))
    archive.delete("x")
    assert loaded(path, "y") == (b"state", laid_out(pages(9)))


def leaves(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way] * bool(way) + [each for key, item in items for each in leaves(item, (*way, key))]


def test_any_field_changed_and_signed_again(path: Path) -> None:
    random = Random(3)
    kept: list[Any] = []
    Crafted(record=kept.append).write(path)
    fields = leaves(kept[0])
    values: list[Any] = [0, 1, 2, 3, 12, 24, 64, 4096, START, START + 100, 2**31, 2**32 - 1, 2**32, HUGE, -1, 2**64 - 1]
    values += ["", "y", None, [], {}, b"", bytes(32), True, 0.5]
    refused = right = 0
    for way in fields:
        for value in values if len(way) > 1 else random.sample(values, 12):
            Crafted(record=inside(*way, value=value)).write(path)
            try:
                attempt(path)
                right += 1
            except HypernestError:
                refused += 1
    assert refused > 200 and right > 5
