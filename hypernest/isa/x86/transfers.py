"""Far transfers: CALL, JMP and RET between segments, INT and IRET, and the entry of exception handlers.

What they lead to is found by routines that check everything as data and hand back the first fault, in the order of the
manual's pseudo-code (volume 2, CALL, JMP, RET, INT n, IRET; volume 3, chapters 5 and 6). Call gates copy no parameters,
whatever their count says. Transfers to a task or to virtual-8086 mode are operand faults.
"""

from __future__ import annotations

from hypernest.isa.hart import Hart, Trap, routine
from hypernest.isa.row import Extension
from hypernest.isa.word import Word, select, word
from hypernest.isa.x86 import flags
from hypernest.isa.x86.descriptors import Descriptor, System, cpl, error_code, find, is_null, read_linear
from hypernest.isa.x86.encoding import FORMAT, OFFSET, SELECTOR, opcode
from hypernest.isa.x86.faults import EXTERNAL, IN_IDT, WITH_ERROR_CODE, Cause, Checks, raise_fault
from hypernest.isa.x86.segments import Segment, peek, push, segment, store_frame, write_segment
from hypernest.isa.x86.state import DATA_SEGMENTS, ESP, Flag, Rights

TRANSFERS = Extension("transfers", FORMAT)

_CAUSES = (Cause.PRIVILEGE, Cause.OPERAND_NOT_PRESENT, Cause.OPERAND_PROTECTION)


# --- where a far pointer leads ---------------------------------------------------------------------------------------


@routine((16, 32, 1), (16, 16, 16, 32, 32, 32, 16, 1))
def far_target(h: Hart, selector: Word, offset: Word, call: Word) -> tuple[Word, ...]:
    """Where CALL (`call` 1) or JMP to a far pointer leads.

    (cause, error code; the new CS: selector, base, limit; the new EIP; rights; 1 if the privilege level becomes a more
    privileged one, so that the stack changes).
    """
    level = cpl(h)
    first, exists = find(h, selector)
    gate = first.is_system(System.CALL_GATE)
    behind, found = find(h, first.target_selector)
    name = select(gate, first.target_selector, selector)
    code = Descriptor(select(gate, behind.raw, first.raw))
    inward = gate & call & ~code.conforming & (code.dpl < level)
    checks = Checks()
    checks.fault(is_null(selector), Cause.OPERAND_PROTECTION)
    checks.fault(~exists | ~(first.code | gate), Cause.OPERAND_PROTECTION, error_code(selector))
    through = (first.dpl < level) | (first.dpl < selector.bits(1, 0))
    checks.fault(gate & through, Cause.PRIVILEGE, error_code(selector))
    checks.fault(gate & ~first.present, Cause.OPERAND_NOT_PRESENT, error_code(selector))
    checks.fault(gate & is_null(name), Cause.OPERAND_PROTECTION)
    checks.fault(gate & ~found | ~code.code, Cause.OPERAND_PROTECTION, error_code(name))
    outward = code.dpl > level
    direct = ~gate & (selector.bits(1, 0) > level)
    checks.fault(
        outward | ~code.conforming & (direct | (code.dpl != level) & ~inward), Cause.PRIVILEGE, error_code(name)
    )
    checks.fault(~code.present, Cause.OPERAND_NOT_PRESENT, error_code(name))
    new = name.insert(0, select(inward, code.dpl, level))
    target = select(gate, first.target_offset, offset)
    return *checks.first(), new, code.base, code.limit, target, code.rights, inward


def _far(h: Hart, call: bool) -> tuple[Segment, Word, Word]:
    """(new CS, new EIP, does the stack change) of the far pointer in the instruction. Raises its faults."""
    selector, offset = h.operand("sel").trunc(16), h.uimm.trunc(32)
    cause, error, name, base, limit, target, rights, inward = far_target(h, selector, offset, int(call))
    raise_fault(cause, error, *_CAUSES)
    return Segment(name, base, limit, rights), target, inward


def _within(code: Segment, target: Word) -> None:
    """A memory trap if an entry point is outside its segment."""
    if target > code.limit:
        raise Trap(Cause.MEMORY_SEGMENT)


@routine((2,), (16, 16, 16, 32, 32, 32, 16))
def inner_stack(h: Hart, level: Word) -> tuple[Word, ...]:
    """(cause, error code; selector, ESP, base, limit, rights) of the stack that the TSS names for a level (7.2.1)."""
    place = level.zext(32) << 3
    esp = read_linear(h, h.tr_base + place + 4, 32)
    selector = read_linear(h, h.tr_base + place + 8, 16)
    descriptor, exists = find(h, selector)
    exact = (selector.bits(1, 0) == level) & (descriptor.dpl == level)
    named = h.tr_rights.bit(Rights.PRESENT) & (place + 9 <= h.tr_limit)
    checks = Checks()
    checks.fault(~named, Cause.OPERAND_TSS, error_code(h.tr))
    checks.fault(is_null(selector) | ~exists | ~exact | ~descriptor.writable, Cause.OPERAND_TSS, error_code(selector))
    checks.fault(~descriptor.present, Cause.OPERAND_STACK, error_code(selector))
    return *checks.first(), selector, esp, descriptor.base, descriptor.limit, descriptor.rights


def _inner(h: Hart, code: Segment) -> tuple[Segment, Word]:
    """(new SS, new ESP) for a handler or procedure in `code`. Raises its faults."""
    cause, error, name, esp, base, limit, rights = inner_stack(h, code.selector.bits(1, 0))
    raise_fault(cause, error, Cause.OPERAND_STACK, Cause.OPERAND_TSS)
    return Segment(name, base, limit, rights), esp


def _push_inner(h: Hart, stack: Segment, esp: Word, values: tuple[Word, ...]) -> None:
    """Push on a new stack and make it the current one, or raise its memory trap. Then nothing may trap any more."""
    size = 4 * len(values)
    if stack.holds(esp - size, size) == 0:
        raise Trap(Cause.MEMORY_STACK, error_code(stack.selector).zext(64))
    store_frame(h, stack.base, esp, values)
    write_segment(h, "ss", stack)
    h.write("r", esp - size, ESP)


def _here(h: Hart) -> tuple[Word, Word]:
    """CS and the address of the next instruction, 32 bits each."""
    return h.cs.zext(32), h.next_pc.trunc(32)


def _stack_here(h: Hart) -> tuple[Word, Word]:
    """SS and ESP, 32 bits each."""
    return h.ss.zext(32), h.read("r", ESP)


@TRANSFERS.row("jmp.far sel, uimm", f"{opcode(0xEA)} {OFFSET} {SELECTOR}", system=True)
def jmp_far(h: Hart) -> None:
    code, target, _ = _far(h, call=False)
    _within(code, target)
    write_segment(h, "cs", code)
    h.jump(target.zext(64))


@TRANSFERS.row("call.far sel, uimm", f"{opcode(0x9A)} {OFFSET} {SELECTOR}", system=True)
def call_far(h: Hart) -> None:
    code, target, inward = _far(h, call=True)
    if inward:
        stack, esp = _inner(h, code)
        _within(code, target)
        _push_inner(h, stack, esp, _stack_here(h) + _here(h))
    else:
        _within(code, target)
        push(h, *_here(h))
    write_segment(h, "cs", code)
    h.jump(target.zext(64))


# --- interrupts and exceptions -------------------------------------------------------------------------------------


@routine((8, 1), (16, 16, 16, 32, 32, 32, 16, 1, 1))
def handler(h: Hart, vector: Word, software: Word) -> tuple[Word, ...]:
    """What the IDT says about a vector, for INT n (`software` 1) or an exception.

    (cause, error code; CS of the handler: selector, base, limit; its EIP; rights; 1 if the stack changes; 1 if
    interrupts go off).
    """
    level = cpl(h)
    place = vector.zext(32) << 3
    gate = Descriptor(read_linear(h, h.idtr_base + place, 64))
    name = gate.target_selector
    code, found = find(h, name)
    inward = ~code.conforming & (code.dpl < level)
    external = select(software, word(0, 16), EXTERNAL)
    entry, target = vector.zext(16) << 3 | IN_IDT | external, error_code(name) | external
    checks = Checks()
    is_gate = gate.is_system(System.INTERRUPT_GATE, System.TRAP_GATE)
    checks.fault((place + 7 > h.idtr_limit.zext(32)) | ~is_gate, Cause.OPERAND_PROTECTION, entry)
    checks.fault(software & (gate.dpl < level), Cause.PRIVILEGE, entry)
    checks.fault(~gate.present, Cause.OPERAND_NOT_PRESENT, entry)
    checks.fault(is_null(name), Cause.OPERAND_PROTECTION, external)
    checks.fault(~found | ~code.code, Cause.OPERAND_PROTECTION, target)
    checks.fault(code.dpl > level, Cause.PRIVILEGE, target)
    checks.fault(~code.present, Cause.OPERAND_NOT_PRESENT, target)
    new = name.insert(0, select(inward, code.dpl, level))
    off = gate.is_system(System.INTERRUPT_GATE)
    return *checks.first(), new, code.base, code.limit, gate.target_offset, code.rights, inward, off


def _enter(h: Hart, interrupts_off: Word) -> None:
    """What entering a handler does to EFLAGS."""
    cleared = 1 << Flag.TF | 1 << Flag.NT | 1 << Flag.RF | 1 << Flag.VM
    h.write("eflags", h.eflags & ~cleared & ~select(interrupts_off, word(1 << Flag.IF, 32), 0))


def _interrupt(h: Hart, vector: Word) -> None:
    cause, error, name, base, limit, target, rights, inward, off = handler(h, vector, 1)
    raise_fault(cause, error, *_CAUSES)
    code, frame = Segment(name, base, limit, rights), (h.eflags, *_here(h))
    if inward:
        stack, esp = _inner(h, code)
        _within(code, target)
        _push_inner(h, stack, esp, _stack_here(h) + frame)
    else:
        _within(code, target)
        push(h, *frame)
    _enter(h, off)
    write_segment(h, "cs", code)
    h.jump(target.zext(64))


@TRANSFERS.row("int uimm", f"{opcode(0xCD)} uimm[7:0]", system=True)
def int_n(h: Hart) -> None:
    """A software interrupt is the instruction's own work; it traps only if the gate does not let it through."""
    _interrupt(h, h.uimm.trunc(8))


@TRANSFERS.row("int3", opcode(0xCC), system=True)
def int3(h: Hart) -> None:
    _interrupt(h, word(3, 8))


@TRANSFERS.row("into", opcode(0xCE), system=True)
def into(h: Hart) -> None:
    if h.eflags.bit(Flag.OF):
        _interrupt(h, word(4, 8))


@routine((64, 64))
def take_trap(h: Hart, cause: Word, value: Word) -> None:
    """Enter the handler of an exception of the instruction at pc, with `value` as its error code if it has one.

    Where the processor would raise a second exception because the first cannot be delivered, and at last shut down,
    this one shuts down at once: `shutdown` is set and nothing else changes.
    """
    vector = cause.trunc(8)
    problem, _, name, base, limit, target, rights, inward, off = handler(h, vector, 0)
    code, current = Segment(name, base, limit, rights), segment(h, "ss")
    no_stack, _, ss, esp, ss_base, ss_limit, ss_rights = inner_stack(h, name.bits(1, 0))
    inner = Segment(ss, ss_base, ss_limit, ss_rights)
    base = select(inward, inner.base, current.base)
    top = select(inward, esp, h.read("r", ESP))
    has_code = word(sum(1 << each for each in WITH_ERROR_CODE), 32) >> vector.zext(32) & 1
    size = (select(inward, word(20, 32), 12)) + (has_code << 2)
    bottom = top - size
    room = select(inward, inner.holds(bottom, size), current.writable & current.holds(bottom, size))
    deliverable = (problem == 0) & (~inward | (no_stack == 0)) & (target <= limit) & room
    if deliverable == 0:
        h.write("shutdown", word(1, 1))
        h.wait()
        return
    frame = (h.eflags | 1 << Flag.RF, h.cs.zext(32), h.pc.trunc(32))
    if inward:
        store_frame(h, base, top, _stack_here(h))
        write_segment(h, "ss", inner)
    store_frame(h, base, bottom + size - select(inward, word(8, 32), 0), frame)
    if has_code:
        store_frame(h, base, bottom + 4, (value.trunc(32),))
    h.write("r", bottom, ESP)
    _enter(h, off)
    write_segment(h, "cs", code)
    h.write("pc", target.zext(64))


# --- returns -------------------------------------------------------------------------------------------------------


@routine((16,), (16, 16, 32, 32, 16))
def return_target(h: Hart, selector: Word) -> tuple[Word, ...]:
    """(cause, error code; base, limit, rights) of returning to a CS, of the same or a less privileged level."""
    code, exists = find(h, selector)
    level = selector.bits(1, 0)
    checks = Checks()
    checks.fault(is_null(selector) | ~exists | ~code.code, Cause.OPERAND_PROTECTION, error_code(selector))
    allowed = select(code.conforming, code.dpl <= level, code.dpl == level)
    checks.fault((level < cpl(h)) | ~allowed, Cause.PRIVILEGE, error_code(selector))
    checks.fault(~code.present, Cause.OPERAND_NOT_PRESENT, error_code(selector))
    return *checks.first(), code.base, code.limit, code.rights


@routine((16, 2), (16, 16, 32, 32, 16))
def return_stack(h: Hart, selector: Word, level: Word) -> tuple[Word, ...]:
    """(cause, error code; base, limit, rights) of the SS that goes with a return to a less privileged level."""
    descriptor, exists = find(h, selector)
    checks = Checks()
    checks.fault(is_null(selector) | ~exists | ~descriptor.writable, Cause.OPERAND_PROTECTION, error_code(selector))
    exact = (selector.bits(1, 0) == level) & (descriptor.dpl == level)
    checks.fault(~exact, Cause.PRIVILEGE, error_code(selector))
    checks.fault(~descriptor.present, Cause.OPERAND_STACK, error_code(selector))
    return *checks.first(), descriptor.base, descriptor.limit, descriptor.rights


def _withdraw(h: Hart, level: Word) -> None:
    """Data segments that a less privileged level may not keep become null."""
    for name in DATA_SEGMENTS:
        held = segment(h, name)
        code, conforming = held.rights.bit(Rights.CODE), held.rights.bit(Rights.EXPAND_DOWN)
        keeps = (held.rights.bits(Rights.DPL + 1, Rights.DPL) >= level) | code & conforming
        parts = (held.selector, held.base, held.limit, held.rights)
        write_segment(h, name, Segment(*(select(keeps, part, 0) for part in parts)))


def _return(h: Hart, values: tuple[Word, ...]) -> None:
    """Return to the EIP and CS that the stack's top `values` begin with; SS:ESP may follow them.

    Everything but EFLAGS is written. Raises the faults of the return.
    """
    selector, target, frame = values[1].trunc(16), values[0], len(values)
    level = selector.bits(1, 0)
    cause, error, base, limit, rights = return_target(h, selector)
    raise_fault(cause, error, *_CAUSES)
    code = Segment(selector, base, limit, rights)
    if level > cpl(h):
        esp, ss = peek(h, frame + 2)[frame:]
        cause, error, base, limit, rights = return_stack(h, ss.trunc(16), level)
        raise_fault(cause, error, Cause.PRIVILEGE, Cause.OPERAND_STACK, Cause.OPERAND_PROTECTION)
        _within(code, target)
        write_segment(h, "ss", Segment(ss.trunc(16), base, limit, rights))
        _withdraw(h, level)
        h.write("r", esp, ESP)
    else:
        _within(code, target)
        h.write("r", h.read("r", ESP) + 4 * frame, ESP)
    write_segment(h, "cs", code)
    h.jump(target.zext(64))


@TRANSFERS.row("ret.far", opcode(0xCB), system=True)
def ret_far(h: Hart) -> None:
    _return(h, peek(h, 2))


@TRANSFERS.row("iret", opcode(0xCF), system=True)
def iret(h: Hart) -> None:
    """A return from a nested task, or to virtual-8086 mode, is an operand fault."""
    if h.eflags.bit(Flag.NT):
        raise Trap(Cause.OPERAND_TSS, error_code(h.tr).zext(64))
    values = peek(h, 3)
    if values[2].bit(Flag.VM) & (cpl(h) == 0):
        raise Trap(Cause.OPERAND_PROTECTION)
    changed = flags.returned(h, values[2])
    _return(h, values)
    h.write("eflags", changed)
