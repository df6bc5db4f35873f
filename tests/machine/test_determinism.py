"""The same inputs at the same counts give the same machine at every count: on any engine, however its runs are cut."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import pytest

from hypernest.machine import Machine, StopKind
from hypernest.machine.hooks import HookEvent
from tests.machine.course_guest import course
from tests.machine.small_guests import FIRMWARE

ENGINES = ("reference", "interpreter", "translator")
HARTS = (1, 2, 4)
AMOADD = bytes.fromhex("2fb39900")  # what the guest does again and again

Script = Sequence[tuple[int, bytes]]


def hashes(
    machine: Machine, counts: Sequence[int], script: Script = (), cut: Callable[[int], int] | None = None
) -> list[str]:
    """What the machine is at `counts`, with `script` typed at its counts, in pieces of at most `cut(left)`."""
    found = []
    typed = dict(script)
    for stop in sorted({*counts, *typed}):
        while (left := stop - machine.instructions) > 0:
            machine.run(left if cut is None else min(cut(left), left))
            if machine.stopped is not None:
                break
        if stop in counts:
            found.append(machine.state_hash())
        if stop in typed:
            machine.console.send(typed[stop])
    return found


def random_script(seed: int, end: int) -> list[tuple[int, bytes]]:
    dice = random.Random(seed)
    return [(dice.randrange(end), bytes(dice.choices(b"abcdefgh", k=dice.randrange(1, 30)))) for _ in range(12)]


@pytest.mark.parametrize("harts", HARTS)
def test_engines_agree_at_every_count_with_input(harts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 997)
    counts = range(500, 8_000, 499)
    results = []
    for engine in ENGINES:
        with course(engine=engine, harts=harts) as machine:
            results.append((hashes(machine, counts, random_script(harts, 7_000)), machine.console.read_bytes()))
    assert results[1] == results[0]
    assert results[2] == results[0]
    assert len(set(results[0][0])) == len(counts)
    assert results[0][1]


@pytest.mark.parametrize("harts", HARTS)
@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_a_run_cut_into_random_pieces_is_the_same_run(engine: str, harts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 1009)
    dice = random.Random(17 * harts)
    counts, script = range(5000, 400_000, 13_001), random_script(harts + 9, 390_000)
    with course(engine=engine, harts=harts) as whole, course(engine=engine, harts=harts) as pieces:
        expected = hashes(whole, counts, script)
        assert hashes(pieces, counts, script, lambda left: dice.choice((1, 2, 7, 100, 1000, 5000))) == expected


def test_every_single_step_is_the_same_on_every_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 101)
    script = [(700, b"x"), (701, b"yz"), (1900, b"!" * 20)]
    results = []
    for engine in ENGINES:
        with course(engine=engine, harts=2) as machine:
            found = []
            typed = dict(script)
            for count in range(2500):
                machine.console.send(typed.get(count, b""))
                machine.run(1)
                found.append(machine.brief_hash())
            results.append([*found, machine.state_hash()])
    assert results[1] == results[0]
    assert results[2] == results[0]


def repeated(machine: Machine, other: Machine) -> Machine:
    """`other`, which will do what `machine` did."""
    other.journal.events.extend(machine.journal.events)
    return other


@pytest.mark.parametrize("harts", HARTS)
@pytest.mark.parametrize(("engine", "others"), [("interpreter", ("translator",)), ("translator", ("interpreter",))])
def test_input_from_hooks_is_repeated_at_the_same_moment(
    engine: str, others: Sequence[str], harts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_input_from_hooks(engine, others, harts, range(5_000, 60_000, 1999), monkeypatch)


def test_input_from_hooks_is_repeated_by_the_reference_too(monkeypatch: pytest.MonkeyPatch) -> None:
    check_input_from_hooks("reference", ENGINES, 3, range(1_000, 7_000, 501), monkeypatch)


def check_input_from_hooks(
    engine: str, others: Sequence[str], harts: int, counts: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypernest.machine.turns.QUANTUM", 97)
    dice = random.Random(harts)
    with course(engine=engine, harts=harts) as machine:
        times = []

        def type_something(event: HookEvent) -> None:
            # The other hart's turn ended at this very nanosecond: when repeated, input strikes before that.
            turn_begins = machine.scheduler.turns.began_at == machine.instructions and event.hart.number == 1
            if turn_begins or dice.random() < 0.03:
                times.append(machine.now)
                machine.console.send(bytes([dice.choice(b"abc")]))

        def echo(event: HookEvent) -> None:
            if dice.random() < 0.2:
                machine.console.send("e")

        machine.hooks.execute(FIRMWARE + machine.memory[FIRMWARE : FIRMWARE + 512].index(AMOADD), type_something)
        machine.hooks.console(echo)
        expected = hashes(machine, counts)
        struck = [event.time for event in machine.journal.events]
        assert len(times) > 5
        assert len(struck) > len(times)
        for other_engine in others:
            with repeated(machine, course(engine=other_engine, harts=harts)) as other:
                assert hashes(other, counts) == expected


class Person:
    """A back end with a person behind it, who types some milliseconds apart, at last a `q`."""

    def __init__(self, keys: int) -> None:
        self.keys, self.written = keys, b""
        self._dice, self._next = random.Random(keys), time.monotonic()

    def write(self, data: bytes) -> None:
        self.written += data

    def read(self) -> bytes:
        if time.monotonic() < self._next or self.keys < 0:
            return b""
        self._next = time.monotonic() + self._dice.random() * 0.01
        self.keys -= 1
        return b"k" if self.keys >= 0 else b"q"

    def wait(self, seconds: float | None) -> bool:
        time.sleep(min(seconds if seconds is not None else 1, max(self._next - time.monotonic(), 0)))
        return True


@pytest.mark.parametrize("harts", HARTS)
@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_what_a_person_typed_by_the_wall_clock_is_repeated(engine: str, harts: int) -> None:
    person = Person(20)
    with course(engine=engine, harts=harts, console=person, clock="wall") as machine:
        assert machine.run().kind is StopKind.POWER_OFF
        expected = machine.instructions, machine.now, machine.state_hash()
        for other_engine in ("interpreter", "translator"):
            with repeated(machine, course(engine=other_engine, harts=harts)) as other:
                # The date is the host's; it is in no register here, but in the clock chip.
                assert other.run().kind is StopKind.POWER_OFF
                assert (other.instructions, other.now) == expected[:2]
                assert other.console.read() == person.written.decode() == "k" * 20 + "q"
