"""How to get from a function to its caller: .eh_frame and .debug_frame (DWARF 5, section 6.4; LSB, chapter 10.6).

Expressions are not evaluated: a frame that needs one is as unknown as one that is not described.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from hypernest.debug.dwarf.reader import Damaged, Reader

_ADDRESSES = (1 << 64) - 1
_REGISTERS = 32  # the integer ones come first
_MOST_ENTRIES = 4_000_000
_DEEPEST_STACK = 64

# How pointers are written in .eh_frame: the low bits say in what form, the others what is added.
_FORMS = {0x0: (8, False), 0x2: (2, False), 0x3: (4, False), 0x4: (8, False), 0xA: (2, True), 0xB: (4, True),
          0xC: (8, True)}  # fmt: skip
_RELATIVE_TO_HERE = 0x10
_ABSOLUTE = 0x00

SP = 2

Memory = Callable[[int], int]
"""The 64-bit number at an address; raises what the memory raises."""


@dataclass(slots=True)
class _Rules:
    """How to find a caller's registers: by register its kind and number, those that are not named are the same."""

    cfa_register: int | None = None
    cfa_offset: int = 0
    saved: dict[int, tuple[str, int]] = field(default_factory=dict)

    def copy(self) -> _Rules:
        return _Rules(self.cfa_register, self.cfa_offset, dict(self.saved))


@dataclass(frozen=True, slots=True)
class _Common:
    """What several frame descriptions share."""

    code_factor: int
    data_factor: int
    return_register: int
    pointers: int
    augmented: bool
    is_signal: bool
    program: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Description:
    start: int
    end: int
    common: _Common
    program: tuple[int, int]
    data: bytes


@dataclass(frozen=True, slots=True)
class Unwound:
    """The caller of a frame: where it goes on, its registers as far as they are known, and the frame's CFA."""

    pc: int | None
    registers: Mapping[int, int]
    cfa: int


class FrameTable:
    """The frames of a program, at the addresses where it is linked. Raises `Damaged` for sections that cannot be."""

    def __init__(self, eh_frame: bytes, eh_address: int, debug_frame: bytes) -> None:
        descriptions = [*_Section(debug_frame, None).descriptions(), *_Section(eh_frame, eh_address).descriptions()]
        self._descriptions = sorted(descriptions, key=attrgetter("start"))
        self._starts = [each.start for each in self._descriptions]

    def __len__(self) -> int:
        return len(self._descriptions)

    def unwind(self, pc: int, registers: Mapping[int, int], memory: Memory) -> Unwound | None:
        """The caller of the function at `pc`, whose registers are given; None if that is not described.

        Raises `Damaged` if the description cannot be, and what `memory` raises.
        """
        index = bisect_right(self._starts, pc) - 1
        if index < 0 or pc >= self._descriptions[index].end:
            return None
        description = self._descriptions[index]
        rules = _run(description, pc)
        if rules.cfa_register is None or rules.cfa_register not in registers:
            return None
        cfa = registers[rules.cfa_register] + rules.cfa_offset & _ADDRESSES
        caller = dict(registers)
        caller[SP] = cfa
        for number, (kind, value) in rules.saved.items():
            match kind:
                case "offset":
                    caller[number] = memory(cfa + value & _ADDRESSES)
                case "value":
                    caller[number] = cfa + value & _ADDRESSES
                case "register" if value in registers:
                    caller[number] = registers[value]
                case _:
                    caller.pop(number, None)
        return Unwound(caller.get(description.common.return_register), caller, cfa)


class _Section:
    """One of the two sections; `address` is where .eh_frame is loaded, None for .debug_frame."""

    def __init__(self, data: bytes, address: int | None) -> None:
        self._data, self._address = data, address
        self._commons: dict[int, _Common | None] = {}

    def descriptions(self) -> list[_Description]:
        found: list[_Description] = []
        reader = Reader(self._data)
        while reader.more:
            start = reader.position
            entry, wide = reader.unit()
            if not entry.more:
                continue  # .eh_frame ends with an empty one, and the linker may have joined several
            here = entry.position
            pointer = entry.number(8 if wide else 4)
            if self._is_common(pointer, wide):
                continue
            at = pointer if self._address is None else here - pointer
            if at not in self._commons:
                self._commons[at] = self._common(at, start)
            common = self._commons[at]
            if common is not None and (description := self._description(entry, common)) is not None:
                found.append(description)
            if len(found) > _MOST_ENTRIES:
                raise Damaged
        return found

    def _is_common(self, pointer: int, wide: bool) -> bool:
        if self._address is not None:
            return pointer == 0
        return pointer == ((1 << 64) - 1 if wide else (1 << 32) - 1)

    def _common(self, at: int, before: int) -> _Common | None:
        """The entry at that place, None if it is written in a way that is not known here."""
        if not 0 <= at < len(self._data) or (self._address is not None and at >= before):
            raise Damaged
        reader, wide = Reader(self._data, at).unit()
        if not self._is_common(reader.number(8 if wide else 4), wide):
            raise Damaged
        version = reader.byte()
        if version not in (1, 3, 4):
            return None
        letters = reader.string()
        if version == 4:
            reader.skip(2)  # sizes of addresses and of segment selectors
        code, data = reader.unsigned(), reader.signed()
        returns = reader.byte() if version == 1 else reader.unsigned()
        pointers, signal = _ABSOLUTE, False
        if letters:
            if not letters.startswith(b"z"):
                return None
            extra = Reader(reader.take(reader.unsigned()))
            for letter in letters[1:].decode("ascii", "replace"):
                match letter:
                    case "R":
                        pointers = extra.byte()
                    case "P":
                        form = extra.byte() & 0xF
                        if form not in _FORMS:
                            return None
                        extra.skip(_FORMS[form][0])
                    case "L":
                        extra.skip(1)
                    case "S":
                        signal = True
                    case _:
                        break
        if pointers & 0xF not in _FORMS or pointers & ~0xF not in (_ABSOLUTE, _RELATIVE_TO_HERE):
            return None
        return _Common(code, data, returns, pointers, bool(letters), signal, (reader.position, reader.end))

    def _description(self, entry: Reader, common: _Common) -> _Description | None:
        size, signed = _FORMS[common.pointers & 0xF]
        here = entry.position
        start = entry.number(size, signed=signed)
        if common.pointers & _RELATIVE_TO_HERE and self._address is not None:
            start += self._address + here
        count = entry.number(size)
        if common.augmented:
            entry.skip(entry.unsigned())
        start &= _ADDRESSES
        if not start or not count:  # thrown away by the linker
            return None
        return _Description(start, start + count, common, (entry.position, entry.end), self._data)


def _run(description: _Description, pc: int) -> _Rules:
    """The rules that hold before the instruction at `pc` (DWARF 5, section 6.4.2)."""
    common = description.common
    initial = _execute(Reader(description.data, *common.program), common, _Rules(), _Rules(), description.start, pc)
    rules = initial.copy()
    return _execute(Reader(description.data, *description.program), common, rules, initial, description.start, pc)


def _execute(reader: Reader, common: _Common, rules: _Rules, initial: _Rules, location: int, pc: int) -> _Rules:
    remembered: list[_Rules] = []

    def save(number: int, kind: str, value: int = 0) -> None:
        if number < _REGISTERS or number == common.return_register:
            rules.saved[number] = kind, value

    def restore(number: int) -> None:
        rules.saved.pop(number, None)
        if number in initial.saved:
            rules.saved[number] = initial.saved[number]

    while reader.more:
        opcode = reader.byte()
        low = opcode & 0x3F
        match opcode & 0xC0 or opcode:
            case 0x40:  # advance_loc
                location += low * common.code_factor
            case 0x80:  # offset
                save(low, "offset", reader.unsigned() * common.data_factor)
            case 0xC0:  # restore
                restore(low)
            case 0x00:  # nop
                pass
            case 0x01:  # set_loc
                location = reader.number(8)
            case 0x02 | 0x03 | 0x04:  # advance_loc1, 2, 4
                location += reader.number(1 << opcode - 2) * common.code_factor
            case 0x05:  # offset_extended
                save(reader.unsigned(), "offset", reader.unsigned() * common.data_factor)
            case 0x06:  # restore_extended
                restore(reader.unsigned())
            case 0x07:  # undefined
                save(reader.unsigned(), "undefined")
            case 0x08:  # same_value
                rules.saved.pop(reader.unsigned(), None)
            case 0x09:  # register
                save(reader.unsigned(), "register", reader.unsigned())
            case 0x0A:  # remember_state
                if len(remembered) == _DEEPEST_STACK:
                    raise Damaged
                remembered.append(rules.copy())
            case 0x0B:  # restore_state
                if not remembered:
                    raise Damaged
                rules = remembered.pop()
            case 0x0C:  # def_cfa
                rules.cfa_register, rules.cfa_offset = reader.unsigned(), reader.unsigned()
            case 0x0D:  # def_cfa_register
                rules.cfa_register = reader.unsigned()
            case 0x0E:  # def_cfa_offset
                rules.cfa_offset = reader.unsigned()
            case 0x0F:  # def_cfa_expression
                reader.skip(reader.unsigned())
                rules.cfa_register = None
            case 0x10 | 0x16:  # expression, val_expression
                save(reader.unsigned(), "undefined")
                reader.skip(reader.unsigned())
            case 0x11:  # offset_extended_sf
                save(reader.unsigned(), "offset", reader.signed() * common.data_factor)
            case 0x12:  # def_cfa_sf
                rules.cfa_register, rules.cfa_offset = reader.unsigned(), reader.signed() * common.data_factor
            case 0x13:  # def_cfa_offset_sf
                rules.cfa_offset = reader.signed() * common.data_factor
            case 0x14:  # val_offset
                save(reader.unsigned(), "value", reader.unsigned() * common.data_factor)
            case 0x15:  # val_offset_sf
                save(reader.unsigned(), "value", reader.signed() * common.data_factor)
            case 0x2E:  # GNU_args_size
                reader.unsigned()
            case _:
                raise Damaged
        if location > pc:
            break
    return rules
