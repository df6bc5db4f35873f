"""The registers of a hart by the names that the manuals and the calling convention give them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping

from hypernest.engines.hart_state import HartState
from hypernest.errors import BadValue, HypernestError
from hypernest.isa.hart import Hart, Trap
from hypernest.isa.isa import Isa
from hypernest.isa.riscv.abi import FLOAT_ABI, FLOAT_NUMBERS, INTEGER_ABI, INTEGER_NUMBERS
from hypernest.isa.riscv.state import Privilege
from hypernest.isa.word import word

_READ_ONLY = 3  # bits 11:10 of a CSR number
_COLUMNS = 4
_WIDEST_NAME = 13


class NoSuchRegister(HypernestError, KeyError):
    """A register that the hart does not have, or that cannot be accessed."""

    def __str__(self) -> str:  # KeyError would print the sentence in quotes.
        return str(self.args[0])


def no_such_register(what: str, name: object, names: Iterable[str], example: str) -> NoSuchRegister:
    """The error that proposes what may have been meant, or shows what names look like."""
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5) if isinstance(name, str) else []
    return NoSuchRegister(f"there is no {what} {name!r}" + (f" (did you mean {near[0]}?)" if near else f": {example}"))


def unsigned(value: int, what: str) -> int:
    """`value` as 64 bits; a negative one in two's complement. `BadValue` if it has more."""
    if not -(1 << 63) <= value < 1 << 64:
        raise BadValue(f"{value:#x} does not fit into {what}: give a number of 64 bits")
    return value & (1 << 64) - 1


class Registers:
    """The integer or floating-point registers of a hart, by number or name (`x[10]`, `x["a0"]`), as 64-bit ints."""

    def __init__(self, state: Callable[[], HartState], file: str, numbers: Mapping[str, int]) -> None:
        self._state, self._file, self._numbers = state, file, numbers

    def __getitem__(self, register: int | str) -> int:
        return self._state()[self._file, self._number(register)]

    def __setitem__(self, register: int | str, value: int) -> None:
        number = self._number(register)
        if self._file == "x" and number == 0:
            raise NoSuchRegister("x0 is always zero: write another register")
        self._state()[self._file, number] = unsigned(value, f"the register {register}")

    def _number(self, register: int | str) -> int:
        number = self._numbers.get(register, -1) if isinstance(register, str) else register
        if not 0 <= number < 32:
            example = "a0" if self._file == "x" else "fa0"
            raise no_such_register(
                "register", register, self._numbers, f"use 0 to 31 or a name such as {example}"
            )  # fmt: skip
        return number

    def __len__(self) -> int:
        return 32

    def __repr__(self) -> str:
        names = INTEGER_ABI if self._file == "x" else FLOAT_ABI
        return table({name: self[number] for number, name in enumerate(names)})


class Csrs:
    """The control and status registers of a hart, by number or the manual's name.

    A read shows what `csrr` would in M-mode and changes nothing. A write follows the register's own rules (WARL), so it
    may change less than was asked for. `NoSuchRegister` for what does not exist or is read-only.
    """

    def __init__(self, isa: Isa, view: Callable[[], Hart]) -> None:
        self._isa, self._view = isa, view
        self._numbers = {row.name: number for number, row in isa.csrs.items()}

    @property
    def names(self) -> Iterable[str]:
        """All names, in the order of the numbers."""
        return sorted(self._numbers, key=self._numbers.__getitem__)

    def __contains__(self, register: object) -> bool:
        return register in self._numbers or register in self._isa.csrs

    def __getitem__(self, register: int | str) -> int:
        return self._guarded(register, lambda number: int(self._view().csr_read(word(number))))

    def __setitem__(self, register: int | str, value: int) -> None:
        bits = unsigned(value, f"the CSR {register}")

        def write(number: int) -> int:
            if number >> 10 == _READ_ONLY:
                raise NoSuchRegister(f"the CSR {register!r} is read-only: write another register")
            view = self._view()
            view.csr_write(word(number), word(bits))
            view.flush_translations()
            return 0

        self._guarded(register, write)

    def _guarded(self, register: int | str, access: Callable[[int], int]) -> int:
        number = self._numbers.get(register, -1) if isinstance(register, str) else register
        if number not in self._isa.csrs:
            example = "use a name of the privileged manual such as mstatus"
            raise no_such_register("CSR", register, self._numbers, example)
        try:
            return access(number)
        except Trap:
            raise NoSuchRegister(f"the CSR {register!r} cannot be accessed in the state that the hart is in") from None

    def __repr__(self) -> str:
        return table({name: self[name] for name in self.names})


class RegisterValues(dict[str, int]):
    """Registers and what they held, to be printed; a dictionary else. Names as `hart[name]` takes them.

    Printed are pc, the mode, the integer registers, and of the others those that are not zero.
    """

    def shown(self) -> dict[str, int]:
        """What is printed."""
        always = {"pc", "priv", *INTEGER_ABI}
        return {name: value for name, value in self.items() if value or name in always}

    def __repr__(self) -> str:
        return table(self.shown())

    def _repr_html_(self) -> str:
        cells = [f"<th>{name}</th><td><code>{value:#x}</code></td>" for name, value in self.shown().items()]
        rows = ("".join(cells[at : at + _COLUMNS]) for at in range(0, len(cells), _COLUMNS))
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def table(values: Mapping[str, int]) -> str:
    """Names and hexadecimal values in columns."""
    cells = [f"{name:<{_WIDEST_NAME}} {value:<18x}" for name, value in values.items()]
    return "\n".join("  ".join(cells[at : at + _COLUMNS]).rstrip() for at in range(0, len(cells), _COLUMNS))


class NamedRegisters:
    """All registers of one hart under one roof: pc, `priv`, integer and floating-point ones, CSRs."""

    def __init__(self, state: Callable[[], HartState], x: Registers, f: Registers, csr: Csrs) -> None:
        self._state, self._x, self._f, self._csr = state, x, f, csr

    def read(self, name: str) -> int:
        """The value of the register; `NoSuchRegister` if there is none of that name."""
        if name in ("pc", "priv"):
            return self._state()[name]
        return self._file(name)[name]

    def write(self, name: str, value: int) -> None:
        """Set the register; `NoSuchRegister` if there is none or it is read-only, `BadValue` if it cannot hold that."""
        if name == "pc":
            if value & 1:
                raise BadValue(f"{value:#x} is odd: instructions begin at even addresses")
            self._state()["pc"] = unsigned(value, "pc")
        elif name == "priv":
            if value not in tuple(Privilege):
                raise BadValue(f"{value} is no privilege mode: give 0 for user, 1 for supervisor or 3 for machine")
            self._state()["priv"] = value
        else:
            self._file(name)[name] = value

    def _file(self, name: str) -> Registers | Csrs:
        if name in INTEGER_NUMBERS:
            return self._x
        if name in FLOAT_NUMBERS:
            return self._f
        if isinstance(name, str) and name in self._csr:
            return self._csr
        names = ["pc", "priv", *INTEGER_NUMBERS, *FLOAT_NUMBERS, *self._csr.names]
        raise no_such_register("register", name, names, "use a name of the manuals such as a0, fa0, pc or mstatus")

    def all(self) -> RegisterValues:
        """The values of all of them now."""
        return RegisterValues(
            {name: self.read(name) for name in ("pc", "priv", *INTEGER_ABI, *FLOAT_ABI, *self._csr.names)}
        )
