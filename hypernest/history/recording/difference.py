"""Finding the instruction after which a machine is not what it was when it was recorded.

The recording knows digests at some counts, so it tells between which two the machine went wrong. What happened there
is known if another engine makes the machine come out as recorded: then the two go through it side by side, and the
distance is halved until one instruction is left, before which everything is the same in both and after which not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from hypernest.history.recording.comparing import is_as
from hypernest.history.recording.format import End, Mark
from hypernest.isa.riscv.abi import FLOAT_ABI, INTEGER_ABI
from hypernest.machine.engines import EngineMaker
from hypernest.machine.machine import Machine
from hypernest.machine.outcome import StopReason
from hypernest.machine.snapshot import Snapshot
from hypernest.memory import PAGE

OTHER_ENGINES = ("interpreter", "translator", "reference")
_REFERENCE_REACH = 100_000  # instructions, for which the reference engine takes some ten seconds
_MOST_VALUES = 12
_RAM = 0x8000_0000

MakeMachine = Callable[[EngineMaker], Machine]


@dataclass(frozen=True, slots=True)
class Value:
    """A register, a word of memory or a device whose contents differ: on the engine that is wrong, and on the other."""

    where: str
    wrong: str
    right: str

    def __str__(self) -> str:
        return f"{self.where} is {self.wrong} instead of {self.right}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a machine is not what it was: between the counts `begin` and `end`.

    `why` says in a sentence what is known beyond. If an instruction was found, it is `instruction` at `pc`, executed by
    `hart` as the one number `count` (from 0), and `values` are the first things that differ after it.
    """

    begin: int
    end: int
    why: str
    count: int | None = None
    hart: int = 0
    pc: int = 0
    instruction: str = ""
    values: tuple[Value, ...] = ()

    def __str__(self) -> str:
        text = f"the machine is not what it was between {self.begin} and {self.end} instructions: {self.why}"
        if self.count is None:
            return text
        place = f"after {self.count} instructions, on hart {self.hart}: {self.instruction}"
        return "\n".join([text, f"  {place}", *(f"    {value}" for value in self.values)])


def find_difference(
    make: MakeMachine,
    engine: EngineMaker,
    base: Snapshot | None,
    alike: int,
    mark: Mark | End,
    ended: StopReason | None,
) -> Difference:
    """What makes the machine different at `mark` on that engine; `make` begins it anew on any.

    At `base` it was the same with all of memory, at the count `alike` as far as was recorded. `ended` is the recorded
    end of the machine, if it ends at the mark.
    """
    begin = base.instructions if base is not None else 0

    def different(why: str) -> Difference:
        return Difference(alike, mark.count, why)

    with make(engine) as wrong:
        start = wrong.snapshot()
        if arrive(wrong, mark, ended):
            return different(f"running there once more, {engine.name} comes out as recorded, so it cannot be found")
        tried = []
        for name in OTHER_ENGINES:
            if name == engine.name or (name == "reference" and mark.count - begin > _REFERENCE_REACH):
                continue
            tried.append(name)
            with make(EngineMaker(name)) as right:
                right_start = right.snapshot()
                if arrive(right, mark, ended):
                    return _first_instruction(
                        _Course(wrong, start, engine.name), _Course(right, right_start, name), alike, mark.count
                    )
        others = " and ".join([engine.name, *tried])
        return different(
            f"{others} come out the same or otherwise wrong, so it is no engine's mistake: the version of hypernest,"
            " or a change from outside that is not in the recording"
        )


def arrive(machine: Machine, mark: Mark | End, ended: StopReason | None = None) -> bool:
    """Run to `mark`; is the machine as it was recorded there?"""
    if machine.instructions > mark.count:
        return False
    machine.run(mark.count - machine.instructions)
    if isinstance(mark, End):
        to_come = machine.journal.ahead is not None if ended is None else machine.stopped is None
        if machine.instructions == mark.count and to_come:
            machine.run(1)  # that it ends, or what is idle before the end of the recording, needs no instruction
        if machine.stopped != ended:
            return False
        if machine.instructions == mark.count:
            machine.scheduler.settle()
    return is_as(machine, mark)


class _Course:
    """A machine that goes to and fro over the interval; `place` is the last moment at which both were the same."""

    def __init__(self, machine: Machine, place: Snapshot, name: str) -> None:
        self.machine, self.place, self.name = machine, place, name

    def go_to(self, count: int) -> None:
        self.machine.become(self.place)
        self.machine.run(count - self.machine.instructions)

    def same(self, other: _Course) -> bool:
        mine, theirs = self.machine, other.machine
        if (mine.instructions, mine.boot, mine.now, mine.stopped) != (
            theirs.instructions,
            theirs.boot,
            theirs.now,
            theirs.stopped,
        ):
            return False
        return mine.brief_hash() == theirs.brief_hash() and mine.state_hash() == theirs.state_hash()


def _first_instruction(wrong: _Course, right: _Course, alike: int, end: int) -> Difference:
    low, high, likely = wrong.place.instructions, end, alike
    while high - low > 1:
        # Where digests were the same is looked at first: mostly memory is, too.
        middle = likely if low < likely < high else (low + high) // 2
        likely = low if middle == likely else likely
        for each in (wrong, right):
            each.go_to(middle)
        if wrong.same(right):
            low = middle
            wrong.place, right.place = wrong.machine.snapshot(), right.machine.snapshot()
        else:
            high = middle
    for each in (wrong, right):
        each.go_to(low + 1)
    hart = right.machine.running_hart.number
    pc = right.place.hart(hart)["pc"]
    values = tuple(islice(_values(wrong.machine, right.machine), _MOST_VALUES))
    right.machine.become(right.place)
    return Difference(
        begin=min(alike, low),
        end=end,
        why=f"{right.name} comes out as recorded, {wrong.name} does not; the first instruction that differs is",
        count=low,
        hart=hart,
        pc=pc,
        instruction=_instruction(right.machine, hart, pc),
        values=values,
    )


def _instruction(machine: Machine, hart: int, pc: int) -> str:
    from hypernest.errors import HypernestError

    try:
        return str(machine.disassemble(pc, 1, hart)[0])
    except (HypernestError, IndexError):
        return f"{pc:#x}"


def _values(wrong: Machine, right: Machine) -> Iterator[Value]:
    """What differs: registers, memory, and all else in a word."""
    found = False
    for each in (*_registers(wrong, right), *islice(_memory(wrong, right), _MOST_VALUES)):
        found = True
        yield each
    if wrong.now != right.now:
        yield Value("guest time", f"{wrong.now} ns", f"{right.now} ns")
    elif wrong.stopped != right.stopped:
        yield Value("the end", str(wrong.stopped or "to come"), str(right.stopped or "to come"))
    elif not found:
        yield Value("a device", "in another state", "in the state that was recorded")


def _registers(wrong: Machine, right: Machine) -> Iterator[Value]:
    mine, theirs = wrong.snapshot(), right.snapshot()
    for number in range(len(wrong.harts)):
        one, other = mine.hart(number), theirs.hart(number)
        for name, register in one.layout.registers.items():
            for index in range(register.count):
                values = one[name, index], other[name, index]
                if values[0] != values[1]:
                    yield Value(f"{_name(name, index, register.count)} of hart {number}", *map(hex, values))


def _name(name: str, index: int, count: int) -> str:
    if name in ("x", "f"):
        return (INTEGER_ABI if name == "x" else FLOAT_ABI)[index]
    return name if count == 1 else f"{name}[{index}]"


def _memory(wrong: Machine, right: Machine) -> Iterator[Value]:
    mine, theirs = (dict(machine.nonzero_pages()) for machine in (wrong, right))
    zero = bytes(PAGE)
    for page in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(page, zero), theirs.get(page, zero)
        if one == other:
            continue
        for at in range(0, PAGE, 8):
            if one[at : at + 8] != other[at : at + 8]:
                words = (hex(int.from_bytes(each[at : at + 8], "little")) for each in (one, other))
                yield Value(f"memory at {_RAM + page * PAGE + at:#x}", *words)
