"""The translator as an engine: the interpreter, and regions of native code in the slots of what is hot.

Between two runs it reads what native code found hot, asks the disk and then the compiler's process for regions, and
installs what has come. Regions count and fault like the interpreter, so it does not matter when that is.
"""

from __future__ import annotations

import ctypes
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from hypernest.engines.coverage_map import CoverageMap
from hypernest.engines.engine import Devices, Exit
from hypernest.engines.hart_state import HartState
from hypernest.engines.interpreter.engine import InterpreterEngine
from hypernest.engines.interpreter.native_code import NativeCode
from hypernest.engines.interpreter.object_code import source_digest
from hypernest.engines.interpreter.words import COVERED_AT, EXPORTS, HEAT_ENTRIES, REPORTS
from hypernest.engines.translator.compiler import answer, page_digest
from hypernest.engines.translator.host_pages import WINDOW_MODE, HostPages, MemoryPath
from hypernest.engines.translator.library import PlacedRegion, RegionLibrary
from hypernest.engines.translator.record import Record, Request, decode_record, decode_reply, encode
from hypernest.engines.watched import Kind, Watched
from hypernest.host_memory import peak_memory
from hypernest.isa.isa import NativeIsa
from hypernest.memory import GuestMemory

HOT = 4  # samples, of some 3,000 steps each, that make a place hot
MOST_OUTSTANDING = 2  # requests: one is compiled, one waits, so that what is hottest then comes next
PAGE = 4096

_EXECUTED = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
_ADOPT = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64
)
_FORGET = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class InstalledRegion:
    """A region that is in place, with the guest-physical address of its page."""

    page_address: int
    record: Record


@dataclass
class TranslationCounts:
    """What translating cost and gave, for statistics."""

    regions_compiled: int = 0
    regions_loaded: int = 0
    regions_installed: int = 0
    regions_evicted: int = 0
    regions_refused: int = 0
    compile_seconds: float = 0.0
    compiled_instructions: int = 0


class TranslatorEngine(InterpreterEngine):
    """Runs harts in generated native code and compiles what is hot. See `engine.Engine` for the contract."""

    def __init__(
        self,
        isa: NativeIsa,
        memory: GuestMemory,
        devices: Devices,
        cache: Path | None = None,
        memory_path: MemoryPath = MemoryPath.SOFT,
        native: NativeCode | None = None,
        library: RegionLibrary | None = None,
    ) -> None:
        """`native` and `library` are what other engines have loaded and translated, to share it."""
        super().__init__(isa, memory, devices, cache, native)
        self.counts = TranslationCounts()
        self._library = library or RegionLibrary(self._native.folder)
        self._begin_where_forked()
        self._news = self._library.join(self)
        self._wanted: dict[int, set[int]] = {}
        self._pures = self.native_text("hypernest_pure_names").split()
        self._executed_bits = ctypes.create_string_buffer(256)
        self._executed = _EXECUTED(self.native_address("hypernest_executed"))
        self._adopt = _ADOPT(self.native_address("hypernest_adopt"))
        self._forget = _FORGET(self.native_address("hypernest_forget_code"))
        self._kept = {self._exports[EXPORTS.index(name)] for name in ("guarded", "uncovered")}
        self._heat = (ctypes.c_uint16 * HEAT_ENTRIES)()
        self._queue = (ctypes.c_uint64 * REPORTS)()
        self._host_pages = self._make_host_pages() if memory_path is MemoryPath.HOST else None
        self._memory_path = MemoryPath.SOFT if self._host_pages is None else MemoryPath.HOST
        self._use_arena()

    def _use_arena(self) -> None:
        """Let hot places be found, and their regions be in the library's arena."""
        self._shelf = self._library.shelf(self._memory_path)
        arena = self._library.arena
        self._set_shared("hot", HOT)
        self._set_shared("arena", arena.address)
        self._set_shared("arena_size", arena.size)
        self._set_shared("report_queue", ctypes.addressof(self._queue))
        self._set_shared("heat", ctypes.addressof(self._heat) if arena.size else 0)

    def _begin_where_forked(self) -> None:
        """In a process that was forked off, do without the regions and the compiler of the process before."""
        if self._library.is_foreign():
            for engine in self._library.begin_here():
                engine.forget_regions()
                engine._use_arena()

    def _make_host_pages(self) -> HostPages | None:
        """The other memory path; None, and a problem, where the host does not have what it takes."""
        map_page, ram = self.native_address("hypernest_map_page"), self._memory.host_address
        arena = self._library.arena.address, self._library.arena.size
        if not self._library.arena.size or self._memory.file is None:
            return None
        try:
            made = HostPages(self._memory.file, self._memory.size // PAGE, map_page, ram, arena)
        except OSError as error:
            self._library.problems.append(f"host pages are not possible here ({error}); the software path is used.")
            return None
        self._set_shared("memory_file", made.file)
        self._set_shared("writable_at", made.writable_at)
        return made

    def new_hart(self) -> HartState:
        hart = super().new_hart()
        if self._host_pages is not None and self._memory_path is MemoryPath.HOST:
            try:
                self._set(hart, "windows", self._host_pages.add(hart))
            except OSError as error:
                self._library.problems.append(f"host pages are not possible here ({error}); the software path is used.")
                self._use_soft_path()
        return hart

    @property
    def problem(self) -> str | None:
        """What keeps hot code in the interpreter, a sentence for the user; None if nothing does."""
        return self._library.problem

    @property
    def translation(self) -> Mapping[str, float]:
        """What translating has cost and given so far."""
        compiler = self._library.compiler
        names = ("steps_translated", "steps_interpreted", "left_slowly", "left_carefully", "left_to_unknown_page")
        return {
            **asdict(self.counts),
            **{name: self._shared_value(name) for name in names},
            "code_bytes": self._library.arena.used,
            "worker_peak_memory_bytes": peak_memory(compiler.pid) if compiler.pid else 0,
        }

    def close(self) -> None:
        """End the compiler's process and keep what it made. The engine can go on, in the interpreter."""
        self._begin_where_forked()  # whoever had the lock is not here
        self._library.leave(self)
        if self._host_pages is not None:  # regions must not run without their windows
            self._set_shared("heat", 0)
            self.forget_regions()
            self._host_pages.close()
            for hart in self._harts.values():
                self._set(hart, "windows_used", 0)
            self._set_shared("writable_at", 0)

    def watch(self, watched: Watched) -> None:
        if watched.execute != self._watched.execute:
            self._forget_partial()
        super().watch(watched)
        if self._memory_path is MemoryPath.HOST and watched.kinds & (Kind.READ | Kind.WRITE):
            self._use_soft_path()  # what is in a window is accessed unseen

    def cover(self, maps: Sequence[CoverageMap]) -> None:
        if tuple(maps) != self._coverage[0]:  # else some were cleared, and what was made around others still serves
            self._forget_partial()
        super().cover(maps)

    def _forget_partial(self) -> None:
        """Regions around instructions that were watched or not reached yet can be better now."""
        self._begin_where_forked()
        with self._library.lock:
            for digest in self._shelf.partial:
                self._shelf.pages.pop(digest, None)
            self._shelf.partial.clear()

    def run(self, hart: HartState, steps: int, passing: Kind = Kind.NONE) -> Exit:
        if self._host_pages is not None:
            self._host_pages.ready()
        library = self._library
        self._begin_where_forked()
        with library.lock:
            library.running += 1
        try:
            why = super().run(hart, steps, passing)
        finally:
            with library.lock:
                library.running -= 1
        if self._memory_path is MemoryPath.HOST and hart["satp"] >> 60 > WINDOW_MODE:
            self._use_soft_path()
        if self._shared_value("reports") or self._wanted or library.compiler.outstanding or self._news:
            with library.lock:
                self._look_around()
        return why

    def _look_around(self) -> None:
        """Between two runs: what is hot, what has come, what is to be asked for."""
        compiler = self._library.compiler
        if self._shared_value("reports"):
            self._look()
        while self._news:
            page, region = self._news.popleft()
            self._install(page, region, self._page(page))
        if self._wanted and compiler.outstanding < MOST_OUTSTANDING:
            self._submit()
        if compiler.outstanding:
            for reply in compiler.poll():
                self._receive(reply)

    def _page(self, page: int) -> bytes:
        """The bytes of a page of RAM, by its number; of none if there is no such page here."""
        address = self._memory.base + page * PAGE
        return self._memory.read(address, PAGE) if self._memory.contains(address, PAGE) else b""

    def leave_memory_file(self) -> None:
        if self._memory_path is MemoryPath.HOST:
            self._use_soft_path()

    def _use_soft_path(self) -> None:
        """The guest uses addresses that windows do not hold: begin anew, and stay there."""
        self._memory_path = MemoryPath.SOFT
        self.forget_regions()
        self._shelf = self._library.shelf(self._memory_path)

    def forget_regions(self) -> None:
        """Execute nothing that is translated, until it is found hot again."""
        self._forget(ctypes.addressof(self._shared))

    # --- from what is hot to requests --------------------------------------------------------------------------------

    def _look(self) -> None:
        """Ask for what native code has reported."""
        count = self._shared_value("reports")
        hot: dict[int, list[int]] = defaultdict(list)
        for what in self._queue[:count]:
            page, inside = divmod(what, PAGE)
            heads = hot[page]
            if not inside & 1:
                heads.append(inside)
        self._set_shared("reports", 0)
        for page, heads in hot.items():
            self._consider(page, heads)

    def _consider(self, page: int, heads: list[int]) -> None:
        code = self._page(page)
        digest = page_digest(code)
        known = self._shelf.pages.get(digest)
        if known is None:
            known = self._shelf.pages[digest] = {}
            for data in self._shelf.store.load(digest):
                record = decode_record(data)
                if record is not None:
                    self._place(known, record, code)
                    self.counts.regions_loaded += 1
        usable = self._usable(page, known)
        for each in usable:
            self._install(page, each, code)
        entries = {entry for each in usable for entry in each.record.entries}
        wanted = [head for head in heads if head not in entries]
        if wanted and self._library.compiler.alive:
            self._wanted.setdefault(page, set()).update(wanted)

    def _submit(self) -> None:
        """Ask the compiler for the hottest of what is wanted."""
        wanted = [(self._heat_of(page, head), page, head) for page, heads in self._wanted.items() for head in heads]
        _, page, head = max(wanted)
        self._wanted[page].remove(head)
        if not self._wanted[page]:
            del self._wanted[page]
        code = self._page(page)
        known = self._shelf.pages.get(page_digest(code), {})
        if any(head in each.record.entries for each in self._usable(page, known)):
            return
        if self._executed(ctypes.addressof(self._shared), page, self._executed_bits):
            targets = list(dict.fromkeys([*self._wanted.get(page, ()), *known]))
            self._library.compiler.submit(encode(self._request(page, code, [head], targets)))

    def _request(self, page: int, code: bytes, heads: list[int], targets: list[int]) -> Request:
        """What to ask of the compiler, `_executed_bits` being those of the page."""
        bits, sources, left_out = self._executed_bits.raw, source_digest(), self._guarded_slots(page)
        guards = left_out.to_bytes(PAGE // 16, "little") if left_out else b""
        return Request(page, code, bits, heads, targets, self._pures, sources, self._memory_path, guards)

    def _heat_of(self, page: int, head: int) -> int:
        return self._heat[(page * PAGE + head) // 2 % HEAT_ENTRIES]

    def translate_now(self, page: int, heads: list[int]) -> None:
        """Compile regions with these heads (offsets in a page of RAM by number) in this process, and install them.

        For tests and tools: it takes as long as it takes. Heads that were not executed are compiled as well.
        """
        code = self._page(page)
        if self._executed(ctypes.addressof(self._shared), page, self._executed_bits):
            self._receive(answer(encode(self._request(page, code, heads, heads))))

    def executed(self, page: int) -> list[int]:
        """The offsets in a page of RAM at which instructions were executed since it was decoded."""
        if not self._executed(ctypes.addressof(self._shared), page, self._executed_bits):
            return []
        bits = int.from_bytes(self._executed_bits.raw, "little")
        return [2 * at for at in range(PAGE // 2) if bits >> at & 1]

    def regions(self) -> list[InstalledRegion]:
        """The regions that execution enters at present, in the order of addresses. It takes a while."""
        found = []
        blocks = memoryview(self._code_pages).cast("Q")
        for page in (number for number, block in enumerate(blocks) if block):
            address = self._memory.base + page * PAGE
            known = self._shelf.pages.get(page_digest(self._page(page)), {})
            for head, each in sorted(known.items()):
                if ctypes.c_uint64.from_address(blocks[page] + 8 * head).value == each.address:
                    found.append(InstalledRegion(address, each.record))
        return found

    def _guarded_slots(self, page: int) -> int:
        """The halfwords of a page of RAM whose instructions are watched or to be noted when reached, as bits."""
        if not self._watched.execute and not self._coverage[0]:
            return 0
        block = ctypes.c_uint64.from_buffer(self._code_pages, 8 * page).value
        if not block:
            return 0
        slots = ctypes.string_at(block, PAGE * 8)
        if not any(each.to_bytes(8, sys.byteorder) in slots for each in self._kept):
            return 0
        handlers = memoryview(slots).cast("Q")[::2]
        return sum(1 << at for at, handler in enumerate(handlers) if handler in self._kept)

    def _usable(self, page: int, known: Mapping[int, PlacedRegion]) -> list[PlacedRegion]:
        """Regions that have none of the page's watched instructions."""
        guards = self._guarded_slots(page)
        return [each for each in known.values() if not guards & int.from_bytes(each.record.covered, "little")]

    # --- from replies to slots ---------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        try:
            reply = decode_reply(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._library.problems.append("the compiler's answer could not be read.")
            return
        self.counts.regions_refused += len(reply.refused)
        if reply.problem:
            self._library.problems.append(f"LLVM could not compile a region ({reply.problem}).")
        code = self._page(reply.page)
        unchanged = page_digest(code) == reply.digest
        if reply.memory_path != self._memory_path:
            return  # asked for before the path was changed
        known = self._shelf.pages.setdefault(reply.digest, {})
        for each in reply.records:
            record = decode_record(each)
            if record is None:
                continue
            if reply.left_out:
                self._shelf.partial.add(reply.digest)
            else:
                self._shelf.store.save(reply.digest, record.head, each)
            self.counts.regions_compiled += 1
            self.counts.compile_seconds += record.microseconds / 1e6
            self.counts.compiled_instructions += record.instructions
            if unchanged and (made := self._place(known, record, code)):
                self._install(reply.page, made, code)
                self._library.tell(self, reply.page, made)

    def _place(self, known: dict[int, PlacedRegion], record: Record, code: bytes) -> PlacedRegion | None:
        before = len(self._library.sizes)
        placed = self._library.place(known, record, code)
        if before and len(self._library.sizes) < before:
            self.counts.regions_evicted += before
        return placed

    def _install(self, page: int, region: PlacedRegion, code: bytes) -> None:
        record = region.record
        if code[record.first : record.last + 1] != region.bytes or not self._usable(page, {0: region}):
            return
        slots = self._adopt(ctypes.addressof(self._shared), self._memory.host_address, page, record.first, record.last)
        if not slots:
            return
        for entry in record.entries:
            handler = ctypes.c_uint64.from_address(slots + 8 * entry)
            if entry == record.head or self._library.sizes.get(handler.value, 0) < record.instructions:
                handler.value = region.address
        covered = (ctypes.c_uint8 * len(record.covered)).from_address(slots + COVERED_AT)
        both = int.from_bytes(covered, "little") | int.from_bytes(record.covered, "little")
        ctypes.memmove(covered, both.to_bytes(len(record.covered), "little"), len(record.covered))
        self.counts.regions_installed += 1
