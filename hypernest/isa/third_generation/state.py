"""The state S = <E, M, P, R> of the model machine (section 2), and how a program status word packs its last three.

E, executable storage, is memory: word `a` of E is the 64 bits at bytes 8a to 8a + 7. The general registers are the one
addition to the paper's state; it leaves them out as a matter of no interest to the proofs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from hypernest.isa.hart import Hart, Register
from hypernest.isa.word import Word, concat, word

WORD = 8  # bytes in memory of a word of E
ADDRESS_BITS = 20
ADDRESSES = (1 << ADDRESS_BITS) - 1


class Mode(IntEnum):
    """M: what the register `mode` holds."""

    SUPERVISOR = 0
    USER = 1


REGISTERS: tuple[Register, ...] = (
    Register("r", 64, 8, doc="general registers"),
    Register("pc", doc="P, a virtual address of at most 20 bits: relative to the relocation register, as in section 2"),
    Register("mode", 1, reset=Mode.SUPERVISOR, doc="M: 0 supervisor, 1 user"),
    Register("location", ADDRESS_BITS, doc="l of R: the physical address of virtual address 0"),
    Register("bound", ADDRESS_BITS, reset=ADDRESSES, doc="b of R: how many words are addressable"),
)


@dataclass(frozen=True)
class Status:
    """A PSW: (M, P, R). Bits 19:0 are P, 39:20 are l, 59:40 are b, bit 63 is M; bits 62:60 are zero and ignored."""

    mode: Word
    pc: Word
    location: Word
    bound: Word

    @staticmethod
    def current(h: Hart, pc: Word) -> Status:
        """The machine's own, with `pc` (64 bits) as the place to go on."""
        return Status(h.mode, pc.trunc(ADDRESS_BITS), h.location, h.bound)

    @staticmethod
    def unpacked(packed: Word) -> Status:
        """The one that is packed in a word of E."""
        return Status(packed.bit(63), packed.bits(19, 0), packed.bits(39, 20), packed.bits(59, 40))

    def packed(self) -> Word:
        """The word of E that says it."""
        return concat(self.mode, word(0, 3), self.bound, self.location, self.pc)

    def enter(self, h: Hart) -> None:
        """Make M and R this; the caller sends the machine to `pc`."""
        h.write("mode", self.mode)
        h.write("location", self.location)
        h.write("bound", self.bound)
