"""The kit of RISC-V: shadow tables, and programs in a small machine with Sv39 tables that they can reach themselves."""

from __future__ import annotations

from random import Random

from hypernest.analysis.construction.kit import Kit
from hypernest.analysis.construction.shadow_tables import ShadowTables
from hypernest.analysis.construction.storage import Storage
from hypernest.analysis.model import Setting
from hypernest.engines.hart_state import HartState
from hypernest.isa.riscv.csrs import CSRS, MENVCFG, MSTATUS, SENVCFG
from hypernest.isa.riscv.legal_states import RULES
from hypernest.isa.riscv.state import Privilege, Status
from hypernest.isa.riscv.translation import A, D, R, U, V, W, X

PAGE = 4096
_PAGES = 12
_CODE = range(PAGE, PAGE + 1536)
_ROOT, _MIDDLE, _LAST = 8 * PAGE, 9 * PAGE, 10 * PAGE  # tables for the lowest 2 MiB of addresses
_ALIAS = 16 * PAGE  # code and the last table once more, for the mode that the first mapping of them is not for
_SV39 = 8 << 60
_TRAPS_OF_LOWER_MODES = 0xB3FF

_SUPERVISOR_CSRS = tuple(number for number, csr in CSRS.items() if number >> 8 in (0x0, 0x1))
_COUNTERS = (0xC00, 0xC01, 0xC02, 0xC1F)
_MACHINE_CSRS = tuple(number for number in CSRS if number >> 4 in (0x30, 0x34, 0x3A, 0x3B))


def _entry(random: Random, page: int, user: bool) -> int:
    """A leaf, often one that permits everything."""
    permissions = random.choice((1 << R, 1 << R | 1 << W, 1 << R | 1 << X, 1 << X, 1 << R | 1 << W | 1 << X, 1 << W))
    marks = random.choice((1 << A | 1 << D, 1 << A | 1 << D, 1 << A, 0))
    valid = random.random() < 0.95
    return page >> 2 | permissions | marks | valid << V | (user << U)


def _map(random: Random, memory: Storage, code_for_user: bool) -> None:
    """Tables that map the lowest pages, mostly to themselves, and the code for either mode."""
    for table in (_ROOT, _MIDDLE, _LAST):
        memory.view(table, PAGE)[:] = bytes(PAGE)
    memory.write_integer(_ROOT, 8, _MIDDLE >> 2 | 1 << V)
    memory.write_integer(_MIDDLE, 8, _LAST >> 2 | 1 << V)
    for number in range(_PAGES):
        page = PAGE * (number if random.random() < 0.8 else random.randrange(_PAGES + 1))
        memory.write_integer(_LAST + number * 8, 8, _entry(random, page, random.random() < 0.5))
    code = 1 << X | 1 << A | random.getrandbits(1) << W | random.getrandbits(1) << D
    for page, marks in ((_CODE.start, code), (_LAST, 1 << W | 1 << A | 1 << D)):
        for place, user in ((page, code_for_user), (_ALIAS + page, not code_for_user)):
            memory.write_integer(_LAST + place // PAGE * 8, 8, page >> 2 | marks | 1 << V | 1 << R | user << U)


def _status(random: Random, setting: Setting) -> int:
    """FS is seldom off. Below M-mode, what only that can set is as the setting has it."""
    value = random.getrandbits(64) & MSTATUS & ~(1 << Status.MPRV)
    if random.random() < 0.8:
        value |= 1 << Status.FS
    if setting.supervisor != "M":
        fixed = setting.fixed["mstatus"]
        value = value & ~fixed.mask | fixed.value
    return value if RULES["mstatus"](value) else value & ~(3 << Status.MPP)


def _configuration(random: Random, mask: int) -> int:
    value = random.getrandbits(64) & mask
    return value if RULES["menvcfg"](value) else value & ~(3 << 4)


def _prepare(random: Random, state: HartState, memory: Storage, setting: Setting) -> None:
    """Traps of lower modes go to S-mode where that is the supervisor: below it there is nobody else."""
    code_for_user = random.random() < 0.5
    _map(random, memory, code_for_user)
    paged = random.random() < 0.7
    state["satp"] = _SV39 | _ROOT // PAGE if paged else 0
    state["mstatus"] = _status(random, setting)
    state["menvcfg"], state["senvcfg"] = _configuration(random, MENVCFG), _configuration(random, SENVCFG)
    state["mcounteren"], state["scounteren"] = (random.choice((0, 7, 0xFFFF_FFFF)) for _ in range(2))
    supervised = setting.supervisor != "M" or random.random() < 0.5
    state["medeleg"] = _TRAPS_OF_LOWER_MODES if supervised else 0
    state["pmpcfg", 0], state["pmpaddr", 0] = 0x1F, (1 << 54) - 1
    for_user, for_supervisor = (0, _ALIAS) if code_for_user else (_ALIAS, 0)
    if not paged:
        for_user = for_supervisor = 0

    def code() -> int:
        return random.choice(_CODE) & -4

    state["mtvec"], state["mepc"] = code(), code() + random.choice((0, for_user, for_supervisor))
    state["stvec"], state["sepc"] = code() + for_supervisor, code() + random.choice((for_user, for_supervisor))
    here = {Privilege.USER: for_user, Privilege.SUPERVISOR: for_supervisor}.get(Privilege(state["priv"]), 0)
    state["pc"] = code() + here
    for register in (5, 9):  # entries of the last table: any, or those of the code
        state["x", register] = here + _LAST + 8 * random.choice((1, 17, random.randrange(_PAGES)))
    state["x", 6] = _SV39 | _ROOT // PAGE
    for name in ("mscratch", "sscratch", "mcause", "scause", "mtval", "stval"):
        state[name] = random.getrandbits(64)


KIT = Kit(
    embedding=ShadowTables,
    memory=_PAGES * PAGE,
    code=_CODE,
    own=12 * PAGE,
    alignment=PAGE,
    prepare=_prepare,
    preferred=frozenset({"sd", "sw", "amoswap.d", "amoand.d", "c.sd"}),  # what changes tables
    likely={
        "csr": _SUPERVISOR_CSRS * 3 + _COUNTERS * 8 + _MACHINE_CSRS,
        "rs1": (*(0, 5, 9) * 5, 6, *range(32)),  # with 0, counters and other CSRs are only read
        "uimm": (*(0,) * 16, *range(64)),
        "rd": tuple(number for number in range(32) if number not in (5, 6, 9)),
    },
)
