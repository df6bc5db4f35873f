"""The table of control and status registers: what each shows and what a write changes (WARL rules).

Who may access a CSR is checked before (`zicsr.py`). A CSR that is not listed does not exist. Registers of the
hypervisor extension (numbers 0x2xx, 0x6xx), of vectors (vstart, vxsat, vxrm, vcsr, vl, vtype, vlenb) and the fields
VS, V, MPV and GVA of the status registers are absent until those extensions come.
"""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.csr import Csr
from hypernest.isa.hart import Hart, bit
from hypernest.isa.riscv.interrupts import SOFTWARE_WRITABLE, pending, software_writable, time
from hypernest.isa.riscv.pmp import ADDRESS_BITS, LOCKED, MODE, TOR, W
from hypernest.isa.riscv.state import PMP_ENTRIES, REGISTERS, Environment, Interrupt, Status
from hypernest.isa.word import Word, select, word

Read = Callable[[Hart], Word]
Write = Callable[[Hart, Word], None]

ALL = (1 << 64) - 1
SATP_MODES = (0, 8, 9, 10)  # Bare, Sv39, Sv48, Sv57
COUNTERS = range(3, 32)  # the hardware performance counters, which count nothing

CSRS: dict[int, Csr] = {}
_WIDTHS = {register.name: register.width for register in REGISTERS}


def _add(number: int, name: str, read: Read, write: Write | None = None, doc: str = "") -> None:
    if number in CSRS:
        raise ValueError(f"CSR {number:#x} is described twice")
    CSRS[number] = Csr(number, name, read, write, doc)


def _constant(number: int, name: str, value: int, doc: str = "") -> None:
    """A CSR that shows a constant and ignores writes."""
    _add(number, name, lambda h: word(value), None, doc)


def _register(number: int, name: str, mask: int = ALL, doc: str = "") -> None:
    """A CSR that is the state register of its name; bits outside `mask` are read-only zero."""

    def read(h: Hart) -> Word:
        return h.read(name).zext(64)

    def write(h: Hart, value: Word) -> None:
        h.write(name, (value & mask).trunc(_WIDTHS[name]))

    _add(number, name, read, write, doc)


def _replace(old: Word, value: Word, mask: Word | int) -> Word:
    """`old` with the bits of `mask` taken from `value`."""
    return old & ~mask | value & mask


# --- floating point (unprivileged manual, "F") -----------------------------------------------------------------------


def _write_float(h: Hart, fflags: Word, frm: Word) -> None:
    h.write("fflags", fflags)
    h.write("frm", frm)
    h.write("mstatus", h.mstatus | 3 << Status.FS)  # dirty


_add(0x001, "fflags", lambda h: h.fflags.zext(64), lambda h, value: _write_float(h, value.trunc(5), h.frm))
_add(0x002, "frm", lambda h: h.frm.zext(64), lambda h, value: _write_float(h, h.fflags, value.trunc(3)))
_add(
    0x003,
    "fcsr",
    lambda h: h.frm.zext(64) << 5 | h.fflags.zext(64),
    lambda h, value: _write_float(h, value.trunc(5), value.bits(7, 5)),
)

# --- status (3.1.6, 12.1.1) ------------------------------------------------------------------------------------------

_UXL, _SXL, _SD = 2 << 32, 2 << 34, 1 << 63  # 64 bits in U-mode and S-mode; something is dirty
_SSTATUS = 1 << Status.SIE | 1 << Status.SPIE | 1 << Status.SPP | 3 << Status.FS | 1 << Status.SUM | 1 << Status.MXR
MSTATUS = (
    _SSTATUS | 1 << Status.MIE | 1 << Status.MPIE | 3 << Status.MPP | 1 << Status.MPRV
    | 1 << Status.TVM | 1 << Status.TW | 1 << Status.TSR
)  # fmt: skip


def _read_mstatus(h: Hart) -> Word:
    dirty = h.mstatus.bits(Status.FS + 1, Status.FS) == 3
    return h.mstatus | (_UXL | _SXL) | bit(dirty) << 63


def _read_sstatus(h: Hart) -> Word:
    return _read_mstatus(h) & (_SSTATUS | _UXL | _SD)


def _set_status(h: Hart, new: Word) -> None:
    old = h.mstatus
    h.write("mstatus", new)
    if ((old ^ new) & (1 << Status.MXR)) != 0:  # the translation contexts know of SUM and MPRV, not of MXR
        h.flush_translations()


def _write_mstatus(h: Hart, value: Word) -> None:
    reserved = value.bits(Status.MPP + 1, Status.MPP) == 2
    new = _replace(h.mstatus, value, MSTATUS)
    _set_status(h, select(reserved, _replace(new, h.mstatus, 3 << Status.MPP), new))


def _write_sstatus(h: Hart, value: Word) -> None:
    _set_status(h, _replace(h.mstatus, value, _SSTATUS))


_add(0x300, "mstatus", _read_mstatus, _write_mstatus, "writing the reserved MPP 2 leaves MPP as it is")
_add(0x100, "sstatus", _read_sstatus, _write_sstatus)

# --- interrupts (3.1.9, 12.1.3) --------------------------------------------------------------------------------------

INTERRUPTS = sum(1 << number for number in Interrupt)
_SOFTWARE_INTERRUPT = 1 << Interrupt.SUPERVISOR_SOFTWARE

_register(0x303, "mideleg", SOFTWARE_WRITABLE, "supervisor interrupts only")
_register(0x304, "mie", INTERRUPTS)
_add(0x344, "mip", pending, lambda h, value: h.write("mip", _replace(h.mip, value, software_writable(h))))
_add(
    0x104,
    "sie",
    lambda h: h.mie & h.mideleg,
    lambda h, value: h.write("mie", _replace(h.mie, value, h.mideleg)),
    "the delegated bits of mie",
)
_add(
    0x144,
    "sip",
    lambda h: pending(h) & h.mideleg,
    lambda h, value: h.write("mip", _replace(h.mip, value, h.mideleg & _SOFTWARE_INTERRUPT)),
    "the delegated bits of mip; SSIP is writable",
)

# --- traps -----------------------------------------------------------------------------------------------------------

DELEGABLE = 0xB3FF  # all synchronous exceptions but the environment call from M-mode

_register(0x302, "medeleg", DELEGABLE)
for _number, _prefix in [(0x300, "m"), (0x100, "s")]:
    _register(_number | 0x05, f"{_prefix}tvec", ALL ^ 2, "modes direct (0) and vectored (1)")
    _register(_number | 0x40, f"{_prefix}scratch")
    _register(_number | 0x41, f"{_prefix}epc", ALL ^ 1)
    _register(_number | 0x42, f"{_prefix}cause")
    _register(_number | 0x43, f"{_prefix}tval")

# --- environment configuration (3.1.18, 12.1.10) -------------------------------------------------------------------

SENVCFG = 1 | 3 << Environment.CBIE | 1 << Environment.CBCFE | 1 << Environment.CBZE  # bit 0: FIOM
MENVCFG = SENVCFG | 1 << Environment.ADUE | 1 << Environment.STCE


def _configure(old: Word, value: Word, mask: int) -> Word:
    """An environment configuration after a write; the reserved CBIE 2 leaves that field as it is."""
    new = _replace(old, value, mask)
    reserved = value.bits(Environment.CBIE + 1, Environment.CBIE) == 2
    return select(reserved, _replace(new, old, 3 << Environment.CBIE), new)


def _write_menvcfg(h: Hart, value: Word) -> None:
    h.write("menvcfg", _configure(h.menvcfg, value, MENVCFG))
    h.reschedule()  # stimecmp may have come into force


_add(0x30A, "menvcfg", lambda h: h.menvcfg, _write_menvcfg)
_add(0x10A, "senvcfg", lambda h: h.senvcfg, lambda h, v: h.write("senvcfg", _configure(h.senvcfg, v, SENVCFG)))

# --- translation and protection (12.1.11, 3.7) ----------------------------------------------------------------------


def _write_satp(h: Hart, value: Word) -> None:
    mode = value.bits(63, 60)
    supported = word(0, 1)
    for each in SATP_MODES:
        supported = supported | (mode == each)
    if supported & (value != h.satp):
        h.write("satp", value)
        h.flush_translations()


_add(0x180, "satp", lambda h: h.satp, _write_satp, "writes of an unsupported mode change nothing; ASIDs have 16 bits")

_EACH_BYTE = 0x0101_0101_0101_0101


def _pmpcfg(index: int) -> None:
    """Eight entries. Locked ones keep their configuration; write without read, which is reserved, becomes neither."""

    def write(h: Hart, value: Word) -> None:
        old = h.read("pmpcfg", index)
        locked = (old >> LOCKED & _EACH_BYTE) * 0xFF
        legal = value & _EACH_BYTE * 0x9F
        write_only = legal >> W & ~legal & _EACH_BYTE
        h.write("pmpcfg", _replace(legal ^ write_only << W, old, locked), index)
        h.flush_translations()

    _add(0x3A0 + index * 2, f"pmpcfg{index * 2}", lambda h: h.read("pmpcfg", index), write)


def _pmpaddr(index: int) -> None:
    """Locked with its own entry, and with the next one if that is locked and begins here (TOR)."""

    def configuration(h: Hart, entry: int) -> Word:
        return h.read("pmpcfg", entry // 8).bits(entry % 8 * 8 + 7, entry % 8 * 8)

    def write(h: Hart, value: Word) -> None:
        locked = configuration(h, index).bit(LOCKED)
        if index + 1 < PMP_ENTRIES:
            following = configuration(h, index + 1)
            locked = locked | (following.bit(LOCKED) & (following.bits(MODE + 1, MODE) == TOR))
        h.write("pmpaddr", select(locked, h.read("pmpaddr", index), value & ADDRESS_BITS), index)
        h.flush_translations()

    _add(0x3B0 + index, f"pmpaddr{index}", lambda h: h.read("pmpaddr", index), write)


for _number in range(PMP_ENTRIES // 8):
    _pmpcfg(_number)
for _number in range(PMP_ENTRIES):
    _pmpaddr(_number)

# --- time and counters (3.1.10 to 3.1.12, Sstc) ---------------------------------------------------------------------

_register(0x306, "mcounteren")
_register(0x106, "scounteren")


def _write_stimecmp(h: Hart, value: Word) -> None:
    h.write("stimecmp", value)
    h.reschedule()


_add(0x14D, "stimecmp", lambda h: h.stimecmp, _write_stimecmp)
_add(0xC01, "time", time)


def _nanoseconds(h: Hart) -> Word:
    return h.clock()


def _instructions(h: Hart) -> Word:
    return h.retired


# (bit of mcountinhibit, state register, what it counts, counted by the instruction that writes the counter)
_Counter = tuple[int, str, Read, int]
_CYCLE: _Counter = (0, "cycle_offset", _nanoseconds, 0)
_INSTRET: _Counter = (2, "instret_offset", _instructions, 1)
INHIBITABLE = 1 << _CYCLE[0] | 1 << _INSTRET[0]


def _count(h: Hart, counter: _Counter) -> Word:
    number, offset, source, _ = counter
    return h.read(offset) + select(h.mcountinhibit.bit(number), word(0), source(h))


def _set_count(h: Hart, counter: _Counter, value: Word, inhibited: Word) -> None:
    """Make the counter show `value` to the next instruction."""
    _, offset, source, own = counter
    h.write(offset, value - select(inhibited, word(0), source(h) + own))


def _write_mcountinhibit(h: Hart, value: Word) -> None:
    new = (value & INHIBITABLE).trunc(32)
    for counter in (_CYCLE, _INSTRET):
        number, offset, source, own = counter
        inhibited, changes = new.bit(number), (new ^ h.mcountinhibit).bit(number)
        count = _count(h, counter)
        h.write(offset, select(changes, count - select(inhibited, word(0), source(h) + own), h.read(offset)))
    h.write("mcountinhibit", new)


def _counter(number: int, name: str, counter: _Counter) -> None:
    """The machine counter and, 0x100 above, its read-only view for lower modes."""

    def read(h: Hart) -> Word:
        return _count(h, counter)

    def write(h: Hart, value: Word) -> None:
        _set_count(h, counter, value, h.mcountinhibit.bit(counter[0]))

    _add(number, f"m{name}", read, write)
    _add(number + 0x100, name, read)


_counter(0xB00, "cycle", _CYCLE)
_counter(0xB02, "instret", _INSTRET)
_add(0x320, "mcountinhibit", lambda h: h.mcountinhibit.zext(64), _write_mcountinhibit)
for _number in COUNTERS:
    _constant(0xB00 + _number, f"mhpmcounter{_number}", 0)
    _constant(0xC00 + _number, f"hpmcounter{_number}", 0)
    _constant(0x320 + _number, f"mhpmevent{_number}", 0)

# --- identity (3.1.1 to 3.1.5) and debug triggers, of which there are none ------------------------------------------

MISA = 2 << 62 | sum(1 << ord(letter) - ord("A") for letter in "ABCDFIMSU")

_constant(0x301, "misa", MISA, "no extension can be turned off")
_constant(0xF11, "mvendorid", 0, "not a commercial implementation")
_constant(0xF12, "marchid", 0)
_constant(0xF13, "mimpid", 0)
_add(0xF14, "mhartid", lambda h: h.hartid)
_constant(0xF15, "mconfigptr", 0)
_constant(0x7A0, "tselect", 0)
for _number, _name in [(0x7A1, "tdata1"), (0x7A2, "tdata2"), (0x7A3, "tdata3")]:
    _constant(_number, _name, 0)
_constant(0x7A4, "tinfo", 1, "no trigger here")
