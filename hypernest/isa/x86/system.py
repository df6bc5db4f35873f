"""Descriptor-table, control, debug and model-specific registers, EFLAGS, halting, input and output (volume 2).

I/O ports are at the physical addresses above the 4 GiB of memory, port 0 at `PORTS`. Without the TSS's I/O permission
bitmap, which is left out, ports are for those whose CPL is within IOPL: so it is on a processor whose TSS has none
(volume 1, section 19.5.2), and a monitor grants none.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, concat, select, word
from hypernest.isa.x86 import flags
from hypernest.isa.x86.descriptors import Descriptor, System, cpl, error_code, find, is_null
from hypernest.isa.x86.encoding import FORMAT, effective_address, extension, memory, opcode, set_dst, src
from hypernest.isa.x86.faults import Cause, Checks, raise_fault, require
from hypernest.isa.x86.segments import Segment, peek, push, table_register, write_segment
from hypernest.isa.x86.state import CR0, CR4, EFLAGS, ESP, Cr0, Cr4, Flag

SYSTEM = Extension("system", FORMAT)

PORTS = 1 << 32
_GENERAL_DETECT = 13  # bit of DR7


def _supervisor(h: Hart) -> None:
    """General protection unless CPL is 0."""
    require(cpl(h) == 0)


def _unless_guarded(h: Hart) -> None:
    """User-mode instruction prevention: with CR4.UMIP set the instruction is the supervisor's (volume 3, 2.5)."""
    require(~h.cr4.bit(Cr4.UMIP) | (cpl(h) == 0))


# --- descriptor-table registers ------------------------------------------------------------------------------------


def _load_table(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        _supervisor(h)
        value = h.load(effective_address(h), 48)
        h.write(f"{name}_limit", value.bits(15, 0))
        h.write(f"{name}_base", value.bits(47, 16))

    return execute


def _store_table(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        _unless_guarded(h)
        h.store(effective_address(h), table_register(h.read(f"{name}_base"), h.read(f"{name}_limit")))

    return execute


for number, name in enumerate(("gdt", "idt")):
    SYSTEM.add(f"s{name} imm(base)", f"{opcode(0x0F, 0x01)} {memory(extension(number))}", _store_table(f"{name}r"))
    SYSTEM.add(f"l{name} imm(base)", f"{opcode(0x0F, 0x01)} {memory(extension(number + 2))}",
               _load_table(f"{name}r"), system=True)  # fmt: skip


@SYSTEM.row("sldt dst", f"{opcode(0x0F, 0x00)} 11 {extension(0)} dst")
def sldt(h: Hart) -> None:
    _unless_guarded(h)
    set_dst(h, h.ldtr.zext(32))


@SYSTEM.row("str dst", f"{opcode(0x0F, 0x00)} 11 {extension(1)} dst")
def store_task_register(h: Hart) -> None:
    _unless_guarded(h)
    set_dst(h, h.tr.zext(32))


def _system_segment(h: Hart, selector: Word, kind: System) -> Descriptor:
    """The descriptor that LLDT or LTR loads. Raises the fault of doing so."""
    descriptor, exists = find(h, selector)
    wrong = selector.bit(2) | is_null(selector) | ~exists | ~descriptor.is_system(kind)
    checks = Checks()
    checks.fault(wrong, Cause.OPERAND_PROTECTION, error_code(selector))
    checks.fault(~descriptor.present, Cause.OPERAND_NOT_PRESENT, error_code(selector))
    raise_fault(*checks.first(), Cause.OPERAND_NOT_PRESENT, Cause.OPERAND_PROTECTION)
    return descriptor


@SYSTEM.row("lldt src", f"{opcode(0x0F, 0x00)} 11 {extension(2)} src", system=True)
def lldt(h: Hart) -> None:
    """A null selector says that there is no local table."""
    _supervisor(h)
    selector = src(h).trunc(16)
    if is_null(selector):
        write_segment(h, "ldtr", Segment(selector, word(0, 32), word(0, 32), word(0, 16)))
        return
    loaded = _system_segment(h, selector, System.LDT)
    write_segment(h, "ldtr", Segment(selector, loaded.base, loaded.limit, loaded.rights))


@SYSTEM.row("ltr src", f"{opcode(0x0F, 0x00)} 11 {extension(3)} src", system=True)
def ltr(h: Hart) -> None:
    """Marks the descriptor busy."""
    _supervisor(h)
    selector = src(h).trunc(16)
    loaded = _system_segment(h, selector, System.TSS_AVAILABLE)
    busy = loaded.rights | 2
    h.physical_store((h.gdtr_base + (selector & 0xFFF8).zext(32) + 5).zext(64), busy.trunc(8))
    write_segment(h, "tr", Segment(selector, loaded.base, loaded.limit, busy))


# --- control registers ---------------------------------------------------------------------------------------------


@SYSTEM.row("smsw dst", f"{opcode(0x0F, 0x01)} 11 {extension(4)} dst")
def smsw(h: Hart) -> None:
    """All of CR0, as processors do; the manual promises the lower half."""
    _unless_guarded(h)
    set_dst(h, h.cr0)


@SYSTEM.row("lmsw src", f"{opcode(0x0F, 0x01)} 11 {extension(6)} src", system=True)
def lmsw(h: Hart) -> None:
    """Sets MP, EM and TS; PE can be set but not cleared."""
    _supervisor(h)
    h.write("cr0", h.cr0 & ~0xE | src(h) & 0xE)


@SYSTEM.row("clts", opcode(0x0F, 0x06), system=True)
def clts(h: Hart) -> None:
    _supervisor(h)
    h.write("cr0", h.cr0 & ~(1 << Cr0.TS))


def _to_cr0(h: Hart) -> None:
    """Leaving protected mode is an operand fault here; paging without it, and NW without CD, are on any processor."""
    _supervisor(h)
    value = src(h)
    if (~value.bit(Cr0.PE) | value.bit(Cr0.NW) & ~value.bit(Cr0.CD)) != 0:
        raise Trap(Cause.OPERAND_PROTECTION)
    h.write("cr0", value & CR0 | 1 << Cr0.ET)
    h.flush_translations()


def _to_cr2(h: Hart) -> None:
    _supervisor(h)
    h.write("cr2", src(h))


def _to_cr3(h: Hart) -> None:
    _supervisor(h)
    h.write("cr3", src(h))
    h.flush_translations()


def _to_cr4(h: Hart) -> None:
    _supervisor(h)
    value = src(h)
    if (value & ~CR4) != 0:
        raise Trap(Cause.OPERAND_PROTECTION)
    h.write("cr4", value)
    h.flush_translations()


def _from_control(name: str) -> Semantics:
    def execute(h: Hart) -> None:
        _supervisor(h)
        set_dst(h, h.read(name))

    return execute


for number, write in ((0, _to_cr0), (2, _to_cr2), (3, _to_cr3), (4, _to_cr4)):
    SYSTEM.add(f"mov.to.cr{number} src", f"{opcode(0x0F, 0x22)} 11 {extension(number)} src", write, system=True)
    SYSTEM.add(f"mov.from.cr{number} dst", f"{opcode(0x0F, 0x20)} 11 {extension(number)} dst",
               _from_control(f"cr{number}"))  # fmt: skip


# --- debug and model-specific registers ----------------------------------------------------------------------------


def _debug_register(h: Hart) -> Word:
    """The number of the debug register of the instruction; the general-detect exception if DR7.GD guards them."""
    _supervisor(h)
    if h.read("dr", 7).bit(_GENERAL_DETECT):
        raise Trap(Cause.DEBUG_REGISTER_ACCESS)
    return h.operand("number")


@SYSTEM.row("mov.to.dr number, src", f"{opcode(0x0F, 0x23)} 11 number[2:0]!=4,5 src", system=True)
def mov_to_dr(h: Hart) -> None:
    h.write("dr", src(h), _debug_register(h))


@SYSTEM.row("mov.from.dr dst, number", f"{opcode(0x0F, 0x21)} 11 number[2:0]!=4,5 dst")
def mov_from_dr(h: Hart) -> None:
    set_dst(h, h.read("dr", _debug_register(h)))


_SYSENTER_CS = 0x174  # the first of three


def _model_specific(h: Hart) -> Word:
    """The index into `sysenter` of the register that ECX names; no others exist."""
    _supervisor(h)
    index = h.read("r", 1) - _SYSENTER_CS
    if index > 2:
        raise Trap(Cause.OPERAND_PROTECTION)
    return index.zext(64)


@SYSTEM.row("rdmsr", opcode(0x0F, 0x32))
def rdmsr(h: Hart) -> None:
    value = h.read("sysenter", _model_specific(h))
    h.write("r", value.bits(31, 0), 0)
    h.write("r", value.bits(63, 32), 2)


@SYSTEM.row("wrmsr", opcode(0x0F, 0x30), system=True)
def wrmsr(h: Hart) -> None:
    h.write("sysenter", concat(h.read("r", 2), h.read("r", 0)), _model_specific(h))


@SYSTEM.row("rdtsc", opcode(0x0F, 0x31))
def rdtsc(h: Hart) -> None:
    require(~h.cr4.bit(Cr4.TSD) | (cpl(h) == 0))
    time = h.clock()
    h.write("r", time.bits(31, 0), 0)
    h.write("r", time.bits(63, 32), 2)


# --- caches, translations, halting: only the privilege check shows ---------------------------------------------------


@SYSTEM.row("invlpg imm(base)", f"{opcode(0x0F, 0x01)} {memory(extension(7))}", system=True)
def invlpg(h: Hart) -> None:
    """The address is not accessed."""
    _supervisor(h)
    h.flush_translation(effective_address(h))


SYSTEM.add("invd", opcode(0x0F, 0x08), _supervisor, system=True)
SYSTEM.add("wbinvd", opcode(0x0F, 0x09), _supervisor, system=True)


@SYSTEM.row("hlt", opcode(0xF4), system=True)
def hlt(h: Hart) -> None:
    _supervisor(h)
    h.wait()


# --- flags -----------------------------------------------------------------------------------------------------------


@SYSTEM.row("pushf", opcode(0x9C))
def pushf(h: Hart) -> None:
    """RF and VM read as 0."""
    push(h, h.eflags & (EFLAGS & ~(1 << Flag.RF | 1 << Flag.VM)))


@SYSTEM.row("popf", opcode(0x9D), system=True)
def popf(h: Hart) -> None:
    (value,) = peek(h, 1)
    h.write("eflags", flags.popped(h, value))
    h.write("r", h.read("r", ESP) + 4, ESP)


def _virtual_interrupts(h: Hart) -> Word:
    """Does the interrupt flag of this program mean VIF? General protection if it has none to change (20.4)."""
    within = cpl(h) <= flags.iopl(h)
    virtual = ~within & (cpl(h) == 3) & h.cr4.bit(Cr4.PVI)
    require(within | virtual)
    return virtual


def _set_interrupts(h: Hart, virtual: Word, value: int) -> None:
    bit = select(virtual, word(1 << Flag.VIF, 32), 1 << Flag.IF)
    h.write("eflags", h.eflags | bit if value else h.eflags & ~bit)


@SYSTEM.row("cli", opcode(0xFA), system=True)
def cli(h: Hart) -> None:
    _set_interrupts(h, _virtual_interrupts(h), 0)


@SYSTEM.row("sti", opcode(0xFB), system=True)
def sti(h: Hart) -> None:
    virtual = _virtual_interrupts(h)
    require(~virtual | ~h.eflags.bit(Flag.VIP))
    _set_interrupts(h, virtual, 1)


# --- ports -----------------------------------------------------------------------------------------------------------


def _port(h: Hart) -> Word:
    """The physical address of the port in DX."""
    require(cpl(h) <= flags.iopl(h))
    return h.read("r", 2).trunc(16).zext(64) + PORTS


@SYSTEM.row("in", opcode(0xED))
def port_in(h: Hart) -> None:
    """EAX from the port in DX; all ones where nothing answers."""
    value, ok = h.physical_load(_port(h), 32)
    h.write("r", select(ok, value, -1), 0)


@SYSTEM.row("out", opcode(0xEF))
def port_out(h: Hart) -> None:
    h.physical_store(_port(h), h.read("r", 0))
