"""Zicsr: the instructions that read and write CSRs, and the check of who may."""

from __future__ import annotations

from collections.abc import Callable

from hypernest.isa.hart import Hart, routine
from hypernest.isa.riscv.state import Environment, Interrupt, Privilege, Status
from hypernest.isa.riscv.traps import illegal
from hypernest.isa.row import Extension, Semantics
from hypernest.isa.word import Word, select

READ_ONLY = 3  # bits 11:10 of a CSR number
LAST_FLOAT, STIMECMP, SATP, MIP = 0x003, 0x14D, 0x180, 0x344
COUNTERS = 0xC00  # and the 31 that follow
TIME = 1  # bit of mcounteren, for `time` and, with Sstc, stimecmp

ZICSR = Extension("Zicsr")

Modify = Callable[[Word, Word], Word]


@routine((64, 1), (1,))
def csr_accessible(h: Hart, number: Word, writes: Word) -> Word:
    """May the CSR, if there is one, be accessed now (sections 2.1, 3.1.6.6, 3.1.11, 12.1.5, Sstc)?"""
    privileged = h.priv >= number.bits(9, 8)
    allowed = privileged & ~(writes & (number.bits(11, 10) == READ_ONLY))
    floating, counter = number <= LAST_FLOAT, (number & ~31) == COUNTERS
    if (floating | counter | (number == STIMECMP) | (number == SATP)) == 0:
        return allowed
    status, user, machine = h.mstatus, h.priv == Privilege.USER, h.priv == Privilege.MACHINE
    lent = machine | (((h.mcounteren.zext(64) >> (number & 31)) & 1) != 0)
    lent = lent & (~user | (((h.scounteren.zext(64) >> (number & 31)) & 1) != 0))
    timer = machine | (h.menvcfg.bit(Environment.STCE) & h.mcounteren.bit(TIME))
    allowed = allowed & (~floating | (status.bits(Status.FS + 1, Status.FS) != 0))
    allowed = allowed & (~counter | lent)
    allowed = allowed & ((number != STIMECMP) | timer)
    return allowed & ((number != SATP) | machine | ~status.bit(Status.TVM))


def _check(h: Hart, writes: bool) -> Word:
    """The number of the CSR, which may be accessed; illegal instruction otherwise."""
    number = h.operand("csr")
    if csr_accessible(h, number, int(writes)) == 0:
        raise illegal(h)
    return number


def _devices_only(h: Hart, number: Word) -> Word:
    """What reading mip shows but csrrs and csrrc must not write back: SEIP, where only a device asserts it (3.1.9)."""
    return select(number == MIP, h.lines & ~h.mip & 1 << Interrupt.SUPERVISOR_EXTERNAL, 0)


def _swap(source: Callable[[Hart], Word]) -> Semantics:
    def execute(h: Hart) -> None:
        number, value = _check(h, writes=True), source(h)
        old = h.csr_read(number)
        h.csr_write(number, value)
        h.rd = old

    return execute


def _change(source: Callable[[Hart], Word], field: str, modify: Modify) -> Semantics:
    """Set or clear bits. Where the field says x0 or zero, nothing is written at all."""

    def execute(h: Hart) -> None:
        if h.operand(field) == 0:
            h.rd = h.csr_read(_check(h, writes=False))
            return
        number, mask = _check(h, writes=True), source(h)
        old = h.csr_read(number)
        h.csr_write(number, modify(old & ~_devices_only(h, number), mask))
        h.rd = old

    return execute


def _rs1(h: Hart) -> Word:
    return h.rs1


def _uimm(h: Hart) -> Word:
    return h.uimm


def _set(old: Word, mask: Word) -> Word:
    return old | mask


def _clear(old: Word, mask: Word) -> Word:
    return old & ~mask


for _suffix, _field, _encoded, _high, _source in [
    ("", "rs1", "rs1", "0", _rs1),
    ("i", "uimm", "uimm[4:0]", "1", _uimm),
]:
    for _name, _low, _semantics in [
        ("csrrw", "01", _swap(_source)),
        ("csrrs", "10", _change(_source, _field, _set)),
        ("csrrc", "11", _change(_source, _field, _clear)),
    ]:
        ZICSR.add(
            f"{_name}{_suffix} rd, csr, {_field}", f"csr {_encoded} {_high}{_low} rd 1110011", _semantics, system=True
        )
