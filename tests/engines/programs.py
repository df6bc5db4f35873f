"""Random programs that loop, jump, call, fault and write their own code, for lockstep runs of two engines.

A program fills two pages; most of it happens in the last 256 bytes of each, where few steps are enough for an engine
that wants as many as there are instructions up to the end of the page. Its traps end in a handler that counts them and
goes on somewhere in the program, so it runs for ever, whatever it does to itself. x28, x30 and x31 belong to the
handler; x8 points to data, x9 to the code, x18 to a second view of the code (the same pages at another virtual address,
where there is translation).
"""

from __future__ import annotations

from random import Random

from hypernest.engines.hart_state import HartState
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege, Status
from tests.engines.equivalence import LAYOUT, PAGE, RAM, Pair
from tests.engines.random_states import encoding

HANDLER, CODE, CODE_PAGES, DATA, TABLES = 0x800, 0x1000, 2, 0x8000, 0x10000  # offsets in RAM
LIMIT = CODE_PAGES * PAGE
HOT_BYTES = 256  # at the end of each page, where traps continue and stores go
HOT = CODE + PAGE - HOT_BYTES
VIRTUAL, SECOND_VIEW = 0x40_0000, 0x3F_F000_0000  # of RAM, where there is translation
CSRS = {row.name: number for number, row in RISCV64.csrs.items()}

_HANDLER = """
    csrr x31, mcause
    add  x28, x28, x31
    csrr x31, mepc
    xor  x28, x28, x31
    slli x31, x30, 13           # xorshift
    xor  x30, x30, x31
    srli x31, x30, 7
    xor  x30, x30, x31
    slli x31, x30, 17
    xor  x30, x30, x31
    li   x31, {mask}
    and  x31, x30, x31
    li   x9, {code}
    add  x31, x31, x9
    csrw mepc, x31
    li   x8, {data}
    li   x18, {second}
    mret
"""
_ORDINARY = [
    RISCV64.rows[name]
    for name in (
        *("addi", "add", "sub", "xor", "sltu", "slli", "sraiw", "lui", "auipc", "mul", "divu", "remw", "sh1add"),
        *("rev8", "bext", "czero.eqz", "c.addi", "c.mv", "c.li", "c.add", "c.sub", "c.addi4spn", "fadd.d", "fmul.s"),
        *("fcvt.d.l", "fmv.x.d", "amoadd.w", "amoswap.d", "lr.d", "sc.d", "fence", "fence.i"),
    )
]
_LOADS = ("lb", "lhu", "lw", "lwu", "ld", "fld", "flw")
_STORES = ("sb", "sh", "sw", "sd", "fsd")
_BRANCHES = ("beq", "bne", "blt", "bgeu", "c.beqz", "c.bnez")
_JUMPS = ("jal", "c.j")
_SYSTEM = ("ecall", "ebreak", "csrrs", "sfence.vma", "wrs.sto")
_KEPT = {0, 8, 9, 18, 28, 30, 31}


class Program:
    """One random program; `fill` makes its code, also anew in the middle of a run."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)
        self.hot = RAM + HOT
        """Where the program sees the end of its first page."""

    def instruction(self) -> int:
        """A random instruction of a program (16 or 32 bits)."""
        random, kind = self.random, self.random.random()
        if kind < 0.45:
            return self._free(random.choice(_ORDINARY).name)
        if kind < 0.58:
            row = RISCV64.rows[random.choice(_LOADS)]
            return row.encode(rd=self._target(), rs1=random.choice((8, 8, 9, 18)), imm=random.randint(-64, 2047))
        if kind < 0.70:  # half of them into the code
            row = RISCV64.rows[random.choice(_STORES)]
            base = random.choice((8, 9, 18))
            return row.encode(rs2=random.randrange(28), rs1=base, imm=random.randrange(-8, HOT_BYTES + 64))
        if kind < 0.86:
            return self._jump(random.choice(_BRANCHES))
        if kind < 0.93:
            return self._jump(random.choice(_JUMPS))
        if kind < 0.96:
            row = RISCV64.rows["jalr"]
            return row.encode(
                rd=random.choice((0, 1)), rs1=random.choice((1, 9, 18)), imm=2 * random.randrange(HOT_BYTES // 2)
            )
        name = random.choice(_SYSTEM)
        if name == "csrrs":
            return RISCV64.rows[name].encode(rd=self._target(), csr=random.choice((0xC00, 0xC02, 0x340, 0x100, 0x001)))
        return RISCV64.rows[name].encode()

    def _free(self, name: str) -> int:
        """An instruction that leaves the kept registers alone."""
        row = RISCV64.rows[name]
        while True:
            code = encoding(row, self.random)
            if row.operand_values(code).get("rd", 0) not in _KEPT - {0}:
                return code

    def _target(self) -> int:
        return self.random.choice([number for number in range(28) if number not in _KEPT])

    def _jump(self, name: str) -> int:
        """Mostly to somewhere near, sometimes as far as it goes."""
        row, random = RISCV64.rows[name], self.random
        span = 1 << row.fields["imm"].width - 1
        reach = min(span, random.choice((16, 64, 512, LIMIT)))
        values = {"imm": 2 * random.randrange(-reach // 2, reach // 2)}
        for each in ("rs1", "rs2", "rd"):
            if each in row.fields:
                values[each] = random.choice((0, 1)) if each == "rd" else random.choice((10, 11, 12, 13))
        return row.encode(**values)

    def fill(self, count: int) -> bytes:
        """At least `count` bytes of instructions."""
        code = b""
        while len(code) < count:
            each = self.instruction()
            code += each.to_bytes(4 if each & 3 == 3 else 2, "little")
        return code

    def start(self, pair: Pair, *, paged: bool) -> None:
        """Load the program into both engines: in M-mode, or in S-mode behind page tables."""
        random = self.random
        pair.write(RAM, bytes(pair.size))
        pair.set_state(HartState(LAYOUT).snapshot())
        pair.write(RAM + CODE, self.fill(LIMIT)[:LIMIT])
        pair.write(RAM + DATA, random.randbytes(PAGE))
        for index in range(1, 28):
            pair["x", index] = random.choice((random.getrandbits(64), self.instruction(), random.getrandbits(5)))
        base = second = RAM
        if paged:
            base, second = VIRTUAL, SECOND_VIEW
            map_views(pair, base, second)
            pair["satp"] = 8 << 60 | (RAM + TABLES) >> 12
            pair["priv"] = Privilege.SUPERVISOR
            pair["pmpcfg"], pair["pmpaddr"] = 0x1F, (1 << 54) - 1
            pair["mcounteren"] = 7
        pair["mstatus"] = 3 << Status.FS | Privilege.MACHINE << Status.MPP | 1 << Status.MIE
        self.hot = base + HOT
        pointers = {"code": self.hot, "data": base + DATA + 64, "second": second + HOT + random.choice((0, PAGE))}
        pair["x", 8], pair["x", 9], pair["x", 18] = pointers["data"], self.hot, pointers["second"]
        pair["x", 30] = random.getrandbits(64) | 1
        handler = _HANDLER.format(mask=PAGE | HOT_BYTES - 2, **pointers)
        pair.write(RAM + HANDLER, assemble(handler, RAM + HANDLER, RISCV64.rows, CSRS))
        pair["mtvec"], pair["pc"] = RAM + HANDLER, self.hot
        pair["menvcfg"], pair["mie"] = 1 << 61, 8
        for side in pair.sides:
            side.engine.flush_translations(side.hart)


def map_views(pair: Pair, *bases: int) -> None:
    """Write Sv39 tables that map 16 pages of RAM at each base, readable, writable and executable."""
    table = RAM + TABLES
    free = table + PAGE
    root: dict[int, int] = {}
    for base in bases:
        middle, last, free = free, free + PAGE, free + 2 * PAGE
        assert base >> 30 not in root
        root[base >> 30] = middle
        pair.write(table + (base >> 30) * 8, (middle >> 12 << 10 | 1).to_bytes(8, "little"))
        pair.write(middle + (base >> 21 & 511) * 8, (last >> 12 << 10 | 1).to_bytes(8, "little"))
        for page in range(16):
            entry = (RAM >> 12) + page << 10 | 0x0F  # accessed and dirty are set by the hart
            pair.write(last + ((base >> 12 & 511) + page) * 8, entry.to_bytes(8, "little"))
