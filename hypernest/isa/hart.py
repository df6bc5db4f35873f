"""What a semantic function sees of the hart it runs on.

A semantic function takes a `Hart` and says in ordinary Python what an instruction, a trap or an address translation
does. The same function runs on the reference engine's hart (words are constants) and on the tracer's (words are
expressions). It must keep three rules, which the tracer enforces:

* Raise `Trap` before anything is changed; register writes are held back until the function ends, memory is not.
* Use `if` for traps, modes and rare paths, `select` for data: every path through the `if`s is a path of native code.
* Anything with many paths that others use is a `@routine` (works on a hart) or a `@pure` function (works on words):
  it is lowered once and called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from hypernest.isa.word import Word, word


class Access(IntEnum):
    """Why an address is translated."""

    READ = 0
    WRITE = 1
    EXECUTE = 2


class Trap(Exception):
    """A synchronous exception: `cause` is the code for mcause or scause, `value` goes to mtval or stval."""

    def __init__(self, cause: int, value: Word | int = 0) -> None:
        super().__init__(cause, value)
        self.cause, self.value = cause, word(value, 64)


@dataclass(frozen=True)
class Register:
    """A row of the hart-state table: `count` registers of `width` bits (at most 64), `reset` at power-on."""

    name: str
    width: int = 64
    count: int = 1
    reset: int = 0
    doc: str = ""


@dataclass(frozen=True)
class Routine:
    """A function of a hart, lowered once. Calling it on a concrete hart just runs it."""

    function: Callable[..., Any]
    arguments: tuple[int, ...]
    results: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.function.__name__

    def __call__(self, hart: Hart, *arguments: Word | int) -> Any:
        if len(arguments) != len(self.arguments):
            raise TypeError(f"{self.name} takes {len(self.arguments)} words, not {len(arguments)}")
        return hart.call(self, tuple(map(word, arguments, self.arguments)))


def routine(arguments: tuple[int, ...] = (), results: tuple[int, ...] = ()) -> Callable[[Callable[..., Any]], Routine]:
    """Declare a function `(hart, *words)` with the widths of its arguments and results.

    It returns None, a word, or a tuple of words, as many as `results` says; it may raise `Trap`.
    """
    return lambda function: Routine(function, arguments, results)


@dataclass(frozen=True)
class Pure:
    """A function of words alone, without traps or state; lowered once, shared by all rows that call it."""

    function: Callable[..., Any]
    arguments: tuple[int, ...]
    results: tuple[int, ...]
    name: str

    def __call__(self, *arguments: Word | int) -> Any:
        words = tuple(word(a, width) for a, width in zip(arguments, self.arguments, strict=True))
        decider = next((w.decider for w in words if w.decider is not None), None)
        if decider is None:
            return self.function(*words)
        return decider.call_pure(self, words)  # type: ignore[attr-defined]


def pure(arguments: tuple[int, ...], results: tuple[int, ...], name: str = "") -> Callable[[Callable[..., Any]], Pure]:
    """Declare a function of words. `name` must be unique in the ISA; the function's own by default."""
    return lambda function: Pure(function, arguments, results, name or function.__name__)


class Hart(ABC):
    """The state of one hart and its way to memory, as semantic functions use it.

    Registers of the state table are attributes (`h.mstatus`, `h.priv`); arrays are read and written with an index.
    """

    # --- primitives: an engine or the tracer provides these ------------------------------------------------------

    @abstractmethod
    def read(self, register: str, index: Word | int = 0) -> Word:
        """The value of a register of the state table."""

    @abstractmethod
    def write(self, register: str, value: Word | int, index: Word | int = 0) -> None:
        """Set a register of the state table (`value` as wide as the register)."""

    @abstractmethod
    def operand(self, name: str) -> Word:
        """A decoded operand: 64 bits, immediates extended, register numbers as they are."""

    @abstractmethod
    def call(self, called: Routine, arguments: tuple[Word, ...]) -> Any:
        """Run a routine."""

    @abstractmethod
    def load(self, address: Word, bits: int) -> Word:
        """Load `bits` (8 to 64) from a virtual address; misaligned is fine. Traps as the privileged manual says."""

    @abstractmethod
    def store(self, address: Word, value: Word) -> None:
        """Store `value` (8 to 64 bits) at a virtual address; misaligned is fine."""

    @abstractmethod
    def locate(self, address: Word, access: Access) -> Word:
        """The guest-physical address behind a virtual one, permission checked; engines may remember the answer."""

    @abstractmethod
    def physical_load(self, address: Word, bits: int) -> tuple[Word, Word]:
        """(value, ok): naturally aligned read of RAM or a device; ok (1 bit) is 0 where there is nothing."""

    @abstractmethod
    def physical_store(self, address: Word, value: Word) -> Word:
        """ok (1 bit): naturally aligned write to RAM or a device."""

    @abstractmethod
    def is_memory(self, address: Word, size: int) -> Word:
        """1 bit: are `size` bytes at a guest-physical address all RAM?"""

    @abstractmethod
    def announce(self, access: Access, address: Word, size: int, value: Word, first: Word, last: Word) -> None:
        """`size` bytes at a virtual address are about to be read, or written with `value` (any width), as the program
        asks; `first` and `last` are the guest-physical addresses of the first and the last byte. It is permitted, and
        nothing has been changed yet: a host that watches the place may put the instruction off."""

    @abstractmethod
    def csr_read(self, number: Word) -> Word:
        """Read a CSR through its row of the CSR table; illegal instruction if there is none. No access check."""

    @abstractmethod
    def csr_write(self, number: Word, value: Word) -> None:
        """Write a CSR through its row of the CSR table."""

    @abstractmethod
    def clock(self) -> Word:
        """Nanoseconds of guest time (64 bits) at this instruction."""

    @abstractmethod
    def flush_translations(self) -> None:
        """Forget every remembered translation of this hart (after a change of satp, PMP, MXR, or sfence.vma)."""

    @abstractmethod
    def flush_translation(self, address: Word) -> None:
        """Forget the remembered translations that came from the leaf entry which maps a virtual address."""

    @abstractmethod
    def note_mapping(self, shift: Word) -> None:
        """The translation under way comes from a leaf that maps 2**shift bytes (64 bits), for `flush_translation`."""

    @abstractmethod
    def flush_instructions(self) -> None:
        """fence.i: engines that see writes to code by themselves need do nothing."""

    @abstractmethod
    def reschedule(self) -> None:
        """Make the run loop look again at deadlines after this instruction (a timer was set)."""

    @abstractmethod
    def wait(self) -> None:
        """wfi: stop after this instruction until an interrupt is pending."""

    # --- what instructions are written with --------------------------------------------------------------------

    def __getattr__(self, name: str) -> Word:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.read(name)

    @property
    def rs1(self) -> Word:
        """The value of integer register rs1."""
        return self.read("x", self.operand("rs1"))

    @property
    def rs2(self) -> Word:
        return self.read("x", self.operand("rs2"))

    @property
    def rd(self) -> Word:
        """Write only: assign to it to set integer register rd."""
        raise AttributeError("rd is written, not read")

    @rd.setter
    def rd(self, value: Word) -> None:
        self.write("x", value, self.operand("rd"))

    @property
    def fs1(self) -> Word:
        """The 64 bits of floating-point register rs1, as they are."""
        return self.read("f", self.operand("rs1"))

    @property
    def fs2(self) -> Word:
        return self.read("f", self.operand("rs2"))

    @property
    def fs3(self) -> Word:
        return self.read("f", self.operand("rs3"))

    @property
    def fd(self) -> Word:
        """Write only: assign to it to set floating-point register rd (64 bits, boxed by the caller)."""
        raise AttributeError("fd is written, not read")

    @fd.setter
    def fd(self, value: Word) -> None:
        self.write("f", value, self.operand("rd"))

    @property
    def imm(self) -> Word:
        """The signed immediate, 64 bits."""
        return self.operand("imm")

    @property
    def uimm(self) -> Word:
        """The unsigned immediate (shift amounts, CSR immediates), 64 bits."""
        return self.operand("uimm")

    @property
    @abstractmethod
    def next_pc(self) -> Word:
        """The address of the instruction that follows this one."""

    @abstractmethod
    def branch(self, offset: Word) -> None:
        """Go on at pc + offset, where the offset is an operand of the instruction."""

    @abstractmethod
    def jump(self, target: Word) -> None:
        """Go on at a computed address."""


def bit(condition: Word, width: int = 64) -> Word:
    """A condition as a number: 1 or 0 in `width` bits."""
    return condition.zext(width)
