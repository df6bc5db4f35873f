"""Copy on write: images never change, memories never see each other, whatever is frozen, shared or restored when."""

from __future__ import annotations

import gc
import mmap
import os
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from hypernest.errors import BadConfiguration
from hypernest.memory import GuestMemory, MemoryImage, guest_memory
from hypernest.memory.image import PAGE

BASE = 0x8000_0000
PAGES = 12
SIZE = PAGES * PAGE

PLACES = st.integers(0, SIZE - 1)
CONTENTS = st.one_of(st.binary(min_size=1, max_size=40), st.just(bytes(PAGE)), st.just(b"\1" * (2 * PAGE)))


def _pages(content: bytes) -> dict[int, bytes]:
    """What is not zero, page by page."""
    every = {at // PAGE: content[at : at + PAGE] for at in range(0, len(content), PAGE)}
    return {number: page for number, page in every.items() if page != bytes(PAGE)}


class SharedMemories(RuleBasedStateMachine):
    """Several memories and the images taken of them, against what each must hold."""

    memories = Bundle("memories")
    images = Bundle("images")

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[GuestMemory, bytearray] = {}
        self.frozen: dict[int, tuple[MemoryImage, bytes]] = {}

    @initialize(target=memories)
    def begin(self) -> GuestMemory:
        memory = GuestMemory(BASE, SIZE)
        self.open[memory] = bytearray(SIZE)
        return memory

    @rule(memory=memories, at=PLACES, data=CONTENTS)
    def write(self, memory: GuestMemory, at: int, data: bytes) -> None:
        data = data[: SIZE - at]
        memory.write(BASE + at, data)
        self.open[memory][at : at + len(data)] = data

    @rule(target=images, memory=memories)
    def freeze(self, memory: GuestMemory) -> MemoryImage:
        image = memory.freeze()
        self.frozen[id(image)] = image, bytes(self.open[memory])
        return image

    @rule(target=memories, image=images)
    def share(self, image: MemoryImage) -> GuestMemory:
        memory = GuestMemory(BASE, SIZE, image)
        self.open[memory] = bytearray(self.frozen[id(image)][1])
        return memory

    @rule(memory=memories, image=images)
    def restore(self, memory: GuestMemory, image: MemoryImage) -> None:
        before, after = bytes(self.open[memory]), self.frozen[id(image)][1]
        changed = {page for first, end in memory.restore(image) for page in range(first, end)}
        self.open[memory][:] = after
        differ = {at // PAGE for at in range(0, SIZE, PAGE) if before[at : at + PAGE] != after[at : at + PAGE]}
        assert differ <= changed, "what engines have seen there would not be forgotten"

    @rule(memory=consumes(memories))
    def close(self, memory: GuestMemory) -> None:
        if len(self.open) > 1:
            memory.close()
            del self.open[memory]

    @rule()
    def all_is_as_it_must_be(self) -> None:
        for memory, content in self.open.items():
            assert memory.read(BASE, SIZE) == content
            assert dict(memory.nonzero_pages()) == _pages(bytes(content))
        for image, kept in self.frozen.values():
            assert image.pages() == _pages(kept)

    def teardown(self) -> None:
        self.all_is_as_it_must_be()
        for memory in self.open:
            memory.close()


HOSTS = ["as it is", "without pagemap", "other page size"]


@pytest.mark.parametrize("many_changes", [0, 2, 32768])
@pytest.mark.parametrize("few_changes", [0, 2, 256])
@pytest.mark.parametrize("host", HOSTS)
def test_memories_and_images_hold_what_they_must(
    host: str, few_changes: int, many_changes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(host, monkeypatch)
    monkeypatch.setattr(guest_memory, "_MANY_CHANGES", many_changes)
    monkeypatch.setattr(guest_memory, "_FEW_CHANGES", few_changes)
    case = settings(max_examples=8, stateful_step_count=25, deadline=None)
    SharedMemories.TestCase.settings = case
    SharedMemories.TestCase("runTest").runTest()


def _pretend(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host == "without pagemap":
        original = os.open

        def refuse(path: str, *arguments: int) -> int:
            if path == "/proc/self/pagemap":
                raise PermissionError(path)
            return original(path, *arguments)

        monkeypatch.setattr(os, "open", refuse)
    if host == "other page size":
        monkeypatch.setattr(mmap, "PAGESIZE", 4 * PAGE)


def test_an_image_outlives_its_memory() -> None:
    with GuestMemory(BASE, SIZE) as memory:
        memory.write(BASE + 5, b"kept")
        image = memory.freeze()
        memory.write(BASE + 5, b"lost")
        later = memory.freeze()
    with GuestMemory(BASE, SIZE, image) as one, GuestMemory(BASE, SIZE, later) as other:
        assert one.read(BASE + 5, 4) == b"kept"
        assert other.read(BASE + 5, 4) == b"lost"
    assert list(image.pages()) == [0]


def test_a_frozen_memory_is_shared_until_it_is_written() -> None:
    size = 64 << 20
    with GuestMemory(BASE, size) as memory:
        memory.write(BASE, b"\1" * size)
        assert memory.resident_size >= size
        image = memory.freeze()
        assert memory.resident_size == 0
        with GuestMemory(BASE, size, image) as other:
            assert other.resident_size == 0
            assert other.read(BASE + size - 1, 1) == b"\1"
            assert other.resident_size == 0
            other.write(BASE + 7 * PAGE + 1, b"x")
            assert other.resident_size == PAGE
            assert memory.resident_size == 0


def test_a_second_image_shares_the_unchanged_pages_of_the_first() -> None:
    with GuestMemory(BASE, SIZE) as memory:
        memory.freeze()
        memory.write(BASE, b"one")
        first = memory.freeze()
        assert memory.freeze() is first
        memory.write(BASE + 3 * PAGE, b"two")
        second = memory.freeze()
        assert second.file is first.file
        assert second.changed[0] is first.changed[0]
        assert sorted(second.changed) == [0, 3]


def test_many_changes_make_a_file_of_their_own_and_earlier_images_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_memory, "_MANY_CHANGES", 3)
    with GuestMemory(BASE, SIZE) as memory:
        images = []
        for step in range(40):
            for page in range(step % PAGES + 1):
                memory.write(BASE + page * PAGE, step.to_bytes(2, "little"))
            images.append((memory.freeze(), memory.read(BASE, SIZE)))
            assert len(images[-1][0].changed) <= 3
        for image, content in reversed(images):
            memory.restore(image)
            assert memory.read(BASE, SIZE) == content


@pytest.mark.parametrize("pages", [5, 300], ids=["few", "many"])
def test_going_back_to_the_image_that_it_began_with_costs_by_what_was_written(pages: int) -> None:
    size = 1024 * PAGE
    with GuestMemory(BASE, size) as origin:
        origin.write(BASE, b"\1" * size)
        origin.freeze()
        for page in range(pages):
            origin.write(BASE + page * PAGE, b"\2")
        image = origin.freeze()
        with GuestMemory(BASE, size, image) as child:
            for _ in range(3):
                child.write(BASE + 700 * PAGE, b"\3")
                child.write(BASE, b"\3")
                runs = child.restore(image)
                assert sum(end - first for first, end in runs) <= 2 + 2 * 5
                assert child.read(BASE, 1) == b"\2"
                assert child.read(BASE + 700 * PAGE, 1) == b"\1"
            assert child.freeze() is child.freeze()


def test_listeners_hear_nothing_of_a_restore() -> None:
    with GuestMemory(BASE, SIZE) as memory:
        image = memory.freeze()
        heard: list[tuple[int, int]] = []
        memory.write(BASE, b"x")
        memory.on_write(lambda address, count: heard.append((address, count)))
        assert memory.restore(image) == [(0, 1)]
        assert heard == []


def test_a_memory_of_another_size_cannot_begin_with_an_image() -> None:
    with GuestMemory(BASE, SIZE) as memory:
        image = memory.freeze()
    for size in (SIZE + 4 * PAGE, SIZE - 4 * PAGE):
        with pytest.raises(BadConfiguration, match="image"), GuestMemory(BASE, size, image):
            pass
    with GuestMemory(BASE, 2 * SIZE) as larger, pytest.raises(BadConfiguration, match="image"):
        larger.restore(image)


def test_nothing_leaks_over_a_thousand_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_memory, "_MANY_CHANGES", 3)
    with GuestMemory(BASE, SIZE) as memory:
        image = memory.freeze()

        def use(number: int) -> None:
            with GuestMemory(BASE, SIZE, image) as child:
                for page in range(number % 6):
                    child.write(BASE + page * PAGE, b"x")
                own = child.freeze()
                child.write(BASE, b"y")
                child.restore(image)
                child.restore(own)

        for number in range(12):
            use(number)
        gc.collect()
        files, mappings = len(os.listdir("/proc/self/fd")), _mappings()
        for number in range(1000):
            use(number)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == files
        assert abs(_mappings() - mappings) < 20


def _mappings() -> int:
    return Path("/proc/self/maps").read_text().count("\n")


def test_a_closed_memory_has_nothing_and_gives_its_file_back() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    memory = GuestMemory(BASE, SIZE)
    image = memory.freeze()
    with GuestMemory(BASE, SIZE, image):
        assert len(os.listdir("/proc/self/fd")) == before + 1  # one, however many share it
    memory.close()
    memory.close()
    assert memory.resident_size == 0
    assert memory.host_address == 0
    assert not memory.contains(BASE, 1)
    del image
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_no_image_needs_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_memory, "_MANY_CHANGES", 3)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    with GuestMemory(BASE, SIZE) as memory:
        first = memory.freeze()
        memory.write(BASE, b"\1" * SIZE)
        second = memory.freeze()
        assert first.file is not second.file
        del first
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == before + 1


def test_a_large_memory_is_shared_sparsely() -> None:
    size = 1 << 36
    with GuestMemory(BASE, size) as memory:
        memory.write(BASE + size - PAGE, b"end")
        image = memory.freeze()
        with GuestMemory(BASE, size, image) as other:
            assert other.read(BASE + size - PAGE, 3) == b"end"
            assert other.read(BASE, 3) == bytes(3)
