"""A machine whose memory is words in 64-bit cells, on the reference engine, and what every description must satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hypernest.devices import Bus
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from hypernest.isa.decoder import Decoder
from hypernest.isa.hart import Routine
from hypernest.isa.isa import Isa
from hypernest.isa.layout import Layout
from hypernest.isa.row import Row
from hypernest.isa.trace import Tracer
from hypernest.memory import GuestMemory

WORDS = 4096  # the pages of GuestMemory make it a multiple of 512


class WordMachine:
    """`machine["pc"]` is a register, `machine["r", 2]` one of a file, `machine[100]` a word of memory."""

    def __init__(self, isa: Isa) -> None:
        self.memory = GuestMemory(0, WORDS * 8)
        self.state = HartState(Layout(isa.registers))
        self.hart = ReferenceHart(isa, self.state, self.memory, Bus())
        self.decoder = Decoder(isa.rows.values())

    def __getitem__(self, key: int | str | tuple[str, int]) -> int:
        return self.memory.read_integer(key * 8, 8) if isinstance(key, int) else self.state[key]

    def __setitem__(self, key: int | str | tuple[str, int], value: int) -> None:
        if isinstance(key, int):
            self.memory.write_integer(key * 8, 8, value)
        else:
            self.state[key] = value

    def put(self, place: int, *words: int) -> None:
        """Write words one after the other from physical address `place`."""
        for at, value in enumerate(words, place):
            self[at] = value

    def step(self, count: int = 1) -> int | None:
        """Execute instructions; the cause of the trap that the last one ended in."""
        for _ in range(count):
            self.hart.step(self.decoder)
        return self.hart.trap_cause


def registers_and_words(machine: WordMachine) -> tuple[bytes, bytes]:
    """All of the state, to be compared."""
    return machine.state.snapshot(), machine.memory.read(0, WORDS * 8)


def edge_encodings(row: Row) -> Iterator[Mapping[str, int]]:
    """Field values at the edges of what each field can hold, all fields varied together."""
    for highest in (False, True):
        values = {}
        for name, field in row.fields.items():
            least = -(1 << field.width - 1) if field.signed else 0
            most = (1 << field.width - field.signed) - 1
            allowed = [value for value in range(least, least + 3) if value not in field.excluded]
            top = [value for value in range(most, most - 3, -1) if value >= least and value not in field.excluded]
            values[name] = top[0] if highest else allowed[0]
        yield values


def check_round_trips(isa: Isa) -> None:
    """What a row encodes, the decoder gives back to it with the same operands."""
    decoder = Decoder(isa.rows.values())
    for row in isa.rows.values():
        assert row.length == 1
        for values in edge_encodings(row):
            code = row.encode(**values)
            assert decoder.decode(code) is row, row.name
            assert row.operand_values(code) == values


def check_traces(isa: Isa) -> None:
    """The tracer can follow every row and routine: no rule of semantic functions is broken."""
    registers = Layout(isa.registers).registers
    for row in isa.rows.values():
        assert Tracer(registers).semantics(row.semantics).paths() <= 16, row.name
    routines: list[Routine] = [isa.translate, isa.fetch, isa.take_trap, *isa.load.values(), *isa.store.values()]
    for each in routines:
        assert Tracer(registers).routine(each)[0].paths() <= 16, each.name
