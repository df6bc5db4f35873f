"""Guest code as text, read from the memory that a hart sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from hypernest.debug.symbols import SymbolOffset
from hypernest.errors import BadValue, OutOfRange
from hypernest.isa.disassembler import Disassembler
from hypernest.isa.riscv.abi import FLOAT_ABI, INTEGER_ABI
from hypernest.machine.host_access import MemoryView

MOST_INSTRUCTIONS = 1 << 20

Name = Callable[[int], SymbolOffset | None]
"""The symbol at an address."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction in guest memory: its address, its bytes, and what it says in assembly language.

    `symbol` is where the address is, `target` the address that a direct branch or jump leads to, `target_symbol` where
    that is; None if there is no such. What is no instruction is a directive, `.half` or `.word`.
    """

    address: int
    code: bytes
    text: str
    symbol: SymbolOffset | None = None
    target: int | None = None
    target_symbol: SymbolOffset | None = None

    def __str__(self) -> str:
        place = f"{self.address:#x}" + (f" <{self.symbol}>" if self.symbol else "")
        code = f"{int.from_bytes(self.code, 'little'):0{2 * len(self.code)}x}"
        return f"{place}:  {code:<8}  {self.text}" + (f" <{self.target_symbol}>" if self.target_symbol else "")


class Listing(list[Instruction]):
    """Instructions in the order of their addresses; prints as one a line."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


@cache
def _disassembler() -> Disassembler:
    from hypernest.isa.riscv.riscv64 import RISCV64

    names = {number: csr.name for number, csr in RISCV64.csrs.items()}
    return Disassembler(RISCV64.rows, names, (INTEGER_ABI, FLOAT_ABI))


def disassemble(memory: MemoryView, address: int, count: int, name: Name = lambda address: None) -> Listing:
    """Up to `count` instructions from `address` on; fewer if memory ends.

    Raises `OutOfRange` or `NotMapped` if there is no memory at `address`, `BadValue` if it is odd or `count` is
    negative.
    """
    if address & 1:
        raise BadValue(f"{address:#x} is odd: instructions begin at even addresses")
    if not 0 <= count <= MOST_INSTRUCTIONS:
        raise BadValue(f"{count} instructions cannot be shown: give 0 to {MOST_INSTRUCTIONS}")
    listing = Listing()
    for instruction in _instructions(memory, address, name):
        if len(listing) == count:
            break
        listing.append(instruction)
    return listing


def _instructions(memory: MemoryView, address: int, name: Name) -> Iterator[Instruction]:
    disassembler = _disassembler()
    start = address
    while True:
        try:
            code = memory.read(address, 2)
            if code[0] & 3 == 3:
                code += memory.read(address + 2, 2)
        except OutOfRange:
            if address == start:
                raise
            return
        value = int.from_bytes(code, "little")
        target = disassembler.target(value, address)
        yield Instruction(
            address,
            code,
            disassembler.disassemble(value, address),
            name(address),
            target,
            None if target is None else name(target),
        )
        address += len(code)
