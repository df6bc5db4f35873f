"""A region as a person looks at it: which lines of LLVM IR and of host assembly belong to which guest instruction.

The association is LLVM's own: a region is lowered once more with a debug location at every line, whose line number is
the guest instruction's place in its page, and optimizer and code generator carry it along. Locations change no code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from hypernest.engines.interpreter.words import EngineWords
from hypernest.engines.translator.code_page import PAGE_BYTES, PARCEL, CodePage, Instruction
from hypernest.engines.translator.compiler import Compiler
from hypernest.engines.translator.lowering import RegionLowering, RegionText
from hypernest.engines.translator.region import Region, form_region
from hypernest.errors import HypernestError
from hypernest.isa.isa import NativeIsa
from hypernest.isa.layout import Layout
from hypernest.isa.trace import Block, Branch, Trapped
from hypernest.lowering.functions import METADATA

ENTRY, SHARED = -1, -2
"""Origins of lines besides offsets of instructions: what happens on entering, and what LLVM has merged."""

GUESSED = "~"
"""How lines begin that LLVM gives no origin, shown where their neighbours are."""

EVERYTHING = (1 << PAGE_BYTES // PARCEL) - 1
"""All instructions of a page count as executed."""

_ENTRY_LINE = PAGE_BYTES + 1
_FIRST_LOCATION = 100
_UNIT = """
!llvm.dbg.cu = !{!20}
!llvm.module.flags = !{!21}
!20 = distinct !DICompileUnit(language: DW_LANG_C, file: !22, isOptimized: true, emissionKind: LineTablesOnly)
!21 = !{i32 2, !"Debug Info Version", i32 3}
!22 = !DIFile(filename: "page", directory: "/")
!23 = !DISubroutineType(types: !24)
!24 = !{null}
"""
_LOCATION = re.compile(r"^!(\d+) = !DILocation\(line: (\d+)", re.MULTILINE)
_ATTACHED = re.compile(r",? ![a-z]+ !(\d+)")
_DEBUG = re.compile(r",? !dbg !(\d+)")
_SWITCH = re.compile(r"(?<= )\[\n[^]]*\]")  # its cases, a line each
_FIELD = re.compile(r"getelementptr i8, ptr %hart, i64 (\d+)")
_FUNCTION_ATTRIBUTES = re.compile(r" #\d+$")
_HART_REGISTER = "r13"  # where preserve_nonecc passes %hart
_WRITING = re.compile(r"(?!cmp|test|push|pop|j|call|v?ucomis)[a-z0-9]+\s+([a-z0-9]+)(?:, ([a-z0-9]+)$)?")
_REGISTER_FIELD = re.compile(r"\[(r[a-z0-9]+) \+ (\d+)\]")

_WHY_LEFT = {
    "csr_read": "it reads a control and status register",
    "csr_write": "it writes a control and status register",
    "clock": "it reads the time",
    "wait": "it waits for an interrupt",
    "flush_translations": "it changes address translation",
    "flush_translation": "it changes address translation",
}


class NoRegion(HypernestError):
    """No region begins at an address."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of LLVM IR or of assembly; `origin` is the guest instruction's offset in the page, `ENTRY` or `SHARED`."""

    text: str
    origin: int


@dataclass(frozen=True, slots=True)
class Leaving:
    """Where control can leave a region: after or at the instruction `source`; offsets are relative to the page.

    `how` is `jump`, `call`, `next`, `computed`, or `complete` with the reason in `why`.
    """

    source: int
    how: str
    target: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Inspection:
    """All there is to know of a region."""

    region: Region
    ir: tuple[Line, ...]
    assembly: tuple[Line, ...]
    code: bytes
    """What the translator installs."""
    milliseconds: float
    """That forming, lowering and compiling it takes in a process that has done so before."""
    assumptions: tuple[tuple[str, int, int], ...]
    """(register, mask, value): what is tested on entering."""
    leavings: tuple[Leaving, ...]

    @property
    def guest_bytes(self) -> int:
        return sum(each.length for each in self.region.instructions.values())

    @property
    def uncertain(self) -> int:
        """Instructions that are left to complete execution where something unusual happens: a device, a trap."""
        return sum(each.meaning.quick and each.meaning.may_leave for each in self.region.instructions.values())


class Inspector:
    """Looks at regions of one ISA."""

    def __init__(self, isa: NativeIsa, pures: list[str]) -> None:
        """`pures` are the names in the interpreter's table of pure functions, in its order."""
        _choose_intel_syntax()  # target machines know it from when they are made
        self._compiler = Compiler(isa, pures)

    def inspect(
        self, code: bytes, executed: int, head: int, targets: Sequence[int] = (), *, optimized: bool = True
    ) -> Inspection:
        """The region with this head in a page, see `form_region`; its LLVM IR after or before the passes.

        Raises `NoRegion` with the reason if there is none.
        """
        compiler = self._compiler
        page = CodePage(compiler.tables, code, executed)
        region = form_region(page, head, targets)
        if region is None:
            raise NoRegion(_refusal(page, head))
        compiler.compile(region)  # for the first time; the compiler's process has done much before
        begin = time.perf_counter()
        form_region(CodePage(compiler.tables, code, executed), head, targets)
        compiled = compiler.compile(region)
        milliseconds = 1000 * (time.perf_counter() - begin)
        lowering = _LocatedLowering(compiler.isa, compiler.layout, compiler.words, compiler.pures, region)
        before = lowering.print_located()
        module = compiler.optimized(before)
        names = _names(compiler.layout, compiler.words)
        ir = _ir_lines(str(module) if optimized else before, names)
        assembly = _assembly_lines(compiler.assembly(module), names)
        assumptions = tuple((name, mask, value) for (name, _), (mask, value) in lowering.assumed.items())
        return Inspection(
            region, tuple(ir), tuple(assembly), compiled.code, milliseconds, assumptions, tuple(_leavings(region))
        )

    def was_executed(self, code: bytes, executed: int, offset: int) -> bool:
        """Was the instruction at this offset executed, by itself or in the straight line behind one that was?"""
        page = CodePage(self._compiler.tables, code, executed)
        for start in (2 * at for at in range(offset // PARCEL + 1) if executed >> at & 1):
            at = start
            while at < offset:
                instruction = page.at(at)
                if instruction is None or instruction.meaning.branches or not instruction.meaning.falls_through:
                    break
                at = instruction.following
            if at == offset:
                return True
        return False


# --- why there is none, and where one ends -------------------------------------------------------------------------


def _refusal(page: CodePage, head: int) -> str:
    instruction = page.at(head)
    if instruction is not None:
        return (
            f"{instruction.row.name} is left to complete execution ({_why_left(instruction)}): a region can begin"
            " behind it"
        )
    if head + 4 > PAGE_BYTES and page.code[head] & 3 == 3:
        return "the instruction goes beyond the end of its page, which regions do not: the interpreter executes it"
    return f"there is no legal instruction, but the bytes {page.code[head : head + 4].hex(' ')}: give another address"


def _why_left(instruction: Instruction) -> str:
    kinds = set(_kinds(instruction.meaning.block))
    if _always_traps(instruction.meaning.block):
        return "it always traps"
    found = next((why for kind, why in _WHY_LEFT.items() if kind in kinds), None)
    return found or ("it changes the state of the hart" if instruction.row.system else "it is rare and long")


def _kinds(block: Block) -> Iterator[str]:
    yield from (effect.kind for effect in block.effects)
    if isinstance(block.end, Branch):
        yield from _kinds(block.end.yes)
        yield from _kinds(block.end.no)


def _always_traps(block: Block) -> bool:
    end = block.end
    if isinstance(end, Branch):
        return _always_traps(end.yes) and _always_traps(end.no)
    return isinstance(end, Trapped)


def _leavings(region: Region) -> Iterator[Leaving]:
    for at, instruction in region.instructions.items():
        meaning = instruction.meaning
        if not meaning.quick:
            yield Leaving(at, "complete", why=_why_left(instruction))
            continue
        for distance in meaning.branches:
            if meaning.calls or at + distance not in region.instructions:
                yield Leaving(at, "call" if meaning.calls else "jump", at + distance)
        if meaning.jumps:
            yield Leaving(at, "computed")
        if meaning.falls_through and instruction.following not in region.instructions:
            yield Leaving(at, "next", instruction.following)


# --- locations -----------------------------------------------------------------------------------------------------


class _LocatedText(RegionText):
    """Every line has the location of the instruction that is being lowered."""

    def __init__(self, layout: Layout, engine_words: Mapping[str, int]) -> None:
        super().__init__(layout, engine_words)
        self.place = [_ENTRY_LINE]  # shared by all forks

    def emit(self, line: str) -> None:
        super().emit(line + self._location)

    def define(self, code: str) -> str:
        return super().define(code + self._location)

    @property
    def _location(self) -> str:
        return f", !dbg !{_FIRST_LOCATION + self.place[0]}"


class _LocatedLowering(RegionLowering):
    """Prints a region with debug locations."""

    def __init__(
        self, isa: NativeIsa, layout: Layout, words: EngineWords, pures: Mapping[str, int], region: Region
    ) -> None:
        super().__init__(isa, layout, words, pures, region)
        self._located = self.text = _LocatedText(layout, words.offsets)

    def _instruction(self, instruction: Instruction) -> None:
        self._located.place[0] = instruction.offset + 1
        super()._instruction(instruction)
        self._located.place[0] = _ENTRY_LINE

    def print_located(self) -> str:
        """A whole module."""
        text = re.sub(r"^(define .*@region\(.*) \{$", r"\1 !dbg !25 {", self.print("region"), count=1, flags=re.M)
        lines = [_ENTRY_LINE, *(at + 1 for at in self.region.instructions)]
        locations = [f"!{_FIRST_LOCATION + line} = !DILocation(line: {line}, column: 1, scope: !25)" for line in lines]
        subprogram = (
            f'!25 = distinct !DISubprogram(name: "region", scope: !22, file: !22, line: {_ENTRY_LINE}, type: !23,'
            f" scopeLine: {_ENTRY_LINE}, spFlags: DISPFlagDefinition, unit: !20)"
        )
        return "\n".join((text + METADATA + _UNIT, subprogram, *locations, ""))


def _origin(line: int) -> int:
    return {0: SHARED, _ENTRY_LINE: ENTRY}.get(line, line - 1)


def _names(layout: Layout, words: EngineWords) -> dict[int, str]:
    """What a byte offset from the hart holds."""
    names = {8 * offset: name for name, offset in words.offsets.items()}
    for register in layout.registers.values():
        first = layout.index[register.name]
        for number in range(register.count):
            names[8 * (first + number)] = f"{register.name}{number}" if register.count > 1 else register.name
    return names


# --- LLVM's text ---------------------------------------------------------------------------------------------------


def _ir_lines(module: str, names: Mapping[int, str]) -> list[Line]:
    places = {int(number): int(line) for number, line in _LOCATION.findall(module)}
    body = module[module.index("{\n", module.index("@region(")) + 2 :]
    found: list[tuple[str, int | None]] = []
    whole = _SWITCH.sub(lambda match: " ".join(match[0].split()), body[: body.index("\n}")])
    for raw in whole.splitlines():
        text = raw.split(" ; preds", 1)[0].rstrip().removesuffix(";").rstrip()
        if not text:
            continue
        debug = _DEBUG.search(text)
        line = places.get(int(debug[1]), 0) if debug else None
        text = _FUNCTION_ATTRIBUTES.sub("", _ATTACHED.sub("", text))
        field = _FIELD.search(text)
        if field and int(field[1]) in names:
            text += f"  ; {names[int(field[1])]}"
        belongs_to_next = text.endswith(":") or re.search(r" = (phi|alloca) ", text)
        found.append((text, None if belongs_to_next else _origin(line or 0)))
    return _with_following(_with_neighbours(found))


def _assembly_lines(assembly: str, names: Mapping[int, str]) -> list[Line]:
    body = assembly[assembly.index("\nregion:") + 1 :]
    lines = [line.split("#", 1)[0].strip() for line in body[: body.index(".Lfunc_end0:")].splitlines()]
    hart = _hart_registers(lines)
    origin = ENTRY
    found: list[tuple[str, int | None]] = []
    for text in lines:
        if text.startswith(".loc"):
            origin = _origin(int(text.split()[2]))
        elif text.startswith(".LBB"):
            found.append((text, None))
        elif text and not text.startswith(".") and not text.endswith(":"):
            operation, _, operands = text.expandtabs(1).partition(" ")
            field = _REGISTER_FIELD.search(text)
            note = names.get(int(field[2]), "") if field and field[1] in hart else ""
            found.append((f"    {operation:<7} {operands}".rstrip() + (f"  # {note}" if note else ""), origin))
    return _with_following(_with_neighbours(found))


def _hart_registers(lines: Iterable[str]) -> set[str]:
    """The host registers that hold the hart wherever they are used: nothing else is ever written to them."""
    writes = [(match[1], match[2]) for line in lines if (match := _WRITING.match(line.expandtabs(1)))]
    copies = {target for target, source in writes if source == _HART_REGISTER} | {_HART_REGISTER}
    clobbered = {_whole(target) for target, source in writes if source not in copies}
    return copies - clobbered


def _whole(register: str) -> str:
    """The 64-bit register that a name of a part of it belongs to."""
    if re.fullmatch(r"r\d+[dwb]?", register):
        return register.rstrip("dwb")
    if re.fullmatch(r"[abcd][lh]", register):
        return f"r{register[0]}x"
    return f"r{register.lstrip('re').removesuffix('l')}"


def _with_neighbours(lines: Iterable[tuple[str, int | None]]) -> list[tuple[str, int | None]]:
    """What has no origin (saving a register, code that was moved) is put, with a mark, to what it stands beside in its
    basic block."""
    result: list[tuple[str, int | None]] = []
    block: list[tuple[str, int | None]] = []

    def end_block() -> None:
        known = next((origin for _, origin in block if origin != SHARED), SHARED)
        for text, origin in block:
            guessed = origin == SHARED and known != SHARED
            known = known if origin in (None, SHARED) else origin
            result.append((GUESSED + text[1:] if guessed else text, known))
        block.clear()

    for text, origin in lines:
        if origin is None:
            end_block()
            result.append((text, None))
        else:
            block.append((text, origin))
    end_block()
    return result


def _with_following(lines: Iterable[tuple[str, int | None]]) -> list[Line]:
    """Labels belong to what they stand before."""
    result: list[Line] = []
    following = SHARED
    for text, origin in reversed(list(lines)):
        following = following if origin is None else origin
        result.append(Line(text, following))
    return result[::-1]


@cache
def _choose_intel_syntax() -> None:
    """An option of the whole process, and LLVM takes it only once."""
    import llvmlite.binding as llvm

    llvm.set_option("hypernest", "--x86-asm-syntax=intel")
