"""Coverage of guests: bitmaps, blocks, files for viewers, and loops of fuzzers."""

from __future__ import annotations

import re
import struct
import time
from pathlib import Path

import pytest

from hypernest.machine import Machine
from hypernest.machine.coverage import BadCoverage, Block, Coverage, Module
from hypernest.machine.hooks import BadHook, HookEvent
from tests.machine.small_guests import KERNEL, hosted

PARSER = """
        li   s0, 0x80210000     # 0, 4, 8
    1:  lbu  t0, 0(s0)          # 12
        beqz t0, done           # 16
        addi s0, s0, 1          # 20
        li   t1, 65             # 24
        bne  t0, t1, 2f         # 28
        addi a0, a0, 1          # 32
        c.addi a1, 3            # 36
        c.j 1b                  # 38
    2:  li   t1, 66             # 40
        bne  t0, t1, 1b         # 44
        addi a2, a2, 1          # 48
        j    1b                 # 52
    done: j done                # 56
"""
ALWAYS = [0, 4, 8, 12, 16, 56]
WITH_A = sorted([*ALWAYS, 20, 24, 28, 32, 36, 38])


@pytest.fixture(params=["reference", "interpreter", "translator"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return hosted(PARSER, engine=request.param)


def parse(machine: Machine, text: bytes) -> None:
    machine.memory.write(0x8021_0000, text + b"\0")
    machine.harts[0].pc = KERNEL
    machine.run(200)


def offsets(coverage: Coverage) -> list[int]:
    return [address - KERNEL for address in coverage.addresses()]


def test_what_was_executed(machine: Machine) -> None:
    coverage = machine.hooks.coverage((KERNEL, KERNEL + 64))
    parse(machine, b"")
    assert offsets(coverage) == ALWAYS
    assert coverage.count == 6
    assert KERNEL + 12 in coverage
    assert KERNEL + 20 not in coverage
    parse(machine, b"AAA")
    assert offsets(coverage) == WITH_A
    assert coverage.bitmap() == sum(1 << at // 2 for at in WITH_A).to_bytes(4, "little")
    assert coverage.blocks() == [
        Block(KERNEL, 20),
        Block(KERNEL + 20, 12),
        Block(KERNEL + 32, 8),
        Block(KERNEL + 56, 4),
    ]


def test_what_is_new(machine: Machine) -> None:
    coverage = machine.hooks.coverage((KERNEL, KERNEL + 64))
    parse(machine, b"A")
    assert len(coverage.new()) == len(WITH_A)
    parse(machine, b"AAAA")
    assert coverage.new() == []
    parse(machine, b"AB")
    assert [address - KERNEL for address in coverage.new()] == [40, 44, 48, 52]


def test_clearing(machine: Machine) -> None:
    coverage = machine.hooks.coverage((KERNEL, KERNEL + 64))
    parse(machine, b"AAA")
    coverage.clear()
    assert coverage.count == 0
    parse(machine, b"")
    assert offsets(coverage) == ALWAYS
    assert len(coverage.new()) == len(ALWAYS)


def test_clearing_in_the_middle_of_a_run(machine: Machine) -> None:
    coverage = machine.hooks.coverage((KERNEL, KERNEL + 64))
    machine.memory.write(0x8021_0000, b"AAA\0")

    def clear(event: HookEvent) -> None:
        coverage.clear()

    machine.hooks.execute(KERNEL + 56, clear).enabled = True
    machine.run(100)
    assert offsets(coverage) in ([56], [])
    machine.hooks.clear()
    machine.run(10)
    assert offsets(coverage) == [56]


def test_detached(machine: Machine) -> None:
    with machine.hooks.coverage((KERNEL, KERNEL + 64)) as coverage:
        parse(machine, b"")
    parse(machine, b"AB")
    assert offsets(coverage) == ALWAYS
    coverage.detach()
    assert "6 instructions" in repr(coverage)


def test_two_at_once(machine: Machine) -> None:
    first = machine.hooks.coverage((KERNEL, KERNEL + 64))
    parse(machine, b"")
    second = machine.hooks.coverage((KERNEL + 20, KERNEL + 40), (KERNEL + 48, KERNEL + 56))
    parse(machine, b"AB")
    assert offsets(second) == [20, 24, 28, 32, 36, 38, 48, 52]
    assert len(second.bitmap()) == 2 + 1
    assert set(second.addresses()) < set(first.addresses())


def test_a_restored_snapshot_keeps_what_was_collected(machine: Machine) -> None:
    base = machine.snapshot()
    coverage = machine.hooks.coverage((KERNEL, KERNEL + 64))
    for text, new in ((b"A", 12), (b"AA", 0), (b"B", 4), (b"", 0)):
        machine.restore(base)
        parse(machine, text)
        assert len(coverage.new()) == new, text


def test_a_file_for_viewers(machine: Machine, tmp_path: Path) -> None:
    coverage = machine.hooks.coverage(Module("parser, really\n", KERNEL, KERNEL + 64))
    parse(machine, b"A")
    path = tmp_path / "parser.drcov"
    coverage.write_drcov(path)
    assert read_drcov(path) == (
        [("parser? really?", KERNEL, KERNEL + 64)],
        [(0, 20, 0), (20, 12, 0), (32, 8, 0), (56, 4, 0)],
    )
    coverage.write_drcov(path, [Module("nothing", 0x1000, 0x2000), Module("vmlinux", KERNEL - 0x1000, KERNEL + 0x1000)])
    assert read_drcov(path)[1][0] == (0x1000, 20, 1)
    with pytest.raises(BadCoverage, match="cannot be written"):
        coverage.write_drcov(tmp_path / "nowhere" / "file")
    with pytest.raises(BadCoverage, match="room for modules"):
        coverage.write_drcov(path, [Module("all", 0, 1 << 64)])


def read_drcov(path: Path) -> tuple[list[tuple[str, int, int]], list[tuple[int, int, int]]]:
    """As viewers read it: a header of lines, a table of modules, then blocks of eight bytes."""
    data = path.read_bytes()
    header, _, rest = data.partition(b"BB Table: ")
    lines = header.decode().splitlines()
    assert lines[:2] == ["DRCOV VERSION: 2", "DRCOV FLAVOR: drcov"]
    found = re.fullmatch(r"Module Table: version 2, count (\d+)", lines[2])
    assert found is not None
    assert lines[3] == "Columns: id, base, end, entry, path"
    rows = [line.split(", ") for line in lines[4:]]
    assert [int(row[0]) for row in rows] == list(range(int(found[1])))
    count, _, blocks = rest.partition(b" bbs\n")
    assert len(blocks) == 8 * int(count)
    return [(row[4], int(row[1], 16), int(row[2], 16)) for row in rows], list(struct.iter_unpack("<IHH", blocks))


def test_clearing_is_quick() -> None:
    """For every input of a fuzzer: a handful of pages, well below a millisecond with what follows from it."""
    with hosted(PARSER, engine="interpreter") as machine:
        coverage = machine.hooks.coverage((KERNEL, KERNEL + (1 << 16)))
        machine.run(1000)
        spent = []
        for _ in range(50):
            begin = time.perf_counter()
            coverage.clear()
            machine.run(1)
            spent.append(time.perf_counter() - begin)
        assert sorted(spent)[10] < 1e-3


def test_what_cannot_be_covered() -> None:
    with hosted(PARSER) as machine:
        for where in ((5, 5), (8, 4), (-4, 4), (0, 1 << 65)):
            with pytest.raises(BadHook, match="there is no code"):
                machine.hooks.coverage(where)
        with pytest.raises(BadHook, match="more than 256 MiB"):
            machine.hooks.coverage((0, 1 << 40))
        with pytest.raises(BadHook, match="no code to cover"):
            machine.hooks.coverage()
