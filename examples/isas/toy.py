"""A machine of ten instructions, as a template for your own.

    hypernest classify examples/isas/toy.py

One accumulator, two modes, a relocation-bounds register, words of 64 bits: the kind of machine that Popek and Goldberg
had in mind. One of its instructions spoils it, `where`, and the classifier finds out.

A description says what the state is, what instructions do, as Python functions, and what the analysis is to know. With
random programs besides, the monitors of the theorems are built and run beside the bare machine.
"""

from __future__ import annotations

from random import Random

from hypernest.analysis.construction import Kit, RelocationBounds
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import MachineModel, Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.hart import Hart, Register, Trap, routine
from hypernest.isa.isa import Isa
from hypernest.isa.row import Extension, Format
from hypernest.isa.trace import Bits
from hypernest.isa.word import Word, concat, select, word

# --- 1. The state ----------------------------------------------------------------------------------------------------

SUPERVISOR, USER = 0, 1

REGISTERS = (
    Register("pc", doc="the program counter; every ISA has it, 64 bits wide"),
    Register("acc", doc="the accumulator"),
    Register("mode", 1, doc="0 supervisor, 1 user"),
    Register("base", 16, doc="where the program's address 0 is in memory"),
    Register("limit", 16, reset=0xFFFF, doc="how many words the program may address"),
)

CELL = 8  # memory is bytes: word a of the machine is the 64 bits at byte 8 * a

CAUSES = {1: "memory trap", 2: "privileged instruction", 3: "illegal instruction", 4: "call"}
MEMORY_TRAP, PRIVILEGED_INSTRUCTION, ILLEGAL_INSTRUCTION, CALL = CAUSES


# --- 2a. Memory: how the program's addresses become bytes of memory --------------------------------------------------
# A @routine is a function that instructions share; it says how wide its arguments and results are. `h` is the machine:
# `h.base` reads a register, `h.write("base", ...)` writes it. Words have a fixed width, and only equal widths meet.


@routine(arguments=(64, 64), results=(64,))
def translate(h: Hart, address: Word, access: Word) -> Word:
    if address >= h.limit.zext(64):  # a Python `if` for what traps
        raise Trap(MEMORY_TRAP, address)
    physical = (address + h.base.zext(64)) * CELL
    if h.is_memory(physical, CELL) == 0:
        raise Trap(MEMORY_TRAP, address)
    return physical


@routine(arguments=(64,), results=(64,))
def load(h: Hart, address: Word) -> Word:
    return h.physical_load(translate(h, address, 0), 64)[0]


@routine(arguments=(64, 64))
def store(h: Hart, address: Word, value: Word) -> None:
    h.physical_store(translate(h, address, 1), value)


@routine(arguments=(64,), results=(64,))
def fetch(h: Hart, address: Word) -> Word:
    return h.physical_load(translate(h, address, 2), 64)[0]


# --- 2b. Traps: the state is saved in word 0 of memory, the new one comes from word 1 --------------------------------


def status(h: Hart, pc: Word) -> Word:
    """Mode, limit, base and program counter in one word."""
    return concat(word(0, 15), h.mode, h.limit, h.base, pc.trunc(16))


def enter(h: Hart, packed: Word) -> None:
    """Make them what such a word says, all but the program counter."""
    h.write("base", packed.bits(31, 16))
    h.write("limit", packed.bits(47, 32))
    h.write("mode", packed.bit(48))


@routine(arguments=(64, 64))
def take_trap(h: Hart, cause: Word, value: Word) -> None:
    resume = select(cause == CALL, h.pc + 1, h.pc)  # `select` instead of `if` for what is only data
    new = h.physical_load(word(1 * CELL), 64)[0]
    h.physical_store(word(0 * CELL), status(h, resume))
    h.physical_store(word(2 * CELL), cause)
    enter(h, new)
    h.write("pc", new.bits(15, 0).zext(64))


def check_supervisor(h: Hart) -> None:
    """What a privileged instruction begins with."""
    if h.mode == USER:
        raise Trap(PRIVILEGED_INSTRUCTION, h.operand("instruction"))


# --- 2c. The instructions --------------------------------------------------------------------------------------------
# A row is the assembly syntax, the encoding from its most significant bit, and a function. Here an instruction is one
# word of 64 bits: 8 of operation, 40 zeros, an operand of 16. A function traps before it changes anything, and accesses
# memory before it writes registers.

TOY = Extension("toy", Format(fields={}, sizes=frozenset({64}), unit=64))  # unit: bits from one address to the next
ZEROS = "0" * 40


@TOY.row("load uimm", f"00000001 {ZEROS} uimm[15:0]")
def _load(h: Hart) -> None:
    h.write("acc", h.load(h.uimm, 64))  # h.load and h.store are the program's accesses: through `translate`


@TOY.row("store uimm", f"00000010 {ZEROS} uimm[15:0]")
def _store(h: Hart) -> None:
    h.store(h.uimm, h.acc)


@TOY.row("set uimm", f"00000011 {ZEROS} uimm[15:0]")
def _set(h: Hart) -> None:
    h.write("acc", h.uimm)


@TOY.row("add uimm", f"00000100 {ZEROS} uimm[15:0]")
def _add(h: Hart) -> None:
    h.write("acc", h.acc + h.load(h.uimm, 64))


@TOY.row("jump uimm", f"00000101 {ZEROS} uimm[15:0]")
def _jump(h: Hart) -> None:
    h.jump(h.uimm)


@TOY.row("skip", f"00000110 {ZEROS} 0000000000000000")
def _skip(h: Hart) -> None:
    """Skip the next instruction if the accumulator is zero."""
    h.jump(select(h.acc == 0, h.next_pc + 1, h.next_pc) & 0xFFFF)


@TOY.row("call uimm", f"00000111 {ZEROS} uimm[15:0]")
def _call(h: Hart) -> None:
    """Call the supervisor: a trap in either mode."""
    raise Trap(CALL, h.uimm)


@TOY.row("enter uimm", f"00001000 {ZEROS} uimm[15:0]")
def _enter(h: Hart) -> None:
    """Go on in the mode, with the map and at the place that a word of memory says."""
    check_supervisor(h)
    new = h.load(h.uimm, 64)
    enter(h, new)
    h.jump(new.bits(15, 0).zext(64))


@TOY.row("halt", f"00001001 {ZEROS} 0000000000000000")
def _halt(h: Hart) -> None:
    check_supervisor(h)
    h.wait()


@TOY.row("where uimm", f"00001010 {ZEROS} uimm[15:0]")
def _where(h: Hart) -> None:
    """The physical address of a word of the program, as LRA of the IBM 360/67 told. It should have been privileged."""
    h.write("acc", h.uimm + h.base.zext(64))


# --- 2d. All of it ---------------------------------------------------------------------------------------------------

ISA = Isa(
    name="toy",
    registers=REGISTERS,
    rows=TOY.rows,
    translate=translate,
    load={64: load},
    store={64: store},
    fetch=fetch,
    take_trap=take_trap,
    causes=CAUSES,
    illegal_instruction=ILLEGAL_INSTRUCTION,
)

# --- 3. Random programs for the monitors (may be left out) -----------------------------------------------------------

WORDS = 256  # of memory
CODE, STATUS = range(3, 192), range(192, WORDS)  # words with instructions, and with what `enter` loads


def prepare(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    """Random numbers seldom make sense as these: a map within memory, and a place to go on in the code."""

    def location() -> tuple[int, int]:
        base = random.choice((0, 0, random.randrange(32)))
        return base, random.choice((WORDS - base, WORDS - base, random.randrange(WORDS), 0xFFFF))

    for place in (1, *STATUS):
        base, limit = location()
        packed = random.choice((SUPERVISOR, USER)) << 48 | limit << 32 | base << 16 | random.choice(CODE)
        memory.write_integer(place * CELL, CELL, packed)
    state["base"], state["limit"] = location()


KIT = Kit(
    embedding=RelocationBounds(
        {"base": "limit"}
    ),  # f of the paper: how a monitor makes the real map of the virtual one
    memory=WORDS * CELL,
    code=range(CODE.start * CELL, CODE.stop * CELL),
    cell=CELL,
    prepare=prepare,
    likely={"uimm": STATUS},
)


# --- 4. What the analysis is to know ---------------------------------------------------------------------------------

MODEL = MachineModel(  # the name that hypernest looks for
    isa=ISA,
    title="The toy of the documentation",
    modes={"supervisor": {"mode": Bits(mask=1, value=SUPERVISOR)}, "user": {"mode": Bits(mask=1, value=USER)}},
    resources={"base": 0xFFFF, "limit": 0xFFFF},  # which bits of which registers belong to whoever holds the machine
    shifted=frozenset({"base"}),  # the register to which moving the program by x adds x ...
    unit=CELL,  # ... which is so many bytes of memory
    cell=CELL,  # and so many bytes are a word that an address names
    memory_size=CELL << 17,  # bytes
    memory_traps=frozenset({MEMORY_TRAP}),
    legal={"pc": 0xFFFF},  # the program counter has no more bits than that
    kit=KIT,
    settings=(
        Setting(
            name="plain",
            title="supervisor software run in user mode",
            expected="no monitor and no hybrid monitor, because of `where`",
        ),
    ),
)
