"""Random programs as compilers make them: nested loops, conditions, calls, jumps through tables; faults in between.

A program runs for ever in two pages of code, at their ends, where few steps are enough for native code. Its traps end
in a handler that mixes what it was told into x28 and goes on behind the instruction, or, after an interrupt, at it.

x8 points to data, x9 is for addresses of code, x18 points to a second view of the code (where there is translation),
x19 to x22 count loops, x23 keeps a return address; x24 is a device, x25 nothing at all, x26 just below a page's end,
x27 odd; x28 to x31 belong to the handler.
"""

from __future__ import annotations

from random import Random

from hypernest.engines.hart_state import HartState
from hypernest.isa.assembler import assemble
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.riscv.state import Privilege, Status
from tests.engines.equivalence import DEVICE, LAYOUT, PAGE, RAM, Pair
from tests.engines.programs import CSRS, DATA, SECOND_VIEW, TABLES, VIRTUAL, map_views
from tests.engines.random_states import float_value

CODE, FAR = 0x1000, 0x2000  # offsets in RAM of the pages that hold the program
PAGES = (CODE // PAGE, FAR // PAGE)
NOWHERE = 0x4000_0000
DEPTH = 3

HANDLER = """
    csrr x31, mcause
    add  x28, x28, x31
    csrr x30, mepc
    xor  x28, x28, x30
    bltz x31, 1f                # an interrupt: nothing was executed
    csrr x31, mtval
    add  x28, x28, x31
    add  x31, x30, x29          # where the instruction is, physically
    lhu  x31, 0(x31)
    andi x31, x31, 3
    addi x31, x31, -3
    seqz x31, x31
    slli x31, x31, 1
    addi x31, x31, 2
    add  x30, x30, x31
    csrw mepc, x30
1:  mret
"""

_REGISTERS = ("a0", "a1", "a2", "a3", "a4", "a5", "t0", "t1")
_FLOATS = ("fa0", "fa1", "fa2", "fa3", "ft0", "ft1")
_THREE = (
    *("add", "sub", "xor", "or", "and", "sll", "srl", "sra", "slt", "sltu", "addw", "subw", "sllw", "sraw", "mul"),
    *("mulh", "mulhu", "mulw", "div", "divu", "rem", "remuw", "sh1add", "sh3add", "andn", "min", "maxu", "rol", "bset"),
    "czero.eqz",
)
_IMMEDIATE = ("addi", "addiw", "xori", "ori", "andi", "slti", "sltiu")
_SHIFTS = ("slli", "srli", "srai")
_SINGLE = ("clz", "ctz", "cpop", "sext.b", "zext.h", "rev8", "orc.b")
_LOADS = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4, "lwu": 4, "ld": 8}
_STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8}
_FLOAT_THREE = ("fadd.d", "fsub.d", "fmul.d", "fdiv.d", "fadd.s", "fsub.s", "fmul.s", "fdiv.s", "fsgnjn.d", "fmin.d",
                "fmax.s")  # fmt: skip
_FLOAT_TWO = ("fsqrt.d", "fsqrt.s", "fcvt.s.d", "fcvt.d.s")
_FUSED = ("fmadd.d", "fnmsub.d", "fmadd.s")
_COMPARE = ("feq.d", "flt.d", "fle.s")
_BRANCHES = ("beq", "bne", "blt", "bge", "bltu", "bgeu")
_FAULTS = (
    "lw   {d}, 0(x25)",
    "sd   {d}, 8(x25)",
    "amoadd.w {d}, {a}, (x27)",
    "lr.d {d}, (x27)",
    "fld  fa0, 0(x25)",
    "ecall",
    "ebreak",
    ".word 0",
    ".half 0",
    "csrw cycle, {a}",
    "lw   {d}, 3(x24)",
)
_DEVICE_ACCESSES = ("lw {d}, 0(x24)", "sw {d}, 4(x24)", "lbu {d}, 9(x24)", "sd {d}, 16(x24)")
_CROSSING = ("ld {d}, 0(x26)", "sd {d}, 0(x26)", "sw {d}, 1(x26)", "lhu {d}, 2(x26)", "fsd fa1, 0(x26)")
_COUNTERS = ("cycle", "time", "instret")


class Structured:
    """One random program; `start` makes it the guest of a pair."""

    def __init__(self, seed: str, *, faults: float = 0.05, floats: float = 0.2, statements: int = 22) -> None:
        """`faults` and `floats` are shares of all statements."""
        self.random = Random(seed)
        self.faults, self.floats = faults, floats
        self._labels = 0
        self._code: list[str] = []
        main = self._body(statements)
        near = [self._function(number) for number in range(2)]
        far = [self._function(number + 2) for number in range(2)]
        self._text = ["main:", *main, "j main", *near[0], *near[1]]
        self._far = [*far[0], *far[1]]
        self.image, self.length = self._assemble()

    def _assemble(self) -> tuple[bytes, int]:
        """The two pages of code, and how many bytes of the first are in use at its end."""
        functions = [f"f{number}: " for number in (2, 3)]
        main = assemble("\n".join([*self._text, *functions]), 0, RISCV64.rows, CSRS)
        nearby = [f"f{number}: " for number in (0, 1)]
        far = assemble("\n".join(["main:", *nearby, *self._far]), 0, RISCV64.rows, CSRS)
        assert len(main) <= PAGE and len(far) <= PAGE
        first, gap = PAGE - len(main), PAGE - len(far)
        text = "\n".join([f".zero {first}", *self._text, f".zero {gap}", *self._far])
        image = assemble(text, 0, RISCV64.rows, CSRS)
        assert len(image) == 2 * PAGE
        return image, len(main)

    def start(self, pair: Pair, *, paged: bool = False) -> None:
        """Load the program into both engines: in M-mode, or in S-mode behind page tables."""
        random = self.random
        pair.write(RAM, bytes(pair.size))
        pair.set_state(HartState(LAYOUT).snapshot())
        base = second = RAM
        if paged:
            base, second = VIRTUAL, SECOND_VIEW
            map_views(pair, base, second)
            pair["satp"], pair["priv"] = 8 << 60 | (RAM + TABLES) >> 12, Privilege.SUPERVISOR
        self.base = base
        self.entry = base + CODE + PAGE - self.length
        pair.write(RAM + CODE, self.image)
        pair.write(RAM + DATA, random.randbytes(PAGE))
        handler = assemble(HANDLER, 0, RISCV64.rows, CSRS)
        pair.write(RAM + CODE - len(handler), handler)
        for index in range(1, 28):
            pair["x", index] = random.choice((random.getrandbits(64), random.getrandbits(5)))
        for index in range(32):
            pair["f", index] = float_value(random)
        pair["x", 8], pair["x", 18] = base + DATA, second + CODE
        pair["x", 24] = DEVICE if not paged else NOWHERE
        pair["x", 25], pair["x", 26], pair["x", 27] = NOWHERE, base + DATA + PAGE - 3, base + DATA + 1
        pair["x", 29] = RAM - base
        pair["pmpcfg"], pair["pmpaddr"], pair["mcounteren"], pair["menvcfg"] = 0x1F, (1 << 54) - 1, 7, 1 << 61
        pair["mtvec"], pair["pc"], pair["mie"] = RAM + CODE - len(handler), self.entry, 8
        pair["mstatus"] = 3 << Status.FS | Privilege.MACHINE << Status.MPP | 1 << Status.MIE
        for side in pair.sides:
            side.engine.flush_translations(side.hart)

    # --- text --------------------------------------------------------------------------------------------------------

    def _label(self, what: str) -> str:
        self._labels += 1
        return f"{what}{self._labels}"

    def _function(self, number: int) -> list[str]:
        return [f"f{number}:", *self._body(4, depth=2, calls=False), "ret"]

    def _body(self, statements: int, depth: int = 0, *, calls: bool = True) -> list[str]:
        return [line for _ in range(statements) for line in self._statement(depth, calls)]

    def _fill(self, form: str) -> str:
        random = self.random
        return form.format(d=random.choice(_REGISTERS), a=random.choice(_REGISTERS), b=random.choice(_REGISTERS))

    def _statement(self, depth: int, calls: bool) -> list[str]:
        random, kind = self.random, self.random.random()
        if random.random() < self.faults:
            return [self._fill(random.choice(random.choice((_FAULTS, _FAULTS, _DEVICE_ACCESSES, _CROSSING))))]
        if random.random() < self.floats:
            return self._float()
        if kind < 0.40:
            return [self._arithmetic()]
        if kind < 0.60:
            return [self._access()]
        if kind < 0.70 and depth < DEPTH:
            return self._loop(depth, calls)
        if kind < 0.80 and depth < DEPTH:
            return self._condition(depth, calls)
        if kind < 0.85 and calls:
            number = random.randrange(4)
            if random.random() < 0.5:
                return [f"call f{number}"]
            return [f"la x9, f{number}", "jalr x1, 0(x9)"]
        if kind < 0.89:
            return self._table()
        if kind < 0.93:
            return [f"csrr {random.choice(_REGISTERS)}, {random.choice(_COUNTERS)}"]
        if kind < 0.96:
            return self._atomic()
        return [self._arithmetic()]

    def _arithmetic(self) -> str:
        random = self.random
        kind = random.random()
        if kind < 0.5:
            return self._fill(f"{random.choice(_THREE)} {{d}}, {{a}}, {{b}}")
        if kind < 0.75:
            return self._fill(f"{random.choice(_IMMEDIATE)} {{d}}, {{a}}, {random.randrange(-2048, 2048)}")
        if kind < 0.85:
            return self._fill(f"{random.choice(_SHIFTS)} {{d}}, {{a}}, {random.randrange(64)}")
        if kind < 0.95:
            return self._fill(f"{random.choice(_SINGLE)} {{d}}, {{a}}")
        return self._fill(f"lui {{d}}, {random.randrange(1 << 19)}")

    def _access(self) -> str:
        random = self.random
        name, size = random.choice((*_LOADS.items(), *_STORES.items()))
        offset = random.randrange(0, 256, size) if random.random() < 0.8 else random.randrange(2040)
        return self._fill(f"{name} {{d}}, {offset}(x8)")

    def _loop(self, depth: int, calls: bool) -> list[str]:
        random, again, counter = self.random, self._label("loop"), f"x{19 + depth}"
        body = self._body(random.randint(1, 5), depth + 1, calls=calls)
        if random.random() < 0.3:  # left from the middle
            out = self._label("out")
            middle = random.randrange(len(body) + 1)
            condition = f"{random.choice(_BRANCHES)} {{a}}, {{b}}, {out}"
            body = [*body[:middle], self._fill(condition), *body[middle:]]
            return [f"li {counter}, {random.randint(2, 4)}", f"{again}:", *body, f"addi {counter}, {counter}, -1",
                    f"bnez {counter}, {again}", f"{out}:"]  # fmt: skip
        return [f"li {counter}, {random.randint(1, 5)}", f"{again}:", *body, f"addi {counter}, {counter}, -1",
                f"bnez {counter}, {again}"]  # fmt: skip

    def _condition(self, depth: int, calls: bool) -> list[str]:
        random, other, end = self.random, self._label("other"), self._label("end")
        test = self._fill(f"{random.choice(_BRANCHES)} {{a}}, {{b}}, {other}")
        yes = self._body(random.randint(1, 3), depth + 1, calls=calls)
        no = self._body(random.randint(0, 3), depth + 1, calls=calls)
        return [test, *yes, f"j {end}", f"{other}:", *no, f"{end}:"]

    def _table(self) -> list[str]:
        """A jump to a computed place among a few instructions, each of four bytes."""
        random, table = self.random, self._label("table")
        count = random.choice((2, 4))
        instructions = [self._arithmetic() for _ in range(count)]
        chosen = random.choice(_REGISTERS)
        return [f"andi x9, {chosen}, {4 * (count - 1)}", f"la t2, {table}", "add x9, x9, t2", "jr x9", f"{table}:",
                *instructions]  # fmt: skip

    def _atomic(self) -> list[str]:
        again = self._label("again")
        size = self.random.choice("wd")
        if self.random.random() < 0.5:
            return [self._fill(f"amo{self.random.choice(('add', 'swap', 'maxu'))}.{size} {{d}}, {{a}}, (x8)")]
        return [f"{again}:", f"lr.{size} a0, (x8)", "addi a0, a0, 3", f"sc.{size} a1, a0, (x8)", f"bnez a1, {again}"]

    def _float(self) -> list[str]:
        random, kind = self.random, self.random.random()
        d, a, b, c = (random.choice(_FLOATS) for _ in range(4))
        x = random.choice(_REGISTERS)
        if kind < 0.45:
            return [f"{random.choice(_FLOAT_THREE)} {d}, {a}, {b}"]
        if kind < 0.55:
            return [f"{random.choice(_FLOAT_TWO)} {d}, {a}"]
        if kind < 0.65:
            return [f"{random.choice(_FUSED)} {d}, {a}, {b}, {c}"]
        if kind < 0.72:
            return [f"{random.choice(_COMPARE)} {x}, {a}, {b}"]
        if kind < 0.82:
            return [f"fcvt.l.d {x}, {a}, {random.choice(('rtz', 'rne', 'dyn'))}", f"fcvt.d.w {d}, {x}"]
        if kind < 0.92:
            return [random.choice((f"fld {d}, {8 * random.randrange(32)}(x8)", f"fsw {a}, 64(x8)", f"fsd {a}, 72(x8)"))]
        return [
            random.choice(
                (
                    f"csrrwi x0, frm, {random.choice((0, 0, 0, 1, 2, 3, 4, 5))}",
                    f"csrr {x}, fflags",
                    "csrw fcsr, x0",
                )
            )
        ]
