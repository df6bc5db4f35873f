"""Address translation against a walker written from the manual's algorithm, on random page tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hypernest.isa.hart import Access
from hypernest.isa.riscv.translation import MANAGE, data_context, fetch_context
from tests.isa.riscv.bench import DEVICE, MACHINE, RAM, RAM_SIZE, SUPERVISOR, USER, Bench, Raised

V, R, W, X, U, G, A, D = (1 << i for i in range(8))
SV39, SV48, SV57 = 8, 9, 10
ADUE = 1 << 61
MPRV, SUM, MXR, MPP = 1 << 17, 1 << 18, 1 << 19, 11
PAGE_FAULTS = {Access.EXECUTE: 12, Access.READ: 13, Access.WRITE: 15, MANAGE: 15}
ACCESS_FAULTS = {Access.EXECUTE: 1, Access.READ: 5, Access.WRITE: 7, MANAGE: 7}

TABLES = [RAM + 0x1_0000 + page * 0x1000 for page in range(6)]
INDICES = [0, 1, 255, 256, 511]


@dataclass(frozen=True)
class Setting:
    """All that a translation depends on beside the tables."""

    mode: int = SV39
    privilege: int = SUPERVISOR
    mstatus: int = 0
    menvcfg: int = 0
    forbidden: int | None = None  # a page that PMP keeps from S-mode and U-mode


class PageFault(Exception):
    pass


class AccessFault(Exception):
    pass


def bits(value: int, high: int, low: int) -> int:
    return value >> low & (1 << high - low + 1) - 1


def walk(setting: Setting, tables: dict[int, int], va: int, access: int) -> tuple[int, dict[int, int]]:
    """(physical address, updated entries): section 12.3.2 with LEVELS and the steps as numbered there."""
    privilege = setting.privilege
    if access != Access.EXECUTE and setting.mstatus & MPRV:
        privilege = bits(setting.mstatus, 12, 11)
    if privilege == MACHINE or setting.mode == 0:
        return check_physical(setting, va, privilege), {}
    levels = {SV39: 3, SV48: 4, SV57: 5}[setting.mode]
    top = 12 + 9 * levels
    if va >> (top - 1) not in (0, (1 << 64 - top + 1) - 1):
        raise PageFault
    a, i = TABLES[0], levels - 1
    while True:
        place = a + bits(va, 12 + 9 * i + 8, 12 + 9 * i) * 8
        if not RAM <= place < RAM + RAM_SIZE or place & ~0xFFF == setting.forbidden:
            raise AccessFault
        pte = tables.get(place, 0)
        if not pte & V or (pte & W and not pte & R) or pte >> 54:
            raise PageFault
        if pte & (R | X):
            break
        if pte & (U | A | D):
            raise PageFault
        i -= 1
        if i < 0:
            raise PageFault
        a = bits(pte, 53, 10) * 4096
    if access == Access.EXECUTE:
        permitted = pte & X
    elif access == Access.WRITE:
        permitted = pte & W
    else:
        permitted = pte & R or (setting.mstatus & MXR and pte & X)
    if privilege == USER:
        permitted = permitted and pte & U
    elif pte & U:
        permitted = permitted and setting.mstatus & SUM and access != Access.EXECUTE
    if not permitted:
        raise PageFault
    if i > 0 and bits(pte, 10 + 9 * i - 1, 10):
        raise PageFault
    low = 12 + 9 * i
    pa = bits(pte, 53, 10) * 4096 >> low << low | bits(va, low - 1, 0)
    needed = A | (D if access == Access.WRITE else 0)
    if pte & needed == needed:
        return check_physical(setting, pa, privilege), {}
    if not setting.menvcfg & ADUE:
        raise PageFault
    return check_physical(setting, pa, privilege), {place: pte | needed}


def check_physical(setting: Setting, pa: int, privilege: int) -> int:
    if privilege != MACHINE and (pa & ~0xFFF == setting.forbidden or pa >= 1 << 57):
        raise AccessFault
    return pa


def make(setting: Setting, tables: dict[int, int]) -> Bench:
    bench = Bench(setting.privilege, mstatus=setting.mstatus, menvcfg=setting.menvcfg)
    bench["satp"] = setting.mode << 60 | 0x1234 << 44 | TABLES[0] >> 12
    if setting.forbidden is not None:
        bench["pmpcfg"], bench["pmpaddr", 0] = 0x1F18, (setting.forbidden >> 2) | 0x1FF
        bench["pmpaddr", 1] = (1 << 54) - 1
    for place, pte in tables.items():
        bench.memory.write_integer(place, 8, pte)
    return bench


def check(setting: Setting, tables: dict[int, int], va: int, access: int) -> Raised | int | None:
    """Both ways agree on result and tables; the result."""
    bench = make(setting, tables)
    found = bench.raised("translate", va, access)
    expected: Raised | int
    updated: dict[int, int] = {}
    try:
        expected, updated = walk(setting, tables, va, access)
    except PageFault:
        expected = Raised(PAGE_FAULTS[access], va)
    except AccessFault:
        expected = Raised(ACCESS_FAULTS[access], va)
    assert found == expected
    for place, pte in (tables | updated).items():
        assert bench.memory.read_integer(place, 8) == pte
    return found


# --- random tables ---------------------------------------------------------------------------------------------------

pointers = st.sampled_from(TABLES).map(lambda table: table >> 2 | V)
frames = st.sampled_from([TABLES[0], RAM, RAM + 0x8000, 0x1_4000_0000, 0x80_0000_0000, 1 << 48, DEVICE, 0])
leaf_flags = st.sampled_from([R, R | W, X, R | X, R | W | X, R | W | X | U, R | W | U, X | U, R | U])
leaves = st.builds(
    lambda frame, flags, more: frame >> 2 | flags | more | V,
    frames,
    leaf_flags,
    st.sampled_from([0, A, A | D, A | D | G, D, 3 << 8]),
)
broken = st.builds(
    lambda entry, flip: entry ^ flip,
    pointers | leaves,
    st.sampled_from([V, W, U, A, D, *(1 << i for i in range(10, 22)), *(1 << i for i in range(54, 64))]),
)
entries = pointers | leaves | pointers | leaves | broken | st.integers(0, (1 << 64) - 1)
table_sets = st.dictionaries(
    st.builds(lambda table, index: table + index * 8, st.sampled_from(TABLES), st.sampled_from(INDICES)),
    entries,
    min_size=12,
    max_size=30,
)


def canonical(mode: int, indices: list[int], offset: int) -> int:
    va, top = offset, 12 + 9 * (mode - 5)
    for i in range(mode - 5):
        va |= indices[i] << 12 + 9 * i
    return va | (((1 << 64) - (1 << top)) if va >> top - 1 else 0)


modes = st.sampled_from([SV39, SV48, SV57])
settings = st.builds(
    Setting,
    modes | modes | st.just(0),
    st.sampled_from([USER, SUPERVISOR, SUPERVISOR, MACHINE]),
    st.builds(
        lambda sum_, mxr, mprv, mpp: sum_ | mxr | mprv | mpp << MPP,
        st.sampled_from([0, SUM]),
        st.sampled_from([0, MXR]),
        st.sampled_from([0, 0, MPRV]),
        st.sampled_from([USER, SUPERVISOR, MACHINE]),
    ),
    st.sampled_from([0, ADUE]),
    st.sampled_from([None, None, TABLES[0], TABLES[1], TABLES[2], RAM]),
)
accesses = st.sampled_from([Access.READ, Access.WRITE, Access.EXECUTE, MANAGE])


@given(settings, table_sets, st.lists(st.sampled_from(INDICES), min_size=5, max_size=5), st.integers(0, 4095), accesses)
def test_agrees_with_the_manual(
    setting: Setting, tables: dict[int, int], indices: list[int], offset: int, access: int
) -> None:
    check(setting, tables, canonical(setting.mode or SV39, indices, offset), access)


@given(modes, st.data(), accesses)
def test_full_depth_walks(mode: int, data: st.DataObject, access: int) -> None:
    """A chain of valid pointers, so that every level is reached."""
    indices = data.draw(st.lists(st.sampled_from(INDICES), min_size=5, max_size=5))
    levels = mode - 5
    depth = data.draw(st.integers(1, levels))
    tables = {}
    for number in range(depth):
        last = number == depth - 1
        tables[TABLES[number] + indices[levels - 1 - number] * 8] = (
            data.draw(leaves | broken) if last else TABLES[number + 1] >> 2 | V
        )
    check(
        replace(data.draw(settings), mode=mode),
        tables,
        canonical(mode, indices, data.draw(st.integers(0, 4095))),
        access,
    )


@given(modes, st.integers(0, (1 << 64) - 1))
@example(SV39, 1 << 38)
@example(SV48, 1 << 47)
@example(SV57, 1 << 56)
@example(SV39, (1 << 64) - (1 << 38))
@example(SV39, (1 << 64) - (1 << 39))
def test_any_address(mode: int, va: int) -> None:
    entry = R | W | X | A | D | V
    check(Setting(mode), {TABLES[0] + index * 8: entry for index in range(512)}, va, Access.READ)


# --- single rules ----------------------------------------------------------------------------------------------------


def leaf_table(flags: int, level: int = 0) -> dict[int, int]:
    """Sv39 tables that map virtual 0 to RAM at some level."""
    tables = {TABLES[i]: TABLES[i + 1] >> 2 | V for i in range(2 - level)}
    frame = RAM if level < 2 else 0x8000_0000
    return tables | {TABLES[2 - level]: frame >> 2 | flags | V}


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE, Access.EXECUTE, MANAGE])
@pytest.mark.parametrize("privilege", [USER, SUPERVISOR])
@pytest.mark.parametrize("menvcfg", [0, ADUE])
def test_every_combination_of_permissions(access: int, privilege: int, menvcfg: int) -> None:
    for mstatus in (0, SUM, MXR, SUM | MXR):
        setting = Setting(privilege=privilege, mstatus=mstatus, menvcfg=menvcfg)
        bench = make(setting, {})
        for permissions in range(1, 16):
            for state in (0, A, D, A | D):
                tables = {TABLES[0]: V | permissions << 1 | state}  # R, W, X and U
                bench.memory.write_integer(TABLES[0], 8, tables[TABLES[0]])
                found = bench.raised("translate", 0x123, access)
                try:
                    expected, updated = walk(setting, tables, 0x123, access)
                except PageFault:
                    assert found == Raised(PAGE_FAULTS[access], 0x123)
                    updated = {}
                else:
                    assert found == expected
                assert bench.memory.read_integer(TABLES[0], 8) == (tables | updated)[TABLES[0]]


@pytest.mark.parametrize("mode", [SV39, SV48, SV57])
def test_pointer_in_the_last_table_faults(mode: int) -> None:
    tables = {TABLES[i]: TABLES[i + 1] >> 2 | V for i in range(mode - 5)}
    tables[TABLES[mode - 5]] = RAM >> 2 | V | R | A
    assert check(Setting(mode), tables, 0, Access.READ) == Raised(13, 0)


@pytest.mark.parametrize("flag", [W, U, A, D, 1 << 54, 1 << 61, 1 << 63])
def test_flags_of_leaves_are_reserved_in_pointers(flag: int) -> None:
    tables = leaf_table(R | A)
    assert check(Setting(), tables, 0, Access.READ) == RAM
    assert check(Setting(), tables | {TABLES[0]: tables[TABLES[0]] | G | 3 << 8}, 0, Access.READ) == RAM
    assert check(Setting(), tables | {TABLES[0]: tables[TABLES[0]] | flag}, 0, Access.READ) == Raised(13, 0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_superpages(level: int) -> None:
    offset = (1 << 12 + 9 * level) - 8
    tables = leaf_table(R | A, level)
    if level == 0:
        assert check(Setting(), tables, offset, Access.READ) == RAM + offset
    else:
        bench = make(Setting(), tables)
        bench.memory.write_integer(TABLES[0], 8, tables[TABLES[0]])
        assert bench.raised("translate", 0x1238, Access.READ) == RAM + 0x1238


@pytest.mark.parametrize("access", [Access.READ, Access.WRITE, Access.EXECUTE])
def test_misaligned_superpage_faults(access: Access) -> None:
    tables = leaf_table(R | W | X | A | D, 1)
    tables[TABLES[1]] |= 1 << 10
    assert check(Setting(), tables, 0x1238, access) == Raised(PAGE_FAULTS[access], 0x1238)


@pytest.mark.parametrize("reserved", range(54, 64))
def test_reserved_bits_fault(reserved: int) -> None:
    assert check(Setting(), leaf_table(R | A | 1 << reserved), 0, Access.READ) == Raised(13, 0)


def test_accessed_and_dirty_are_set_by_hardware_when_allowed() -> None:
    for access, flags in [(Access.READ, A), (Access.WRITE, A | D), (Access.EXECUTE, A)]:
        bench = make(Setting(menvcfg=ADUE), leaf_table(R | W | X))
        assert bench.raised("translate", 0x10, access) == RAM + 0x10
        assert bench.memory.read_integer(TABLES[2], 8) == RAM >> 2 | R | W | X | V | flags


def test_dirty_is_not_set_for_a_store_that_faults() -> None:
    bench = make(Setting(menvcfg=ADUE, forbidden=RAM), leaf_table(R | W))
    assert bench.raised("translate", 0x10, Access.WRITE) == Raised(7, 0x10)
    assert bench.memory.read_integer(TABLES[2], 8) == RAM >> 2 | R | W | V


def test_update_of_a_read_only_table_is_an_access_fault() -> None:
    bench = make(Setting(menvcfg=ADUE), leaf_table(R | W))
    bench["pmpcfg"], bench["pmpaddr", 0] = 0x1F19, TABLES[2] >> 2 | 0x1FF  # NAPOT, readable only
    bench["pmpaddr", 1] = (1 << 54) - 1
    assert bench.raised("translate", 0, Access.WRITE) == Raised(7, 0)
    assert bench.memory.read_integer(TABLES[2], 8) == RAM >> 2 | R | W | V


def test_tables_outside_memory_are_access_faults_and_leave_devices_alone() -> None:
    for root in (DEVICE, 0x4000_0000, RAM + RAM_SIZE, 1 << 50):
        bench = make(Setting(), {})
        bench["satp"] = SV39 << 60 | root >> 12
        assert bench.raised("translate", 0, Access.EXECUTE) == Raised(1, 0)
        assert not bench.device.accesses


def test_cache_management_needs_load_permission_and_faults_as_a_store() -> None:
    assert check(Setting(), leaf_table(R | A), 0, MANAGE) == RAM
    assert check(Setting(), leaf_table(X | A), 0, MANAGE) == Raised(15, 0)


@pytest.mark.parametrize(
    ("privilege", "mstatus", "data", "fetch"),
    [
        (USER, 0, 0, 0),
        (USER, SUM, 0, 0),
        (SUPERVISOR, 0, 1, 1),
        (SUPERVISOR, SUM, 2, 1),
        (MACHINE, SUM, 3, 3),
        (MACHINE, MPRV | USER << MPP, 0, 3),
        (MACHINE, MPRV | SUPERVISOR << MPP, 1, 3),
        (MACHINE, MPRV | SUM | SUPERVISOR << MPP, 2, 3),
        (MACHINE, MPRV | SUM | MACHINE << MPP, 3, 3),
    ],
)
def test_contexts(privilege: int, mstatus: int, data: int, fetch: int) -> None:
    bench = Bench(privilege, mstatus=mstatus)
    assert (int(data_context(bench.hart)), int(fetch_context(bench.hart))) == (data, fetch)
