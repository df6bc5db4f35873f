"""Host pages as shadow page tables: loads and stores of regions go to a window of host addresses.

A window holds the pages of RAM where guest virtual addresses say; `interpreter/native/host_pages.ll` fills and empties
it, `host_faults.py` says when. An access is one host instruction behind a check that its address is in the window.
"""

from __future__ import annotations

import ctypes
import weakref
from enum import StrEnum
from typing import Any

from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter.quick import NotFast
from hypernest.engines.interpreter.words import CONTEXTS, WINDOW_BITS, WINDOW_STRIDE, WRITABLE_PLACES
from hypernest.engines.translator.code_page import Instruction
from hypernest.engines.translator.host_faults import MARK, HartWindows, HostFaults, host_faults
from hypernest.engines.translator.lowering import InstructionLowering, RegionLowering
from hypernest.engines.translator.near import Checked, base_and_distance, base_word, find_checked, is_near
from hypernest.engines.translator.region import Region
from hypernest.isa.trace import Effect
from hypernest.isa.word import Word
from hypernest.lowering.blocks import LIKELY

WINDOWS_BYTES = CONTEXTS * WINDOW_STRIDE  # of a hart
WINDOW_MODE = 8  # satp.MODE of the largest virtual addresses that windows hold, Sv39
_NONE, _READ_WRITE = 0, 3  # protections
_RESERVED, _ORDINARY = 0x4022, 0x22  # MAP_PRIVATE | MAP_ANONYMOUS, without and with memory behind it
_MARK = ", ".join(f"0x{byte:02x}" for byte in MARK)
# How to load and store so many bits of an integer.
_LOADS = {8: "movzbl $1, ${0:k}", 16: "movzwl $1, ${0:k}", 32: "movl $1, ${0:k}", 64: "movq $1, $0"}
_LOADS_SIGNED = {8: "movsbq $1, $0", 16: "movswq $1, $0", 32: "movslq $1, $0"}
_STORES = {8: "movb ${1:b}, $0", 16: "movw ${1:w}, $0", 32: "movl ${1:k}, $0", 64: "movq ${1:q}, $0"}


class MemoryPath(StrEnum):
    """How regions find memory."""

    SOFT = "soft"
    HOST = "host"


class HostPageLowering(InstructionLowering):
    """Lowers one instruction inside a region with loads and stores at host pages."""

    entry_words = (*InstructionLowering.entry_words, ("window", "window", "ptr"))

    def __init__(self, region: RegionLowering, instruction: Instruction) -> None:
        super().__init__(region, instruction)
        self.checked: Checked = region.facts[instruction.offset]

    @classmethod
    def look_at(cls, region: Region) -> dict[int, Checked]:
        return find_checked(region)

    def effect_load(self, effect: Effect, address: Word, bits: int) -> None:
        text, (result,) = self.text, effect.results
        place = self._host_place(address)
        written = [e.arguments[0::2] for e in self.instruction.meaning.block.effects if e.kind == "write"]
        # What a register gets, so that the access itself can extend it.
        value = next((v for _, v in written if v.op in ("sext", "zext") and v.args[0] is result), result)
        if value is result and any(self.region.type((name, 0)) == "double" and v is result for name, v in written):
            number = self._access("double", "movsd $1, $0", "=x", place, bits)
            text.bind(result, text.define(f"bitcast double {number} to i64"))
            return
        code = _LOADS_SIGNED[bits] if value.op == "sext" else _LOADS[bits]
        wide = self._access("i64", code, "=r", place, bits)
        text.bind(result, wide if bits == 64 else text.define(f"trunc i64 {wide} to i{bits}"))
        if value is not result and value.width == 64:
            text.bind(value, wide)

    def effect_store(self, effect: Effect, address: Word, value: Word) -> None:
        if (address, 1) in self.located:
            super().effect_store(effect, address, value)
            return
        text, bits = self.text, value.width
        name, place, on = text.value(value), self._host_place(address), text.fresh("on")
        source = self.reads.get(value)
        type_, constraint, code = f"i{bits}", "r", _STORES[bits]
        if source is not None and self.region.type(source) == "double":
            type_, constraint, code = "double", "x", "movsd $1, $0"
            name = text.define(f"bitcast i64 {name} to double")
        text.emit(
            f'callbr void asm sideeffect "{_leaving(2)}{code}", "=*m,{constraint},!i,~{{memory}}"'
            f"(ptr elementtype(i{bits}) {place}, {type_} {name}) to label %{on} [label %{self.slow}]"
        )
        text.start(on)
        self.committed = True

    def _access(self, type_: str, code: str, constraint: str, place: str, bits: int) -> str:
        """Emit a load; its value."""
        value, on = "%" + self.text.fresh(), self.text.fresh("on")
        self.text.emit(
            f'{value} = callbr {type_} asm sideeffect "{_leaving(2)}{code}", "{constraint},*m,!i"'
            f"(ptr elementtype(i{bits}) {place}) to label %{on} [label %{self.slow}]"
        )
        self.text.start(on)
        return value

    def _host_place(self, address: Word) -> str:
        """The pointer in the window, after a check that the address is there, or so near that a guard is."""
        if self.committed:
            raise NotFast
        text = self.text
        base = base_and_distance(address, self.reads)
        known = base is not None and is_near(self.checked, *base)
        if not known:
            checked = text.value(address if base is None else base_word(address, self.reads))
            biased = text.define(f"add i64 {checked}, {1 << WINDOW_BITS - 1}")
            above, on = text.define(f"lshr i64 {biased}, {WINDOW_BITS}"), text.fresh("on")
            inside = text.define(f"icmp eq i64 {above}, 0")
            text.emit(f"br i1 {inside}, label %{on}, label %{self.slow}{LIKELY}")
            text.start(on)
        return text.define(f"getelementptr i8, ptr %window, i64 {text.value(address)}")


def _leaving(label: int) -> str:
    """What stands before an access: how to leave it (see `native/host_faults.ll`)."""
    return f".byte {_MARK}\\0A\\09.long ${{{label}:l}} - 77f\\0A77:\\09"


class HostPages:
    """The windows of an engine's harts. OSError where the host cannot give them."""

    def __init__(self, file: int | None, pages: int, map_page: int, ram: int, arena: tuple[int, int]) -> None:
        """`file` is the descriptor of RAM, `map_page` the address of the native function, `arena` that of regions."""
        if file is None:
            raise OSError("guest memory is no file here")
        self.file, self._map_page, self._ram, self._arena = file, map_page, ram, arena
        self._faults = host_faults()
        self._libc = ctypes.CDLL(None, use_errno=True)
        places = 8 * WRITABLE_PLACES * pages
        self.writable_at = _map(self._libc, places, _READ_WRITE, _ORDINARY)
        self._numbers: list[int] = []
        self._ranges = [(self.writable_at, places)]
        self.close = weakref.finalize(self, _release, self._libc, self._faults, self._numbers, self._ranges)
        """Give everything back; no region may run any more."""

    def add(self, hart: HartState) -> int:
        """The address of the windows of another hart. OSError if the host has no room for them."""
        start = _map(self._libc, WINDOWS_BYTES, _NONE, _RESERVED)
        self._ranges.append((start, WINDOWS_BYTES))
        made = HartWindows(start, WINDOWS_BYTES, hart.address, self._ram, self._map_page, *self._arena)
        self._numbers.append(self._faults.add(made))
        return start

    def ready(self) -> None:
        """Before a run."""
        self._faults.install()


def _map(libc: Any, size: int, protection: int, flags: int) -> int:
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    address = libc.mmap(None, size, protection, flags, -1, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"the host cannot reserve {size >> 30} GiB of addresses")
    return int(address)


def _unmap(libc: Any, address: int, size: int) -> None:
    libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))


def _release(libc: Any, faults: HostFaults, numbers: list[int], ranges: list[tuple[int, int]]) -> None:
    for number in numbers:
        faults.remove(number)
    for address, size in ranges:
        _unmap(libc, address, size)
