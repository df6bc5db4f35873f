"""The instructions that F and D share: one template, filled in for each precision.

Narrow numbers live NaN-boxed in the 64-bit registers (unprivileged manual, "NaN Boxing of Narrower Values"). Every
instruction is illegal while mstatus.FS is Off; those that change an f register or a flag set FS to Dirty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypernest.isa.floating_point import I32, I64, U32, U64, Arithmetic, Format, Integer
from hypernest.isa.hart import Hart, Pure
from hypernest.isa.riscv.state import Status
from hypernest.isa.riscv.traps import illegal
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, concat, select, word

FS = 3 << Status.FS  # the field of mstatus: zeros are Off, ones are Dirty
DYNAMIC, LAST_MODE = 7, 4  # of rm: "as frm says", and the last one that names a mode


# --- the state of the unit ------------------------------------------------------------------------------------------


def check_enabled(h: Hart) -> None:
    """Illegal instruction if FS is Off. Comes before everything else."""
    if (h.mstatus & FS) == 0:
        raise illegal(h)


def rounding_mode(h: Hart) -> Word:
    """The mode (3 bits, 0 to 4) of an instruction that has `rm`. Illegal instruction if FS is Off or it is reserved."""
    check_enabled(h)
    rm = h.operand("rm").trunc(3)
    mode = select(rm == DYNAMIC, h.frm, rm)
    if mode > LAST_MODE:
        raise illegal(h)
    return mode


def raise_flags(h: Hart, flags: Word) -> None:
    """Accumulate exception flags (5 bits)."""
    h.write("fflags", h.fflags | flags)
    h.write("mstatus", h.mstatus | select(flags == 0, word(0), FS))


def write_float(h: Hart, value: Word) -> None:
    """Set floating-point register rd to a number of any format, boxed."""
    h.fd = box(value)
    h.write("mstatus", h.mstatus | FS)


def box(value: Word) -> Word:
    """A narrower number as a register holds it: all ones above."""
    return value if value.width == 64 else concat(word(-1, 64 - value.width), value)


def unbox(form: Format, value: Word) -> Word:
    """The number of the format in a register; the canonical NaN if it is not boxed properly."""
    if form.width == 64:
        return value
    boxed = (value >> form.width) == (1 << (64 - form.width)) - 1
    return select(boxed, value.trunc(form.width), form.canonical_nan)


def finish(h: Hart, result: Word, flags: Word) -> None:
    """What every operation with a floating-point result ends with."""
    raise_flags(h, flags)
    write_float(h, result)


# --- the instructions -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """What tells the instructions of one format from those of another."""

    arithmetic: Arithmetic
    suffix: str  # of the names: s, d
    memory_suffix: str  # of loads, stores and moves: w, d
    fmt: str  # the field of the encoding that says which
    memory_width: str  # funct3 of loads and stores

    @property
    def format(self) -> Format:
        return self.arithmetic.format


INTEGERS: list[tuple[str, str, Integer]] = [("w", "00000", I32), ("wu", "00001", U32), ("l", "00010", I64),
                                            ("lu", "00011", U64)]  # fmt: skip

# How the sign of the result comes from the two operands.
SIGNS: list[tuple[str, str, Callable[[Word, Word], Word]]] = [
    ("fsgnj", "000", lambda a, b: b),
    ("fsgnjn", "001", lambda a, b: ~b),
    ("fsgnjx", "010", lambda a, b: a ^ b),
]


def add_rows(extension: Extension, p: Precision) -> None:
    """Declare every instruction of the precision, except conversions to other precisions."""
    a, s, m, fmt = p.arithmetic, p.suffix, p.memory_suffix, p.fmt
    row = extension.add

    row(f"fl{m} fd, imm(rs1)", f"imm[11:0] rs1 {p.memory_width} rd 0000111", _load(p))
    row(f"fs{m} fs2, imm(rs1)", f"imm[11:5] rs2 rs1 {p.memory_width} imm[4:0] 0100111", _store(p))

    for name, opcode, negate_product, negate_addend in [
        ("fmadd", "1000011", False, False),
        ("fmsub", "1000111", False, True),
        ("fnmsub", "1001011", True, False),
        ("fnmadd", "1001111", True, True),
    ]:
        fused = _fused(p, negate_product, negate_addend)
        row(f"{name}.{s} fd, fs1, fs2, fs3, rm", f"rs3 {fmt} rs2 rs1 rm rd {opcode}", fused)

    for name, funct5, function, negate in [
        ("fadd", "00000", a.add, False),
        ("fsub", "00001", a.add, True),
        ("fmul", "00010", a.multiply, False),
        ("fdiv", "00011", a.divide, False),
    ]:
        row(f"{name}.{s} fd, fs1, fs2, rm", f"{funct5}{fmt} rs2 rs1 rm rd 1010011", _binary(p, function, negate))
    row(f"fsqrt.{s} fd, fs1, rm", f"01011{fmt} 00000 rs1 rm rd 1010011", _square_root(p))

    for name, funct3, sign in SIGNS:
        row(f"{name}.{s} fd, fs1, fs2", f"00100{fmt} rs2 rs1 {funct3} rd 1010011", _inject_sign(p, sign))
    for name, funct3, function in [("fmin", "000", a.minimum), ("fmax", "001", a.maximum)]:
        row(f"{name}.{s} fd, fs1, fs2", f"00101{fmt} rs2 rs1 {funct3} rd 1010011", _choose(p, function))
    for name, funct3, function in [("feq", "010", a.equal), ("flt", "001", a.less), ("fle", "000", a.less_or_equal)]:
        row(f"{name}.{s} rd, fs1, fs2", f"10100{fmt} rs2 rs1 {funct3} rd 1010011", _compare(p, function))
    row(f"fclass.{s} rd, fs1", f"11100{fmt} 00000 rs1 001 rd 1010011", _classify(p))

    for name, code, kind in INTEGERS:
        row(f"fcvt.{name}.{s} rd, fs1, rm", f"11000{fmt} {code} rs1 rm rd 1010011", _to_integer(p, kind))
        row(f"fcvt.{s}.{name} fd, rs1, rm", f"11010{fmt} {code} rs1 rm rd 1010011", _from_integer(p, kind))
    row(f"fmv.x.{m} rd, fs1", f"11100{fmt} 00000 rs1 000 rd 1010011", _move_to_integer(p))
    row(f"fmv.{m}.x fd, rs1", f"11110{fmt} 00000 rs1 000 rd 1010011", _move_from_integer(p))


def _load(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        write_float(h, h.load(h.rs1 + h.imm, p.format.width))

    return execute


def _store(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        h.store(h.rs1 + h.imm, h.fs2.trunc(p.format.width))

    return execute


def _fused(p: Precision, negate_product: bool, negate_addend: bool) -> Semantics:
    form = p.format

    def execute(h: Hart) -> None:
        rm = rounding_mode(h)
        a, b, c = unbox(form, h.fs1), unbox(form, h.fs2), unbox(form, h.fs3)
        if negate_product:
            a = a ^ form.sign_bit
        if negate_addend:
            c = c ^ form.sign_bit
        finish(h, *p.arithmetic.fused_multiply_add(a, b, c, rm))

    return execute


def _binary(p: Precision, function: Pure, negate: bool) -> Semantics:
    form = p.format

    def execute(h: Hart) -> None:
        rm = rounding_mode(h)
        b = unbox(form, h.fs2)
        finish(h, *function(unbox(form, h.fs1), b ^ form.sign_bit if negate else b, rm))

    return execute


def _square_root(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        rm = rounding_mode(h)
        finish(h, *p.arithmetic.square_root(unbox(p.format, h.fs1), rm))

    return execute


def _inject_sign(p: Precision, sign: Callable[[Word, Word], Word]) -> Semantics:
    form = p.format

    def execute(h: Hart) -> None:
        check_enabled(h)
        a, b = unbox(form, h.fs1), unbox(form, h.fs2)
        write_float(h, (a & ~form.sign_bit) | (sign(a, b) & form.sign_bit))

    return execute


def _choose(p: Precision, function: Pure) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        finish(h, *function(unbox(p.format, h.fs1), unbox(p.format, h.fs2)))

    return execute


def _compare(p: Precision, function: Pure) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        holds, flags = function(unbox(p.format, h.fs1), unbox(p.format, h.fs2))
        raise_flags(h, flags)
        h.rd = holds.zext(64)

    return execute


def _classify(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        h.rd = p.arithmetic.classify(unbox(p.format, h.fs1)).zext(64)

    return execute


def _to_integer(p: Precision, kind: Integer) -> Semantics:
    def execute(h: Hart) -> None:
        rm = rounding_mode(h)
        value, flags = p.arithmetic.to_integer[kind](unbox(p.format, h.fs1), rm)
        raise_flags(h, flags)
        h.rd = value.sext(64)  # unsigned words too

    return execute


def _from_integer(p: Precision, kind: Integer) -> Semantics:
    def execute(h: Hart) -> None:
        rm = rounding_mode(h)
        value = h.rs1.trunc(kind.width)
        convert = p.arithmetic.from_integer[I64 if kind.signed else U64]
        finish(h, *convert(value.sext(64) if kind.signed else value.zext(64), rm))

    return execute


def _move_to_integer(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        h.rd = h.fs1.trunc(p.format.width).sext(64)

    return execute


def _move_from_integer(p: Precision) -> Semantics:
    def execute(h: Hart) -> None:
        check_enabled(h)
        write_float(h, h.rs1.trunc(p.format.width))

    return execute
