"""What native code keeps behind a hart's registers, and the structure that the harts of a machine share.

Offsets are in 64-bit words from the start of the hart's state. Nothing here is part of the guest's state: all of it
can be thrown away between two runs.
"""

from __future__ import annotations

from hypernest.isa.layout import Layout

# A context's data table is one for reads and one for writes, so that copying does not evict its own source.
DATA_ENTRIES = 512
DATA_ENTRY_BYTES = 16  # tag: the virtual page; addend: pointer to where virtual address 0 would be in the host
WRITES_AT = DATA_ENTRIES * DATA_ENTRY_BYTES
CODE_ENTRIES = 256
CODE_ENTRY_BYTES = 32  # tag, slots, pc bias
CONTEXTS = 4
LARGE_BITS = 4096

# Host pages, the other memory path of regions: a hart has one window of host addresses for each context, all of one
# stride. Virtual addresses from -(1 << 38) are there at their place, with a guard on both sides.
WINDOW_BITS = 39
WINDOW_GUARD = 1 << 16
WINDOW_STRIDE = (1 << WINDOW_BITS) + 2 * WINDOW_GUARD
WINDOW_ZERO = WINDOW_GUARD + (1 << WINDOW_BITS - 1)  # where virtual address 0 is in a window
WINDOW_PAGES = 16_000  # that are mapped at once: hosts limit how many mappings a process has
WINDOW_RUN = 1 << 21  # bytes that are mapped at once where virtual addresses are physical ones
WRITABLE_PLACES = 2  # windows in which a page of RAM can be written at a time

# What translated regions reach through the hart, because their code is put where it can refer to nothing by name.
EXPORTS = (
    "slow",  # pointers to functions of the interpreter
    "careful",
    "jump",
    "fill_read",
    "fill_write",
    "pures",  # pointer to the table of pure functions, in the order of their names
    "undecoded",  # the handler of slots that were not executed
    "guarded",  # the handler of slots that the host watches
    "uncovered",  # the handler of slots that tell when they are reached
)

SCALARS = (
    "data_tlb",  # pointer: the table of the present data context
    "code_tlb",  # pointer: the table of the present fetch context
    "slots",  # pointer: the slots of the page being executed
    "bias",  # pc = bias + slot address / 8
    "attention",  # look at interrupts and stop requests before the next instruction
    "exit",  # why the run ended
    "instruction",  # the code of the instruction being executed completely
    "next_pc",
    "trap_cause",
    "trap_value",
    "device_ok",  # set by the host's device function
    "ram",  # pointer
    "ram_base",
    "ram_size",
    "shared",  # pointer to the shared structure
    "device",  # pointer: host function for accesses outside RAM
    "mapping_shift",  # how large the leaf is that the last walk ended at
    "giant",  # a bit for each remembered mapping of 1 GiB or more, by its address: see `flush_translation`
    "scratch",  # a slot (two words) for complete execution
    "scratch_operands",
    "walked",  # the last slice ended with a walk: see `native/sampling.ll`
    "jumps_to_walk",
    "windows",  # host pages: pointer to the first window, null if there are none
    "window",  # pointer: virtual address 0 in the window of the present data context
    "windows_used",  # is anything mapped in them?
    "reserve",  # steps of the run that are not yet part of `remaining`: see `native/sampling.ll`
    "slice_left",  # steps of the slice in which the last run ended
    "watching",  # the kinds (see `engines/watched.py`) of which the host watches something: see `native/watching.ll`
    "passing",  # the kinds that do not hold up the next step
    "hooked",  # the kind of what has ended the run before it happened, 0 if nothing has; what follows is about it
    "hook_address",
    "hook_size",
    "hook_value",
    "hook_physical",
    "hook_last",
    *EXPORTS,
)

# The shared structure, also in 64-bit words.
SHARED = (
    "code_pages",  # pointer to an array with a pointer to the slots of each RAM page, null if none
    "pages",  # RAM pages
    "ram",  # pointer to the first
    "memory_file",  # host pages: the descriptor of RAM
    "writable_at",  # pointer to the places where each page of RAM can be written, null without host pages
    "pages_mapped",  # about, since everything was last unmapped
    "host_pages_mapped",  # statistics
    "host_pages_flushed",
    "pool",  # pointer to the memory that slots are made in
    "pool_size",
    "pool_used",
    "free",  # pointer to the first returned block
    "harts",
    "hart_0",
    "hart_1",
    "hart_2",
    "hart_3",
    "hart_4",
    "hart_5",
    "hart_6",
    "hart_7",
    "heat",  # pointer to the counts of sampled places, null if runs are not cut into slices
    "slice_seed",
    "hot",  # samples that make a place hot
    "report_queue",  # pointer to what was found hot, for the host
    "reports",  # how many there are
    "arena",  # where the code of regions is
    "arena_size",
    "watch_execute",  # pointer to the sorted addresses of watched instructions
    "watch_executes",  # how many there are
    "watch_data",  # pointer to watched ranges of data: see `@is_watched`
    "watch_ranges",  # how many there are
    "watch_exceptions",  # bits by cause
    "watch_interrupts",
    "watch_csrs",  # pointer to bits by number
    "guards",  # how often watched instructions have changed
    "coverage",  # pointer to maps of what was executed: see `@cover`
    "coverages",  # how many there are
    "pages_decoded",  # statistics
    "pages_dropped",
    "pool_flushes",
    "steps_translated",  # estimates, from the samples
    "steps_interpreted",
    "left_slowly",  # why regions were left
    "left_carefully",
    "left_to_unknown_page",
    "traps",  # 128 words: exceptions by cause, then interrupts by cause
)
COUNTERS = ("pages_decoded", "pages_dropped", "pool_flushes", "host_pages_mapped", "host_pages_flushed",
            "steps_translated", "steps_interpreted", "left_slowly",
            "left_carefully", "left_to_unknown_page")  # fmt: skip
TRAP_COUNTERS = 128

# A block of slots for one page of code: 2048 slots and a sentinel; then, for each, how many instructions follow up to
# the end of the page (16 bits); then the header.
PAGE_SLOTS = 2048
REMAINING_AT = (PAGE_SLOTS + 1) * 16
HEADER_AT = (REMAINING_AT + (PAGE_SLOTS + 1) * 2 + 7) // 8 * 8
# decoded: a bit for each 64 bytes that hold predecoded instructions; noticed: the page was reported to the host;
# guard_generation: the value of `guards` that the guarded slots belong to; armed_for: the virtual page for which slots
# were set to tell when they are reached.
HEADER = ("ram_offset", "decoded", "next_free", "noticed", "guard_generation", "armed_for")
COVERED_AT = HEADER_AT + 8 * len(HEADER)  # a bit for each slot whose instruction some region has
BLOCK_BYTES = (COVERED_AT + PAGE_SLOTS // 8 + 63) // 64 * 64


COVERING = 1 << 32  # bit of `watching`: there are maps of what was executed

# Sampling, see `native/sampling.ll`. Slices are powers of two, not shorter than a page has instructions.
COLD_SLICE, WARM_SLICE = 2048, 1 << 17
WALK, LONG_WALK = 128, 1024  # steps
PATIENCE = 8  # jumps
HEAT_ENTRIES = 1 << 16  # counts of 16 bits, by the address in RAM; those of a page stand together
REPORTS = 1024  # room in the queue


class EngineWords:
    """Word offsets behind `layout`."""

    def __init__(self, layout: Layout) -> None:
        self.offsets = {name: layout.words + i for i, name in enumerate(SCALARS)}
        at = layout.words + len(SCALARS)
        self.data_tables = at
        self.code_tables = at + CONTEXTS * 2 * DATA_ENTRIES * DATA_ENTRY_BYTES // 8
        self.large = (
            self.code_tables + CONTEXTS * CODE_ENTRIES * CODE_ENTRY_BYTES // 8
        )  # the same as `giant` for mappings of 2 MiB
        self.mapped = self.large + LARGE_BITS // 64  # a bit for each page, by its address, that may be in a window
        self.count = self.mapped + LARGE_BITS // 64 - layout.words
