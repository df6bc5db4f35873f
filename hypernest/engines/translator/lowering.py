"""A region as one LLVM function, with the prototype of an interpreter's handler.

Guest registers are local variables inside: an entry loads those that matter, an exit stores those that may have
changed. Everything that is not expected (a trap, a device, an access that crosses pages) leaves for complete execution
of that one instruction, with the state as before it.

The function refers to nothing outside by name, so that its code can be put anywhere: what it calls stands in the
hart's engine words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hypernest.engines.interpreter.quick import HANDLER, PAGE_MASK, QuickLowering
from hypernest.engines.interpreter.words import EngineWords
from hypernest.engines.translator.anchors import find_anchors, only_after_the_one_before
from hypernest.engines.translator.code_page import PAGE_BYTES, Instruction
from hypernest.engines.translator.loops import find_walkers
from hypernest.engines.translator.meaning import Place, on_host, split_sum
from hypernest.engines.translator.ranges import Ranges
from hypernest.engines.translator.region import Liveness, Region, liveness
from hypernest.isa.hart import Pure
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.isa.trace import Effect, Returned
from hypernest.isa.word import Word
from hypernest.lowering.blocks import LIKELY, bind_results, result_type
from hypernest.lowering.functions import HART_ALIAS, SLOT_ALIAS, HartText
from hypernest.lowering.host_float import Leave, host_float
from hypernest.lowering.slots import SLOT_BYTES

NO_PAGE = 1 << 11  # differs from every address of which the bits for the page and alignment are kept
FARTHEST = 2048  # bytes between accesses that share a check
SLOT_SCALE = SLOT_BYTES // 2  # bytes of slots for a byte of code


class RegionText(HartText):
    """The text of a region's function; lines of what seldom happens are put behind all others."""

    def __init__(self, layout: Layout, engine_words: Mapping[str, int]) -> None:
        super().__init__(layout, engine_words)
        self.cold: list[str] = []
        self.asides: list[list[str]] = []

    def aside(self) -> RegionText:
        """The same for blocks that are printed while others go there, too."""
        other = self.fork()
        other.lines = []
        self.asides.append(other.lines)
        return other

    def seldom(self) -> RegionText:
        """The same function, writing to its end."""
        other = self.fork()
        other.lines = self.cold
        return other


class WalkVariables(NamedTuple):
    """Local variables for the page that a register led to last: its address, and where address 0 would be then."""

    page: str
    table: str


@dataclass
class NearPage:
    """A page that an access has found: its address, and where virtual address 0 would be in the host."""

    displacement: int  # of the access, from the register that led to it
    address: str
    table: str
    _inside: str = ""

    def inside(self, text: HartText) -> str:
        """Where in its page the access was."""
        self._inside = self._inside or text.define(f"and i64 {self.address}, {PAGE_BYTES - 1}")
        return self._inside


class RegionLowering:
    """Prints one region."""

    def __init__(self, isa: NativeIsa, layout: Layout, words: EngineWords, pures: Mapping[str, int], region: Region,
                 instructions: type[InstructionLowering] | None = None) -> None:  # fmt: skip
        """`pures` numbers the pure functions that stand in the interpreter's table; `instructions` lowers each."""
        self.lower = instructions or InstructionLowering
        self.facts = self.lower.look_at(region)
        self.isa, self.region, self.pures = isa, region, pures
        self.page = region.page
        self.flow: Liveness = liveness(region)
        self.anchors = find_anchors(region)
        self.walkers = find_walkers(region)
        self._walks: dict[tuple[Place, bool], WalkVariables] = {}
        self._straight = only_after_the_one_before(region)
        self.pages: dict[tuple[Place, bool], NearPage] = {}
        """Pages that a register, as it is now, points into, by whether they may be written."""
        self.ranges = Ranges()
        self.text = RegionText(layout, words.offsets)
        assumed = {place for i in region.instructions.values() if i.meaning.quick for place in i.meaning.assumes}
        self.assumed = {place: isa.usual[place] for place in sorted(assumed)}

    def print(self, name: str) -> str:
        """The text of `@name`."""
        text = self.text
        instructions = list(self.region.instructions.values())
        for instruction in instructions:
            text.start(label(instruction.offset))
            self._instruction(instruction)
        body, text.lines = text.lines, []
        self._entries()
        variables = [f"  {variable(place)} = alloca {self.type(place)}" for place in self.flow.places]
        variables.append("  %budget.now = alloca i64")
        variables += [f"  {walk.page} = alloca i64" for walk in self._walks.values()]
        variables += [f"  {walk.table} = alloca ptr" for walk in self._walks.values()]
        lines = [*variables, *text.lines, *body, *text.cold, *(line for lines in text.asides for line in lines)]
        return f"define preserve_nonecc void @{name}({HANDLER}) nounwind {{\nentry:\n" + "\n".join(lines) + "\n}\n"

    def walk_variables(self, place: Place, writes: bool) -> WalkVariables:
        """The variables for the page that a register led to last."""
        name = f"{variable(place)}.{'write' if writes else 'read'}"
        return self._walks.setdefault((place, writes), WalkVariables(f"{name}.page", f"{name}.table"))

    def _entries(self) -> None:
        text = self.text
        for each in self._walks.values():
            text.emit(f"store i64 {NO_PAGE}, ptr {each.page}")
        text.emit("store i64 %budget, ptr %budget.now")
        for name, word, type_ in (("slots", "slots", "ptr"), ("bias", "bias", "i64"), *self.lower.entry_words):
            text.emit(f"%{name} = load {type_}, ptr {text.at(word)}{HART_ALIAS}")
        text.emit("%slots.n = ptrtoint ptr %slots to i64")
        text.emit("%slots.e = lshr i64 %slots.n, 3")
        text.emit("%page = add i64 %slots.e, %bias")
        self._check_assumptions()
        entries = self.region.entries
        if len(entries) > 1:
            text.emit("%op.n = ptrtoint ptr %op to i64")
            text.emit("%inside = sub i64 %op.n, %slots.n")
            cases = " ".join(f"i64 {at * SLOT_SCALE}, label %entry.{at}" for at in entries[1:])
            text.emit(f"switch i64 %inside, label %entry.{entries[0]} [{cases}]")
        else:
            text.emit(f"br label %entry.{entries[0]}")
        for at in entries:
            text.start(f"entry.{at}")
            for place in self.flow.of(self.flow.live[at]):
                type_ = self.type(place)
                value = text.define(f"load {type_}, ptr {text.at(*place)}{HART_ALIAS}")
                text.emit(f"store {type_} {value}, ptr {variable(place)}")
            text.emit(f"br label %{label(at)}")

    def _check_assumptions(self) -> None:
        """Leave at once where a register is not what the code below was made for."""
        text = self.text
        for place, (mask, known) in self.assumed.items():
            value = text.define(f"load i64, ptr {text.at(*place)}{HART_ALIAS}")
            value = text.define(f"and i64 {value}, {mask}")
            usual, on = text.define(f"icmp eq i64 {value}, {known}"), text.fresh("usual")
            unusual = text.fresh("unusual")
            text.emit(f"br i1 {usual}, label %{on}, label %{unusual}{LIKELY}")
            cold = text.seldom()
            cold.start(unusual)
            tail_call(cold, "slow", "%op", "%budget")
            text.start(on)

    def _instruction(self, instruction: Instruction) -> None:
        meaning, at = instruction.meaning, instruction.offset
        if at not in self._straight:
            self.pages.clear()
            self.ranges.clear()
        if not meaning.quick:
            self._leave_slowly(self.text, at, self._values(self.text, at))
            return
        if self.anchors.get(at) == at:
            cold = self.text.seldom()
            values = self._values(self.text, at)
            cold.start(slow_label(at))
            self._leave_slowly(cold, at, values)
        lowering = self.lower(self, instruction)
        lowering.lower(meaning.block)
        for place, writes in [*self.pages]:
            if place in meaning.may_write:
                del self.pages[place, writes]

    # --- leaving ---------------------------------------------------------------------------------------------------

    def store_state(self, text: HartText, bits: int) -> None:
        """Write changed registers back to the hart."""
        for place in self.flow.of(bits):
            value = text.define(f"load {self.type(place)}, ptr {variable(place)}")
            text.emit(f"store {self.type(place)} {value}, ptr {text.at(*place)}{HART_ALIAS}")

    def type(self, place: Place) -> str:
        """What a register's variable is: numbers stay in the host's registers for numbers."""
        return "double" if place[0] == self.isa.floating else "i64"

    def _values(self, text: HartText, at: int) -> dict[Place, str]:
        """What the registers that may have changed hold when an instruction begins."""
        return {
            place: text.define(f"load {self.type(place)}, ptr {variable(place)}")
            for place in self.flow.of(self.flow.dirty[at])
        }

    def _leave_slowly(self, text: HartText, at: int, values: Mapping[Place, str]) -> None:
        """Go on with complete execution from an instruction, nothing of which was done."""
        for place, value in values.items():
            text.emit(f"store {self.type(place)} {value}, ptr {text.at(*place)}{HART_ALIAS}")
        tail_call(text, "slow", self.slot(text, at), self.budget(text))

    def budget(self, text: HartText) -> str:
        return text.define("load i64, ptr %budget.now")

    def slot(self, text: HartText, offset: int) -> str:
        return text.define(f"getelementptr i8, ptr {text.get('slots', 'ptr')}, i64 {offset * SLOT_SCALE}")

    def go_on_at(self, text: HartText, source: Instruction, target: int) -> None:
        """After `source`, go on at an offset of the page outside the region (or at the page's end)."""
        self.store_state(text, self.flow.dirty_after[source.offset])
        slot = self.slot(text, target)
        tail_call(text, text.define(f"load ptr, ptr {slot}{SLOT_ALIAS}"), slot, self.budget(text))

    def jump_to(self, text: HartText, source: Instruction, target: str) -> None:
        """Go on at a virtual address, through the table of code pages."""
        self.store_state(text, self.flow.dirty_after[source.offset])
        text.put("pc", target)
        tail_call(text, "jump", self.slot(text, source.offset), self.budget(text))


class InstructionLowering(QuickLowering):
    """Lowers one instruction inside a region."""

    text: RegionText
    entry_words: tuple[tuple[str, str, str], ...] = (("data", "data_tlb", "ptr"),)
    """What an entry loads for it: local name, engine word, type."""

    def __init__(self, region: RegionLowering, instruction: Instruction) -> None:
        text = region.text.fork()
        text.forget_names()
        super().__init__(text, None)
        self.region, self.instruction = region, instruction
        self.ended = False
        self._depth = 0
        self.reads: dict[Word, Place] = {}
        text.bind_late(
            instruction.meaning.tracer.unique("next_pc", (), 64),
            lambda text: text.define(f"add i64 %page, {instruction.following}"),
        )

    @classmethod
    def look_at(cls, region: Region) -> Any:
        """What lowering an instruction needs to know of all the region, as `RegionLowering.facts`."""

    def enter_side(self) -> object:
        self._depth += 1
        return self.committed, self.ended, dict(self.located)

    def leave_side(self, saved: tuple[bool, bool, dict[tuple[Word, int], str]]) -> None:
        self._depth -= 1
        self.committed, self.ended, self.located = saved

    @property
    def slow(self) -> str:
        return slow_label(self.region.anchors[self.instruction.offset])

    def missed(self, address: str, last: str, writes: bool, known: str) -> str:
        miss, cold = self.text.fresh("miss"), self.text.seldom()
        cold.start(miss)
        fill = cold.get("fill_write" if writes else "fill_read", "ptr")
        filled = cold.define(
            f"call preserve_mostcc i1 {fill}(ptr %hart, ptr {cold.get('ram', 'ptr')}, i64 {address}, i64 {last})"
        )
        cold.emit(f"br i1 {filled}, label %{known}, label %{self.slow}")
        return miss

    def data_table(self) -> str:
        return "%data"

    # --- memory ----------------------------------------------------------------------------------------------------

    def pointer(self, address: Word, size: int, writes: bool) -> str:
        """Through the page of an access before, if the same register led there and this one lies in it, too."""
        text, (place, displacement) = self.text, self._split(address)
        if place is None or self._depth:
            return super().pointer(address, size, writes)
        name = text.value(address)
        walkers = self.region.walkers.get(self.instruction.offset, frozenset())
        for each in (place, self.region.ranges.table(place)):
            if each in walkers:
                return self._walk(each, name, size, writes)
        near = self.region.pages.get((place, writes))
        if near is None or abs(displacement - near.displacement) > FARTHEST:
            table = self.probe(name, size, writes)
            self.region.pages[place, writes] = NearPage(displacement, name, table)
            return text.define(f"getelementptr i8, ptr {table}, i64 {name}")
        distance = displacement - near.displacement
        low, high = max(0, -distance), PAGE_BYTES - size - distance  # where in its page the first may be
        inside = near.inside(text)
        if low:
            inside = text.define(f"sub i64 {inside}, {low}")
        same = text.define(f"icmp ult i64 {inside}, {high - low + 1}")
        joined, before = text.fresh("joined"), text.label
        aside, table = self._probe_unless(same, joined, name, size, writes)
        aside.emit(f"br label %{joined}")
        text.start(joined)
        table = text.define(f"phi ptr [ {near.table}, %{before} ], [ {table}, %{aside.label} ]")
        return text.define(f"getelementptr i8, ptr {table}, i64 {name}")

    def _walk(self, place: Place, address: str, size: int, writes: bool) -> str:
        """Through the page that the register led to last, kept in local variables."""
        text, names = self.text, self.region.walk_variables(place, writes)
        page = text.define(f"and i64 {address}, {PAGE_MASK | size - 1}")  # and is it aligned?
        known = text.define(f"load i64, ptr {names.page}")
        same, on = text.define(f"icmp eq i64 {page}, {known}"), text.fresh("on")
        aside, table = self._probe_unless(same, on, address, size, writes)
        aside.emit(f"store i64 {aside.define(f'and i64 {address}, {PAGE_MASK}')}, ptr {names.page}")
        aside.emit(f"store ptr {table}, ptr {names.table}")
        aside.emit(f"br label %{on}")
        text.start(on)
        return text.define(f"getelementptr i8, ptr {text.define(f'load ptr, ptr {names.table}')}, i64 {address}")

    def _probe_unless(self, known: str, on: str, address: str, size: int, writes: bool) -> tuple[RegionText, str]:
        """Go to `on` if the page is known, else aside, where it is looked up: that text, to go on in, and the table."""
        text, far = self.text, self.text.fresh("far")
        text.emit(f"br i1 {known}, label %{on}, label %{far}{LIKELY}")
        self.text = aside = text.aside()
        aside.start(far)
        table = self.probe(address, size, writes)
        self.text = text
        return aside, table

    def effect_read(self, effect: Effect, register: str, index: Word | int) -> None:
        super().effect_read(effect, register, index)
        self.reads[effect.results[0]] = self._place(register, index)

    def _split(self, address: Word) -> tuple[Place | None, int]:
        """The register and the constant that an address is the sum of, if it is one."""
        word, constant = split_sum(address)
        return self.reads.get(word), constant

    def effect_pure(self, effect: Effect, called: Pure, *arguments: Word) -> None:
        if not on_host(called, arguments):
            made = self.text.define(self.pure_call(called, *arguments))
            bind_results(self.text, effect.results, made, result_type(called.results))
            return
        values = [self.text.value(w) for w in arguments]
        result = host_float(self.text, called.name, values, Leave(self.slow), "true", dirty_already=True)
        assert result is not None
        bind_results(self.text, effect.results, result, result_type(called.results))

    def pure_call(self, called: Pure, *arguments: Word) -> str:
        given = ", ".join(f"i{w.width} {self.text.value(w)}" for w in arguments)
        number = self.region.pures[called.name]
        table = self.text.get("pures", "ptr")
        place = self.text.define(f"getelementptr i8, ptr {table}, i64 {8 * number}")
        function = self.text.define(f"load ptr, ptr {place}{HART_ALIAS}")
        return f"call {result_type(called.results)} {function}({given})"

    # --- registers -------------------------------------------------------------------------------------------------

    def read(self, register: str, index: Word | int) -> str:
        place = self._place(register, index)
        if register == "pc":
            return self.text.define(f"add i64 %page, {self.instruction.offset}")
        if place == (self.region.isa.zero, 0):
            return "0"
        type_ = self.region.type(place)
        value = self.text.define(f"load {type_}, ptr {variable(place)}")
        return value if type_ == "i64" else self.text.define(f"bitcast {type_} {value} to i64")

    def effect_write(self, effect: Effect, register: str, index: Word | int, value: Word) -> None:
        place = self._place(register, index)
        self.committed = True
        if self._depth:
            self.region.ranges.forget(place)
        else:
            self.region.ranges.write(place, value, self.reads)
        if place != (self.region.isa.zero, 0):
            name, type_ = self.text.value(value.zext(64)), self.region.type(place)
            if type_ != "i64":
                name = self.text.define(f"bitcast i64 {name} to {type_}")
            self.text.emit(f"store {type_} {name}, ptr {variable(place)}")

    @staticmethod
    def _place(register: str, index: Word | int) -> Place:
        number = index.value if isinstance(index, Word) else index
        assert number is not None
        return register, number

    # --- endings ---------------------------------------------------------------------------------------------------

    def returned(self, end: Returned) -> None:
        if self.ended:
            return
        following = self.instruction.following
        if following in self.region.region.instructions:
            self.text.emit(f"br label %{label(following)}")
        else:
            self.region.go_on_at(self.text, self.instruction, following)

    def effect_branch(self, effect: Effect, offset: Word) -> None:
        self.ended = True
        here = self.instruction.offset
        distance = offset.value
        assert distance is not None
        target = (here + distance + (1 << 63)) % (1 << 64) - (1 << 63)
        text, region = self.text, self.region
        if not 0 <= target < PAGE_BYTES:
            region.jump_to(text, self.instruction, text.define(f"add i64 %page, {target}"))
            return
        cost = region.page.cost(here, target)
        budget = region.budget(text)
        budget = text.define(f"add i64 {budget}, {cost}") if cost else budget
        text.emit(f"store i64 {budget}, ptr %budget.now")
        inside = target in region.region.instructions and not self.instruction.meaning.calls
        if cost < 0:
            enough, on, careful = text.define(f"icmp sge i64 {budget}, 0"), text.fresh("on"), text.fresh("careful")
            text.emit(f"br i1 {enough}, label %{on}, label %{careful}{LIKELY}")
            cold = region.text.seldom()
            cold.start(careful)
            region.store_state(cold, region.flow.dirty_after[here])
            tail_call(cold, "careful", region.slot(cold, target), region.budget(cold))
            text.start(on)
        if inside:
            text.emit(f"br label %{label(target)}")
        else:
            region.go_on_at(text, self.instruction, target)

    def effect_jump(self, effect: Effect, target: Word) -> None:
        self.ended = True
        address = self.text.value(target)
        if self.instruction.meaning.computed:
            self._stay_inside(address)
        self.region.jump_to(self.text, self.instruction, address)

    def _stay_inside(self, address: str) -> None:
        """A computed jump to an entry of this region, if the steps suffice."""
        text, region = self.text, self.region
        here = self.instruction.offset
        inside = text.define(f"sub i64 {address}, %page")
        outside, entries = text.fresh("outside"), region.region.entries
        cases = " ".join(f"i64 {at}, label %jump.{here}.{at}" for at in entries)
        text.emit(f"switch i64 {inside}, label %{outside} [{cases}]")
        for at in entries:
            text.start(f"jump.{here}.{at}")
            budget = text.define(f"add i64 {region.budget(text)}, {region.page.cost(here, at)}")
            enough, on = text.define(f"icmp sge i64 {budget}, 0"), text.fresh("on")
            text.emit(f"br i1 {enough}, label %{on}, label %{outside}{LIKELY}")
            text.start(on)
            text.emit(f"store i64 {budget}, ptr %budget.now")
            text.emit(f"br label %{label(at)}")
        text.start(outside)


def label(offset: int) -> str:
    """The label of an instruction."""
    return f"at.{offset}"


def slow_label(offset: int) -> str:
    """The label from which complete execution goes on at an instruction."""
    return f"slow.{offset}"


def variable(place: Place) -> str:
    """The local variable that holds a register."""
    return f"%{place[0]}.{place[1]}"


def tail_call(text: HartText, target: str, op: str, budget: str) -> None:
    """Go on in a function of the interpreter, by its engine word, or in a handler, by its value."""
    handler = target if target.startswith("%") else text.get(target, "ptr")
    ram = text.get("ram", "ptr")  # loaded here, so that it takes no register inside
    text.emit(f"musttail call preserve_nonecc void {handler}(ptr {op}, ptr %hart, ptr {ram}, i64 {budget})")
    text.emit("ret void")
