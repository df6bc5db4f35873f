"""Every operation of words means the same as constants and as native code, at every width and for corner operands."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from hypernest.isa.hart import Pure
from hypernest.isa.layout import Layout
from hypernest.isa.riscv.riscv64 import RISCV64
from hypernest.isa.word import Word, concat, repeat, select, word
from hypernest.lowering.functions import FunctionLowering
from tests.lowering.native import compiled

WIDTHS = [8, 16, 32, 64]
BINARY: dict[str, Callable[[Word, Word], Word]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shift left": lambda a, b: a << b,
    "shift right": lambda a, b: a >> b,
    "shift arithmetic": lambda a, b: a.sar(b),
    "masked shift": lambda a, b: a << (b & (a.width - 1)),
    "unsigned quotient": lambda a, b: a.udiv(select(b == 0, word(1, b.width), b)),
    "unsigned remainder": lambda a, b: a.urem(select(b == 0, word(1, b.width), b)),
    "signed quotient": lambda a, b: a.sdiv(b | 1) if (b | 1) != -1 else -a,
    "signed remainder": lambda a, b: a.srem(b | 1) if (b | 1) != -1 else word(0, a.width),
    "equal": lambda a, b: (a == b).zext(a.width),
    "not equal": lambda a, b: (a != b).zext(a.width),
    "below": lambda a, b: (a < b).zext(a.width),
    "at most": lambda a, b: (a <= b).zext(a.width),
    "above": lambda a, b: (a > b).zext(a.width),
    "at least": lambda a, b: (a >= b).zext(a.width),
    "signed below": lambda a, b: a.slt(b).zext(a.width),
    "signed at most": lambda a, b: a.sle(b).zext(a.width),
    "signed above": lambda a, b: a.sgt(b).zext(a.width),
    "signed at least": lambda a, b: a.sge(b).zext(a.width),
    "choice": lambda a, b: select(a.bit(0), a, b),
    "branch": lambda a, b: a + 1 if a < b else b - a,
    "leading zeros": lambda a, b: a.clz() + b.ctz(),
    "ones": lambda a, b: (a ^ b).popcount(),
    "bytes": lambda a, b: a.byte_swap() if a.width > 8 else a,
    "halves": lambda a, b: concat(a.bits(a.width // 2 - 1, 0), b.bits(b.width - 1, b.width // 2)),
    "widened": lambda a, b: (a.sext(2 * a.width) * b.zext(2 * b.width)).bits(2 * a.width - 1, a.width),
    "inserted": lambda a, b: a.insert(1, b.trunc(4)),
    "loop": lambda a, b: repeat(a.width, lambda x, y: (y, x + (y << 1)), a, b)[0],
}


def _corners(width: int) -> list[int]:
    top = 1 << (width - 1)
    return [0, 1, 2, 3, width - 1, width, width + 1, top - 1, top, top + 1, 2 * top - 1, 0x5A5A5A5A5A5A5A5A % (2 * top)]


@pytest.fixture(scope="module")
def native() -> Any:
    """All operations at all widths, in one module."""
    functions = FunctionLowering(Layout(RISCV64.registers), {}, RISCV64.rows)
    ir = ""
    for at, operation in enumerate(BINARY.values()):
        for width in WIDTHS:
            name = f"{at}_{width}"
            ir += functions.pure(Pure(operation, (width, width), (width,), name))
            ir += (
                f"define i{width} @call_{name}(i{width} %a, i{width} %b) {{\n"
                f"  %r = call i{width} @pure_{name}(i{width} %a, i{width} %b)\n  ret i{width} %r\n}}\n"
            )
    return compiled(ir)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", BINARY)
def test_constants_and_native_code_agree(native: Any, name: str, width: int) -> None:
    kind = {8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32, 64: ctypes.c_uint64}[width]
    address = native.get_function_address(f"call_{list(BINARY).index(name)}_{width}")
    call = ctypes.CFUNCTYPE(kind, kind, kind)(address)
    for a in _corners(width):
        for b in _corners(width):
            assert call(a, b) == int(BINARY[name](word(a, width), word(b, width))), (name, hex(a), hex(b))
