"""From an instruction word to text, written as GNU objdump writes it with `-M numeric,no-aliases`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from hypernest.isa.decoder import Decoder
from hypernest.isa.row import Row
from hypernest.isa.syntax import FENCE_LETTERS, OPERANDS, ORDERINGS, ROUNDING_MODES, Kind, slots

_NUMERIC = (tuple(f"x{number}" for number in range(32)), tuple(f"f{number}" for number in range(32)))


class Disassembler:
    """Writes the instructions of `rows`; `csr_names` gives the names of control and status registers by number.

    `register_names` are those of the integer and of the floating-point registers, x0 to x31 and f0 to f31 by default.
    """

    def __init__(
        self,
        rows: Mapping[str, Row],
        csr_names: Mapping[int, str],
        register_names: tuple[Sequence[str], Sequence[str]] = _NUMERIC,
    ) -> None:
        self._decoder = Decoder(rows.values())
        self._csr_names = csr_names
        self._integer_names, self._float_names = register_names
        self._literal = dict(zip(_NUMERIC[0], self._integer_names, strict=True))

    def disassemble(self, code: int, pc: int = 0) -> str:
        """The instruction `code` at address `pc`; a directive, `.half` or `.word`, if it is illegal.

        Where the low two bits of `code` say that it has 16 bits, the upper half is ignored.
        """
        row = self._decoder.decode(code)
        if row is None:
            return f".word {code & 0xFFFFFFFF:#010x}" if code & 3 == 3 else f".half {code & 0xFFFF:#06x}"
        return self.write(row, {name: each.extract(code) for name, each in row.fields.items()}, pc)

    def target(self, code: int, pc: int) -> int | None:
        """Where the branch or jump `code` at address `pc` leads, if the instruction itself says so."""
        row = self._decoder.decode(code)
        if row is None:
            return None
        for slot in slots(row.syntax):
            operand = OPERANDS.get(slot.word or "")
            if operand is not None and operand.kind is Kind.TARGET:
                return pc + row.fields[operand.field].extract(code) & 0xFFFF_FFFF_FFFF_FFFF
        return None

    def write(self, row: Row, values: Mapping[str, int], pc: int = 0) -> str:
        """The instruction that `row` is with these values of its fields."""
        operands = []
        for slot in slots(row.syntax):
            text = self._word(slot.word, values, pc) if slot.word else ""
            operands.append(text + (f"({self._word(slot.base, values, pc)})" if slot.base else ""))
        if values.get("rm", 7) != 7:
            operands.append(ROUNDING_MODES.get(values["rm"], "unknown"))
        ordering = ORDERINGS[values.get("aq", 0), values.get("rl", 0)]
        return f"{row.name}{ordering} {','.join(operands)}".strip()

    def _word(self, text: str, values: Mapping[str, int], pc: int) -> str:
        if text not in OPERANDS:
            return self._literal.get(text, text)
        operand = OPERANDS[text]
        value = values[operand.field]
        match operand.kind:
            case Kind.INTEGER_REGISTER:
                return self._integer_names[value]
            case Kind.FLOAT_REGISTER:
                return self._float_names[value]
            case Kind.DECIMAL:
                return str(value)
            case Kind.HEXADECIMAL:
                return hex(value)
            case Kind.UPPER:
                return hex(value >> 12 & 0xFFFFF)
            case Kind.TARGET:
                return hex((pc + value) & 0xFFFF_FFFF_FFFF_FFFF)
            case Kind.CSR:
                return self._csr_names.get(value, hex(value))
            case Kind.FENCE:
                return "".join(FENCE_LETTERS[bit] for bit in (3, 2, 1, 0) if value >> bit & 1) or "0"


@cache
def _riscv64() -> Disassembler:
    from hypernest.isa.riscv.riscv64 import RISCV64

    return Disassembler(RISCV64.rows, {number: csr.name for number, csr in RISCV64.csrs.items()})


def disassemble(code: int, pc: int = 0) -> str:
    """The RISC-V instruction `code` at address `pc`, as `Disassembler.disassemble` writes it."""
    return _riscv64().disassemble(code, pc)
