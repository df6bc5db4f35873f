"""Random hart states that software could have reached, and instructions that do something in them.

Values come from pools of corners as often as from anywhere, and most addresses lead to code, data, page ends, a device
or nothing at all, because that is where engines differ. Everything follows from a `random.Random`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import PMP_ENTRIES, Environment, Interrupt, Privilege, Status
from hypernest.isa.row import Row
from tests.engines.equivalence import DEVICE, LAYOUT, PAGE, RAM

ALL = (1 << 64) - 1
CODE, DATA, TABLES = 0x1000, 0x8000, 0x20000  # offsets in RAM: code and data have 8 pages each, tables 5
MAPPED_PAGES = 16  # of RAM, from its start, that page tables map
DEVICE_PAGE, HOLE_PAGE = 20, 21  # virtual pages behind these
HOLE = 0x2000_0000

CORNERS = (
    *(0, 1, 2, 3, 7, 8, 31, 32, 63, 64, 0x7F, 0x80, 0xFF, 0x7FF, 0x800, 0x7FFF, 0x8000, 0xFFFF),
    *(0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, ALL - 1, ALL),
    *(0xFFFF_FFFF_7FFF_FFFF, 0xFFFF_FFFF_8000_0000, 0x5555_5555_5555_5555, 0xAAAA_AAAA_AAAA_AAAA),
)
# NaNs of both kinds, infinities, zeros, ones, ends of the ranges, values at which conversions to integers overflow.
DOUBLES = tuple(
    sign << 63 | value
    for sign in (0, 1)
    for value in (
        *(0, 1, 0x000F_FFFF_FFFF_FFFF, 0x0010_0000_0000_0000, 0x3CA0_0000_0000_0000, 0x3FE0_0000_0000_0000),
        *(0x3FEF_FFFF_FFFF_FFFF, 0x3FF0_0000_0000_0000, 0x3FF0_0000_0000_0001, 0x3FF8_0000_0000_0000),
        *(0x41DF_FFFF_FFC0_0000, 0x41EF_FFFF_FFE0_0000, 0x43DF_FFFF_FFFF_FFFF, 0x43E0_0000_0000_0000),
        *(0x43F0_0000_0000_0000, 0x36A0_0000_0000_0000, 0x47EF_FFFF_E000_0000, 0x47F0_0000_0000_0000),
        *(0x7FEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000, 0x7FF0_0000_0000_0001, 0x7FF8_0000_0000_0000),
    )
)
SINGLES = tuple(
    sign << 31 | value
    for sign in (0, 1)
    for value in (
        *(0, 1, 0x007F_FFFF, 0x0080_0000, 0x3380_0000, 0x3F00_0000, 0x3F7F_FFFF, 0x3F80_0000, 0x3F80_0001),
        *(0x3FC0_0000, 0x4EFF_FFFF, 0x4F00_0000, 0x4F80_0000, 0x5EFF_FFFF, 0x5F00_0000, 0x5F80_0000),
        *(0x7F7F_FFFF, 0x7F80_0000, 0x7F80_0001, 0x7FC0_0000, 0x7FC0_1234),
    )
)


@dataclass(frozen=True)
class Space:
    """Where RAM is seen: the virtual address of its start, and how addresses are chosen there."""

    base: int
    paged: bool

    def address(self, random: Random) -> int:
        """An address worth using for data: mostly valid, often near the end of a page."""
        page = random.randrange(CODE // PAGE, MAPPED_PAGES)
        near = random.choice((0, 1, 2, 4, 8, 64, random.randrange(PAGE), PAGE - random.randrange(9)))
        kind = random.random()
        if kind < 0.75:
            return self.base + page * PAGE + (near & -8 if random.random() < 0.5 else near)
        if kind < 0.87:
            start = self.base + DEVICE_PAGE * PAGE if self.paged else DEVICE
            return start + random.choice((0, 1, 2, 4, 8, 0xFC, 0xFE, 0xFF, 0x100))
        if kind < 0.95:
            return self.base + HOLE_PAGE * PAGE if self.paged else HOLE
        return random.choice(CORNERS)


def value(random: Random, space: Space) -> int:
    """A value for an integer register."""
    kind = random.random()
    if kind < 0.4:
        return space.address(random)
    if kind < 0.7:
        return random.choice(CORNERS)
    return random.getrandbits(64) >> random.choice((0, 0, 1, 31, 32, 33, 60))


def float_value(random: Random) -> int:
    """A value for a floating-point register: a double, or a single that is boxed or nearly so."""
    kind = random.random()
    if kind < 0.45:
        return random.choice(DOUBLES) if random.random() < 0.5 else random.getrandbits(64)
    single = random.choice(SINGLES) if random.random() < 0.6 else random.getrandbits(32)
    return (0xFFFF_FFFF << 32 | single) ^ (1 << 32 + random.randrange(32) if kind > 0.93 else 0)


class StateMaker:
    """Makes hart states as lists of words in layout order, and the memory that goes with them."""

    def __init__(self, random: Random, size: int) -> None:
        self.random = random
        self.words = [0] * LAYOUT.words
        self.memory = bytearray(size)
        self.space = Space(RAM, False)
        self.now = random.choice((0, random.getrandbits(40)))

    def set(self, register: str, value: int, index: int = 0) -> None:
        self.words[LAYOUT.index[register] + index] = value & ((1 << LAYOUT.registers[register].width) - 1)

    def get(self, register: str, index: int = 0) -> int:
        return self.words[LAYOUT.index[register] + index]

    def maybe(self, probability: float) -> bool:
        return self.random.random() < probability

    def registers(self) -> None:
        """Integer and floating-point registers, and the floating-point environment."""
        for index in range(1, 32):
            self.set("x", value(self.random, self.space), index)
            self.set("f", float_value(self.random), index)
        self.set("f", float_value(self.random), 0)
        self.set("fflags", self.random.choice((0, self.random.getrandbits(5))))
        self.set("frm", self.random.choice((0, 0, 1, 2, 3, 4, self.random.getrandbits(3))))

    def plain(self) -> None:
        """M-mode after reset, with floating point on and handlers in RAM."""
        self.set("priv", Privilege.MACHINE)
        self.set("mstatus", 1 << Status.FS)
        self.set("mtvec", RAM + 0x800)
        self.set("stimecmp", ALL)

    def mode(self, privilege: Privilege | None = None) -> None:
        """A privilege mode and a status."""
        random = self.random
        self.set("priv", random.choice(tuple(Privilege)) if privilege is None else privilege)
        status = random.getrandbits(64) & 0x7E_61AA
        if self.maybe(0.8):
            status |= 1 << Status.FS
        self.set("mstatus", status | random.choice(tuple(Privilege)) << Status.MPP)

    @property
    def code_base(self) -> int:
        """The address of RAM as instruction fetch sees it."""
        return RAM if self.get("priv") == Privilege.MACHINE else self.space.base

    def privileged(self) -> None:
        """The other things that supervisors and machines configure, after the mode and translation."""
        random = self.random
        for register, mask in (
            *(("medeleg", 0xB3FF), ("mideleg", 0x222), ("mie", 0xAAA), ("mip", 0x222)),
            *(("mcounteren", ALL), ("scounteren", ALL), ("mcountinhibit", 5)),
            *(("menvcfg", 1 << Environment.STCE | 1 << Environment.ADUE | 0xC1), ("senvcfg", 0xC1)),
        ):
            self.set(register, random.choice((0, mask, random.getrandbits(64) & mask)))
        for register in ("menvcfg", "senvcfg"):
            self.set(register, self.get(register) | random.choice((0, 1, 3)) << Environment.CBIE)
        # Most interrupts would hide the instruction; a few must come.
        if self.maybe(0.85):
            self.set("mie", 0)
        lines = sum(1 << each for each in Interrupt if self.maybe(0.2)) & 0xA88 | (0x200 if self.maybe(0.1) else 0)
        self.set("lines", lines)
        for register, base in (("mtvec", RAM), ("stvec", self.space.base)):
            self.set(register, (base + random.choice((0x800, 0xC00, CODE, CODE + 0x40))) | self.maybe(0.5))
        for register in ("mepc", "sepc"):
            self.set(register, self.space.address(random) & ~1)
        for register in (
            "mscratch",
            "sscratch",
            "mcause",
            "scause",
            "mtval",
            "stval",
            "cycle_offset",
            "instret_offset",
        ):
            self.set(register, random.choice(CORNERS))
        self.set("stimecmp", random.choice((ALL, 0, self.now // 100, self.now // 100 + 1)))
        self.set("time_offset", random.choice((0, 0, random.getrandbits(64))))
        self.set("retired", random.getrandbits(40))
        self.set("hartid", random.choice((0, 3)))
        self.set("hosted", self.maybe(0.2))
        self.set("reservation", RAM + DATA + random.choice((0, 8, 16)))
        self.set("reservation_valid", self.maybe(0.7))

    def protection(self) -> None:
        """PMP entries, from none to a few around the pages in use; S and U mostly get to their pages."""
        random = self.random
        if self.maybe(0.05 if self.get("priv") != Privilege.MACHINE else 0.4):
            return
        if self.maybe(0.7):
            self.set("pmpcfg", 0x1F)
            self.set("pmpaddr", (1 << 54) - 1)
            return
        for entry in range(PMP_ENTRIES):
            if self.maybe(0.8):
                continue
            start = RAM + random.choice((0, CODE, DATA, TABLES)) + random.choice((0, 8, PAGE, PAGE + 4, PAGE - 4))
            ones = (1 << random.choice((0, 1, 9, 10, 15))) - 1
            self.set("pmpaddr", (start >> 2) & ~ones | ones >> 1 if self.maybe(0.7) else random.getrandbits(54), entry)
            permissions = random.choice((7, 7, 7, 7, 5, 1, 4, 3, 0))
            setting = permissions | random.choice((0, 1, 2, 3, 3)) << 3 | (0x80 if self.maybe(0.2) else 0)
            at = LAYOUT.index["pmpcfg"] + entry // 8
            self.words[at] |= setting << entry % 8 * 8
        if self.maybe(0.9):  # the rest is open
            last = PMP_ENTRIES - 1
            at = LAYOUT.index["pmpcfg"] + last // 8
            self.words[at] = self.words[at] & ~(0xFF << 56) | 0x1F << 56
            self.set("pmpaddr", (1 << 54) - 1, last)

    def translation(self) -> None:
        """Page tables of one of the three schemes that map RAM, a device and a hole, with flaws."""
        random = self.random
        levels = random.choice((3, 4, 5))
        width = 9 * levels + 12
        base = random.getrandbits(width) & -(1 << 21)
        if base >> width - 1:  # the upper half of the address space
            base |= ALL ^ ((1 << width) - 1)
        self.space = Space(base, True)
        self.set("satp", (levels + 5) << 60 | random.getrandbits(16) << 44 | (RAM + TABLES) >> 12)
        table = TABLES
        for level in range(levels - 1, 0, -1):
            index = base >> (12 + 9 * level) & 0x1FF
            if level == 1 and self.maybe(0.2):  # one large page
                self._entry(table, index, RAM, code=True)
                return
            pointer = (RAM + table + PAGE) >> 12 << 10 | 1
            if self.maybe(0.03):
                pointer ^= 1 << random.choice((0, 1, 2, 4, 6, 7, 54, 63))
            self._store(table, index, pointer)
            table += PAGE
        for page in range(MAPPED_PAGES):
            frame = page if page < 8 or self.maybe(0.8) else random.randrange(MAPPED_PAGES)
            self._entry(table, page, RAM + frame * PAGE, code=page < DATA // PAGE)
        self._entry(table, DEVICE_PAGE, DEVICE)
        self._entry(table, HOLE_PAGE, HOLE)

    def _entry(self, table: int, index: int, physical: int, *, code: bool = False) -> None:
        """A leaf that mostly lets code run, or data be accessed, in the present mode."""
        random, status, user = self.random, self.get("mstatus"), self.get("priv") == Privilege.USER
        if not code and status >> Status.MPRV & 1:
            user = status >> Status.MPP & 3 == Privilege.USER
        flags = random.choice((0xC7, 0xC7, 0xCF, 0xC3, 0xC9, 0x07, 0x47, random.getrandbits(8)))
        if code and self.maybe(0.9):
            flags = random.choice((0xCF, 0xC9, 0xCB))
        flags = flags & ~0x10 | (0x10 if user else 0) ^ (0x10 if self.maybe(0.08) else 0)
        reserved = 1 << random.randrange(54, 64) if self.maybe(0.02) else 0
        self._store(table, index, physical >> 12 << 10 | flags | reserved)

    def _store(self, table: int, index: int, entry: int) -> None:
        self.memory[table + index * 8 : table + index * 8 + 8] = entry.to_bytes(8, "little")


def encoding(row: Row, random: Random, *, near: bool = True) -> int:
    """An instruction of `row` with random operands; register numbers repeat often, jumps mostly stay `near`."""
    few = (0, 1, 2, 5, 8, 9, random.randrange(32))
    while True:
        values: dict[str, int] = {}
        for name, each in row.fields.items():
            bits = random.getrandbits(each.width)
            if name in ("rd", "rs1", "rs2", "rs3"):
                bits = random.choice(few)
                if each.offset:
                    bits = bits % 8 + 8
            elif name == "csr":
                bits = random.choice((*RISCV64.csrs, random.getrandbits(12)))
            elif name == "rm":
                bits = random.choice((0, 0, 1, 2, 3, 4, 7, 7, bits))
            elif random.random() < 0.3:
                bits = random.choice((0, 1, (1 << each.width) - 1, 1 << each.width - 1, (1 << each.width - 1) - 1))
            elif near and each.width > 12 and random.random() < 0.8:
                bits %= 64
            for piece_mask in (sum(((1 << p.width) - 1) << p.at for p in each.pieces),):
                bits &= piece_mask | (-1 if each.offset else 0)
            values[name] = bits - (1 << each.width) if each.signed and bits >> each.width - 1 else bits
        try:
            return row.encode(**values)
        except ValueError:
            continue  # a value that the row excludes


def aim(maker: StateMaker, row: Row, code: int) -> None:
    """Let the instruction's base register hold an address worth accessing."""
    operands = row.operand_values(code)
    number = operands.get("rs1", 0)
    if number:
        maker.set("x", maker.space.address(maker.random) - operands.get("imm", 0), number)


def place(maker: StateMaker, row: Row, code: int) -> int:
    """Put the instruction into memory and pc on it; returns how many steps to run.

    At the end of a page, where an engine with whole pages of steps ahead works as it does in the middle of a long run,
    it stands twice or more in a row; elsewhere once.
    """
    random, data = maker.random, code.to_bytes(row.length, "little")
    end, steps = CODE + PAGE, 1
    kind = random.random()
    if kind < 0.6:
        copies = random.choice((1, 2, 2, 3))
        offset, steps, data = end - copies * row.length, random.randint(1, copies), data * copies
    elif kind < 0.75:
        offset = end - 2  # its second half is on the next page
    else:
        offset = CODE + 2 * random.randrange(PAGE // 2)
    maker.memory[offset : offset + len(data)] = data
    maker.set("pc", maker.code_base + offset)
    return steps + random.choice((0, 0, 1, 2))
