"""Profiles: exact shares, the same on every engine, and formats that can be read back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hypernest.debug import profile as profiles
from hypernest.debug.profile import ELSEWHERE, Names, Point, Profile, Stacks
from hypernest.debug.profile_formats import folded, speedscope
from hypernest.debug.profile_picture import picture
from hypernest.debug.symbol_files import program_symbols
from hypernest.debug.symbols import Symbol, Symbols, SymbolTable
from hypernest.engines.hart_state import HartState
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.machine import Machine, StopKind
from tests.debug.guests import INSTRUCTIONS, TWO_FUNCTIONS, build
from tests.machine.small_guests import FINISHER, bare, hosted, on_every_engine

MODES = {0: "user", 1: "kernel", 3: "machine"}
NO_SYMBOLS = Symbols([])

# A timer that interrupts now and then, calls of the monitor, waiting, and an end.
EVENTFUL = f"""
    la    t0, handler
    csrw  stvec, t0
    li    t0, 0x20
    csrw  sie, t0
    li    s3, 20
    li    t0, 3
    csrw  stimecmp, t0
    csrwi sstatus, 2
loop:
    addi  s0, s0, 1
    andi  t1, s0, 63
    bnez  t1, loop
    li    a7, 0x10
    li    a6, 0
    ecall
    wfi
    j     loop
handler:
    csrr  t2, time
    addi  t2, t2, 3
    csrw  stimecmp, t2
    addi  s3, s3, -1
    beqz  s3, end
    sret
end:
    li    t0, {FINISHER:#x}
    li    t1, 0x5555
    sw    t1, 0(t0)
1:  j     1b
"""

SPIN_ON_EACH = """
    csrr  t0, mhartid
    bnez  t0, other
1:  j     1b
other:
    j     other
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TWO_FUNCTIONS, tmp_path_factory.mktemp("elf"))


def names(machine: Machine, harts: bool = False) -> Names:
    return Names(Symbols([program_symbols(each) for each in machine.programs]), MODES, harts)


@on_every_engine
def test_every_instruction_is_counted_where_it_was_executed(program: Path, engine: str) -> None:
    profile = Profile(period=1)
    with Machine(kernel=program, engine=engine, memory="16M") as machine:
        machine.sample_with(profile)
        assert machine.run(100_000).kind is StopKind.POWER_OFF
        stacks = names(machine).stacks(profile)
        assert profile.instructions == machine.instructions
    total: Counter[tuple[str, ...]] = Counter()
    for stack, steps in stacks:
        total[stack] += steps
    assert total == {("kernel", name): steps for name, steps in INSTRUCTIONS.items()}


@on_every_engine
def test_samples_are_near_the_truth_and_none_is_lost(program: Path, engine: str) -> None:
    profile = Profile(period=101)
    with Machine(kernel=program, engine=engine, memory="16M") as machine:
        machine.sample_with(profile)
        machine.run()
        stacks = names(machine).stacks(profile)
        assert profile.instructions == machine.instructions
    total = Counter[str]()
    for stack, steps in stacks:
        total[stack[-1]] += steps
    for name, steps in INSTRUCTIONS.items():
        assert abs(total[name] - steps) < 0.05 * sum(INSTRUCTIONS.values()), name


def _run_eventful(engine: str, profile: Profile | None, piece: int | None = None) -> tuple[int, int, int, int]:
    with hosted(EVENTFUL, engine=engine) as machine:
        machine.sample_with(profile)
        while machine.run(piece).kind is StopKind.LIMIT:
            pass
        return machine.instructions, machine.now, machine.harts[0].x["s0"], machine.harts[0].retired


@pytest.mark.parametrize("period", [1, 7, 100])
def test_engines_agree_and_the_guest_does_not_notice(period: int) -> None:
    reference, interpreter, pieces = Profile(period), Profile(period), Profile(period)
    unwatched = _run_eventful("interpreter", None)
    assert _run_eventful("reference", reference) == unwatched
    assert _run_eventful("interpreter", interpreter) == unwatched
    assert _run_eventful("interpreter", pieces, piece=33) == unwatched
    assert reference.samples() == interpreter.samples()
    assert reference.instructions == pieces.instructions == unwatched[0]
    assert Counter(dict(_summed(reference))) == Counter(dict(_summed(pieces)))
    assert {point.privilege for point, _ in reference.samples()} == {1}


def _summed(profile: Profile) -> dict[Point, int]:
    total: dict[Point, int] = {}
    for point, steps in profile.samples():
        total[point] = total.get(point, 0) + steps
    return total


def test_harts_are_told_apart() -> None:
    profile = Profile(period=997)
    with bare(SPIN_ON_EACH, engine="interpreter", harts=2) as machine:
        machine.run(100_020)  # until both are out of the reset ROM
        machine.sample_with(profile)
        machine.run(200_000)
        stacks = names(machine, harts=True).stacks(profile)
    by_hart = Counter[str]()
    for stack, steps in stacks:
        assert stack[1:] == ("machine", "[machine] 0x80000000")
        by_hart[stack[0]] += steps
    assert by_hart.keys() == {"hart 0", "hart 1"}
    assert abs(by_hart["hart 0"] - 100_000) <= 997


def test_a_profile_goes_on_after_a_reset() -> None:
    guest = f"""
        li    t0, {FINISHER:#x}
        li    t1, 0x7777
        sw    t1, 0(t0)
    1:  j     1b
    """
    profile = Profile(period=1)
    with hosted(guest, engine="interpreter") as machine:
        machine.sample_with(profile)
        machine.run(100)
        assert profile.instructions == machine.instructions == 100
        assert len(_summed(profile)) <= 5
        machine.sample_with(None)
        machine.run(10)
        assert profile.instructions == 100


def hart(pc: int, privilege: int = 1, satp: int = 0) -> HartState:
    state = HartState(Layout(RISCV64.registers))
    state["pc"], state["priv"], state["satp"] = pc, privilege, satp
    return state


def test_what_a_guest_makes_the_host_remember_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "_MOST_POINTS", 10)
    monkeypatch.setattr(profiles, "_LONGEST_HISTORY", 50)
    profile = Profile()
    for pc in range(0, 400, 4):
        profile.look(hart(pc))
        profile.account(3)
    assert profile.instructions == 300
    samples = dict(profile.samples())
    assert len(samples) == len(profile.samples()) == 11
    assert samples[Point(0, ELSEWHERE, 1, 0)] == 270
    assert Names(NO_SYMBOLS, MODES, False).stack(Point(0, ELSEWHERE, 1, 0)) == ("kernel", "[elsewhere]")


SV39 = 8 << 60


@pytest.mark.parametrize(
    ("point", "stack"),
    [
        (Point(0, 0x1010, 0, SV39), ("user", "main")),
        (Point(0, 0x2468, 0, SV39 | 7 << 44 | 0x81234), ("user", "address space 0x81234", "[user] 0x2000")),
        (Point(0, 0x2468, 0, 0), ("user", "[user] 0x2000")),
        (Point(0, 0xFFFF_F010, 1, SV39), ("kernel", "schedule")),
        (Point(0, 0xF010, 1, 0), ("kernel", "schedule")),
        (Point(0, 0xF010, 3, SV39), ("machine", "schedule")),  # M-mode has no translation
        (Point(0, 0xF010, 1, SV39), ("kernel", "[kernel] 0xf000")),
    ],
)
def test_points_by_name(point: Point, stack: tuple[str, ...]) -> None:
    symbols = Symbols(
        [
            SymbolTable([Symbol(0x1000, 0x1100, "main")]),
            SymbolTable([Symbol(0xFFFF_F000, 0xFFFF_F100, "schedule")], physical_offset=0xFFFF_0000),
        ]
    )
    assert Names(symbols, MODES, False).stack(point) == stack
    assert Names(symbols, MODES, True).stack(point) == ("hart 0", *stack)


STACKS: Stacks = [
    (("kernel", "schedule"), 100),
    (("user", "main"), 250),
    (("kernel", "schedule"), 50),
    (("kernel", "a<b>&\"c\""), 1),
]  # fmt: skip


def test_folded_stacks_are_summed_lines() -> None:
    assert folded(STACKS, "") == 'kernel;a<b>&"c" 1\nkernel;schedule 150\nuser;main 250\n'
    assert folded([], "") == ""


def check_speedscope(document: Any) -> list[tuple[tuple[str, ...], int]]:
    """Checks what https://www.speedscope.app/file-format-schema.json asks for; returns the samples."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert document.keys() <= {"$schema", "shared", "profiles", "name", "activeProfileIndex", "exporter", "version"}
    assert document.keys() >= {"$schema", "shared", "profiles"}
    frames = document["shared"]["frames"]
    assert all(frame.keys() == {"name"} and isinstance(frame["name"], str) for frame in frames)
    (profile,) = document["profiles"]
    assert profile.keys() == {"type", "name", "unit", "startValue", "endValue", "samples", "weights"}
    assert profile["type"] == "sampled" and profile["unit"] == "none"
    assert isinstance(profile["name"], str)
    assert len(profile["samples"]) == len(profile["weights"])
    assert profile["startValue"] == 0 and profile["endValue"] == sum(profile["weights"])
    stacks = [tuple(frames[index]["name"] for index in sample) for sample in profile["samples"]]
    return list(zip(stacks, profile["weights"], strict=True))


def test_speedscopes_format_keeps_the_order_of_time() -> None:
    assert check_speedscope(json.loads(speedscope(STACKS, "title"))) == STACKS
    assert check_speedscope(json.loads(speedscope([], "title"))) == []


SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_stands_alone_and_says_what_it_shows() -> None:
    tree = ElementTree.fromstring(picture(STACKS, "401 <instructions>"))  # noqa: S314  (our own)
    assert tree.tag == SVG + "svg"
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} <= {"svg", "title", "style", "rect", "text", "g"}
    titles = [group.findtext(SVG + "title") for group in tree.iter(SVG + "g")]
    assert titles == [
        "main (user): 250 instructions, 62.3 %",
        "schedule (kernel): 150 instructions, 37.4 %",
        'a<b>&"c" (kernel): 1 instructions, 0.2 %',
    ]
    bars = [float(group.findall(SVG + "rect")[1].attrib["width"]) for group in tree.iter(SVG + "g")]
    assert bars[1] / bars[0] == pytest.approx(150 / 250, abs=0.01)
    assert "prefers-color-scheme:dark" in (tree.findtext(SVG + "style") or "")
    assert "401 <instructions>" in [text.text for text in tree.iter(SVG + "text")]


def test_a_picture_of_many_places_and_of_none() -> None:
    many: Stacks = [(("hart 0", "kernel", f"f{n}"), 1 + n) for n in range(100)]
    tree = ElementTree.fromstring(picture(many, "many"))  # noqa: S314  (our own)
    assert len(list(tree.iter(SVG + "g"))) == 40
    # 1 + ... + 60 of 5050
    assert "36.2 % in 60 more" in [text.text for text in tree.iter(SVG + "text")]
    tree = ElementTree.fromstring(picture([], "none"))  # noqa: S314  (our own)
    assert tree.findtext(SVG + "title") == "none"
