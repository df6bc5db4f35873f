"""Lowering for the case that nothing unusual happens, shared by fast handlers and translated regions.

Memory accesses are assumed to hit the translation cache, nothing traps. Where an assumption fails, nothing of the
instruction has been done yet, and control goes to a label from which complete execution takes over.
"""

from __future__ import annotations

from typing import Any

from hypernest.engines.interpreter.words import DATA_ENTRIES, DATA_ENTRY_BYTES, WRITES_AT
from hypernest.isa.hart import Pure
from hypernest.isa.trace import Effect, Trapped
from hypernest.isa.word import Word
from hypernest.lowering.blocks import LIKELY, bind_results, result_type
from hypernest.lowering.functions import HART_ALIAS, RAM_ALIAS, HartLowering, HartText
from hypernest.lowering.host_float import host_float

HANDLER = "ptr %op, ptr %hart, ptr %ram, i64 %budget"
PAGE_MASK = -4096


class NotFast(Exception):
    """This instruction has nothing to gain from such a form."""


class QuickLowering(HartLowering):
    """Lowers one instruction; subclasses say where to leave to, and what jumps and returning mean."""

    committed = False
    """Has the instruction changed something, so that it can no longer be left to complete execution?"""

    def __init__(self, text: HartText, slots: Any, op: str = "%op") -> None:
        super().__init__(text, slots, op)
        self.located: dict[tuple[Word, int], str] = {}

    @property
    def slow(self) -> str:
        """The label where this instruction is left to complete execution."""
        raise NotImplementedError

    def missed(self, address: str, last: str, writes: bool, known: str) -> str:
        """The label for addresses that the cache does not know; from there, control may come back to `known`."""
        return self.slow

    def data_table(self) -> str:
        """The translation cache in force."""
        return self.text.get("data_tlb", "ptr")

    def give_up(self, *_: Any) -> bool:
        """Leave the instruction to complete execution."""
        if self.committed:
            raise NotFast
        self.text.emit(f"br label %{self.slow}")
        return False

    def trapped(self, end: Trapped) -> None:
        self.give_up()

    # Everything that may trap, look at the clock or change translation is left to complete execution.
    effect_call = effect_csr_read = effect_csr_write = effect_clock = effect_wait = effect_reschedule = give_up
    effect_physical_load = effect_physical_store = effect_flush_translations = effect_flush_translation = give_up
    effect_note_mapping = effect_announce = give_up

    def effect_flush_instructions(self, effect: Effect) -> None:
        """Writes to predecoded code are seen as they happen."""

    def effect_pure(self, effect: Effect, called: Pure, *arguments: Word) -> None:
        described = self.pure_call(called, *arguments)
        quick = host_float(self.text, called.name, [self.text.value(w) for w in arguments], described)
        if quick is None:
            quick = self.text.define(described)
        bind_results(self.text, effect.results, quick, result_type(called.results))

    # --- memory ----------------------------------------------------------------------------------------------------

    def pointer(self, address: Word, size: int, writes: bool) -> str:
        """Where `size` bytes at a virtual address are in the host."""
        name = self.text.value(address)
        return self.text.define(f"getelementptr i8, ptr {self.probe(name, size, writes)}, i64 {name}")

    def probe(self, address: str, size: int, writes: bool) -> str:
        """Where virtual address 0 would be in the host, if the cache knows the page of an address.

        One compare checks permission and page crossing.
        """
        text = self.text
        if self.committed:
            raise NotFast
        index = text.define(f"lshr i64 {address}, {index_shift(DATA_ENTRY_BYTES)}")
        index = text.define(f"and i64 {index}, {(DATA_ENTRIES - 1) * DATA_ENTRY_BYTES}")
        entry = text.define(f"getelementptr i8, ptr {self.data_table()}, i64 {index}")
        place = text.define(f"getelementptr i8, ptr {entry}, i64 {WRITES_AT if writes else 0}")
        tag = text.define(f"load i64, ptr {place}{HART_ALIAS}")
        # The page of the last byte: were it another than the first byte's, it could not be in this entry.
        last = text.define(f"add i64 {address}, {size - 1}") if size > 1 else address
        page = text.define(f"and i64 {last}, {PAGE_MASK}")
        hit = text.define(f"icmp eq i64 {page}, {tag}")
        on = text.fresh("hit")
        text.emit(f"br i1 {hit}, label %{on}, label %{self.missed(address, last, writes, on)}{LIKELY}")
        text.start(on)
        place = text.define(f"getelementptr i8, ptr {entry}, i64 {8 + (WRITES_AT if writes else 0)}")
        return text.define(f"load ptr, ptr {place}{HART_ALIAS}")

    def effect_load(self, effect: Effect, address: Word, bits: int) -> None:
        pointer = self.pointer(address, bits // 8, False)
        self.text.bind(effect.results[0], self.text.define(f"load i{bits}, ptr {pointer}, align 1{RAM_ALIAS}"))

    def effect_store(self, effect: Effect, address: Word, value: Word) -> None:
        pointer = self.located.get((address, 1))
        value_name = self.text.value(value)
        if pointer is None:
            pointer = self.pointer(address, value.width // 8, True)
        else:  # located without a size: keep it inside its page
            bits = self.text.define(f"and i64 {self.text.value(address)}, {value.width // 8 - 1}")
            aligned, on = self.text.define(f"icmp eq i64 {bits}, 0"), self.text.fresh("aligned")
            self.text.emit(f"br i1 {aligned}, label %{on}, label %{self.slow}{LIKELY}")
            self.text.start(on)
        self.text.emit(f"store i{value.width} {value_name}, ptr {pointer}, align 1{RAM_ALIAS}")
        self.committed = True

    def effect_locate(self, effect: Effect, address: Word, access: int) -> bool | None:
        if access > 1:
            return self.give_up()
        pointer = self.located[address, access] = self.pointer(address, 1, access == 1)
        here, first = (self.text.define(f"ptrtoint ptr {each} to i64") for each in (pointer, "%ram"))
        offset = self.text.define(f"sub i64 {here}, {first}")
        self.text.bind(effect.results[0], self.text.define(f"add i64 {offset}, {self.text.get('ram_base')}"))
        return None


def index_shift(entry_bytes: int) -> int:
    """How far an address is shifted to index, in bytes, a table of its page numbers."""
    return 12 - (entry_bytes.bit_length() - 1)
