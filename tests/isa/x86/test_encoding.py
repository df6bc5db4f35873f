"""Encodings against what GNU as (binutils, `as --32`) makes of the same instructions, and what a row can hold."""

from __future__ import annotations

import pytest

from hypernest.isa.hart import Routine
from hypernest.isa.layout import ENGINE_REGISTERS
from hypernest.isa.row import Row
from hypernest.isa.trace import Tracer
from hypernest.isa.x86 import descriptors, segments, transfers
from hypernest.isa.x86.x86 import X86, fetch, instruction_length
from tests.isa.sampling import samples
from tests.isa.x86.bench import DECODER

# name, what the assembler was given (Intel's syntax), fields, bytes
ASSEMBLED: list[tuple[str, str, dict[str, int], str]] = [
    ("nop", "nop", {}, "90"),
    ("lahf", "lahf", {}, "9f"),
    ("sahf", "sahf", {}, "9e"),
    ("cpuid", "cpuid", {}, "0fa2"),
    ("invd", "invd", {}, "0f08"),
    ("wbinvd", "wbinvd", {}, "0f09"),
    ("hlt", "hlt", {}, "f4"),
    ("pushf", "pushfd", {}, "9c"),
    ("popf", "popfd", {}, "9d"),
    ("cli", "cli", {}, "fa"),
    ("sti", "sti", {}, "fb"),
    ("rdmsr", "rdmsr", {}, "0f32"),
    ("wrmsr", "wrmsr", {}, "0f30"),
    ("rdtsc", "rdtsc", {}, "0f31"),
    ("int3", "int3", {}, "cc"),
    ("into", "into", {}, "ce"),
    ("clts", "clts", {}, "0f06"),
    ("iret", "iretd", {}, "cf"),
    ("ret.near", "ret", {}, "c3"),
    ("ret.far", "retf", {}, "cb"),
    ("in", "in eax,dx", {}, "ed"),
    ("out", "out dx,eax", {}, "ef"),
    ("mov", "mov ebx, edi", {"dst": 3, "src": 7}, "89fb"),
    ("add", "add ebx, edi", {"dst": 3, "src": 7}, "01fb"),
    ("and", "and ebx, edi", {"dst": 3, "src": 7}, "21fb"),
    ("sub", "sub ebx, edi", {"dst": 3, "src": 7}, "29fb"),
    ("xor", "xor ebx, edi", {"dst": 3, "src": 7}, "31fb"),
    ("cmp", "cmp ebx, edi", {"dst": 3, "src": 7}, "39fb"),
    ("mov.imm", "mov ebp, 0x89abcdef", {"dst": 5, "imm": -1985229329}, "bdefcdab89"),
    ("mov.load", "mov ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "8b8e78563412"),
    ("mov.store", "mov [esi+0x12345678], ecx", {"src": 1, "base": 6, "imm": 305419896}, "898e78563412"),
    ("lea", "lea ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "8d8e78563412"),
    ("push", "push edi", {"src": 7}, "57"),
    ("pop", "pop edi", {"dst": 7}, "5f"),
    ("inc", "inc edi", {"dst": 7}, "47"),
    ("arpl", "arpl bx, di", {"dst": 3, "src": 7}, "63fb"),
    ("jb", "jb .+0x12345678", {"imm": 305419890}, "0f8272563412"),
    ("je", "je .+0x12345678", {"imm": 305419890}, "0f8472563412"),
    ("jne", "jne .+0x12345678", {"imm": 305419890}, "0f8572563412"),
    ("jl", "jl .+0x12345678", {"imm": 305419890}, "0f8c72563412"),
    ("jmp.near", "jmp .+0x12345678", {"imm": 305419891}, "e973563412"),
    ("call.near", "call .+0x12345678", {"imm": 305419891}, "e873563412"),
    ("jmp.far", "jmp 0x9abc:0x12345678", {"sel": 39612, "uimm": 305419896}, "ea78563412bc9a"),
    ("call.far", "call 0x9abc:0x12345678", {"sel": 39612, "uimm": 305419896}, "9a78563412bc9a"),
    ("int", "int 0x85", {"uimm": 133}, "cd85"),
    ("mov.from.es", "mov ebp, es", {"dst": 5}, "8cc5"),
    ("push.es", "push es", {}, "06"),
    ("mov.to.es", "mov es, ebp", {"src": 5}, "8ec5"),
    ("pop.es", "pop es", {}, "07"),
    ("les", "les ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "c48e78563412"),
    ("mov.from.cs", "mov ebp, cs", {"dst": 5}, "8ccd"),
    ("push.cs", "push cs", {}, "0e"),
    ("mov.from.ss", "mov ebp, ss", {"dst": 5}, "8cd5"),
    ("push.ss", "push ss", {}, "16"),
    ("mov.to.ss", "mov ss, ebp", {"src": 5}, "8ed5"),
    ("pop.ss", "pop ss", {}, "17"),
    ("lss", "lss ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "0fb28e78563412"),
    ("mov.from.ds", "mov ebp, ds", {"dst": 5}, "8cdd"),
    ("push.ds", "push ds", {}, "1e"),
    ("mov.to.ds", "mov ds, ebp", {"src": 5}, "8edd"),
    ("pop.ds", "pop ds", {}, "1f"),
    ("lds", "lds ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "c58e78563412"),
    ("mov.from.fs", "mov ebp, fs", {"dst": 5}, "8ce5"),
    ("push.fs", "push fs", {}, "0fa0"),
    ("mov.to.fs", "mov fs, ebp", {"src": 5}, "8ee5"),
    ("pop.fs", "pop fs", {}, "0fa1"),
    ("lfs", "lfs ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "0fb48e78563412"),
    ("mov.from.gs", "mov ebp, gs", {"dst": 5}, "8ced"),
    ("push.gs", "push gs", {}, "0fa8"),
    ("mov.to.gs", "mov gs, ebp", {"src": 5}, "8eed"),
    ("pop.gs", "pop gs", {}, "0fa9"),
    ("lgs", "lgs ecx, [esi+0x12345678]", {"dst": 1, "base": 6, "imm": 305419896}, "0fb58e78563412"),
    ("lar", "lar ebx, edi", {"dst": 3, "src": 7}, "0f02df"),
    ("lsl", "lsl ebx, edi", {"dst": 3, "src": 7}, "0f03df"),
    ("verr", "verr di", {"src": 7}, "0f00e7"),
    ("verw", "verw di", {"src": 7}, "0f00ef"),
    ("lldt", "lldt di", {"src": 7}, "0f00d7"),
    ("ltr", "ltr di", {"src": 7}, "0f00df"),
    ("lmsw", "lmsw di", {"src": 7}, "0f01f7"),
    ("sldt", "sldt edi", {"dst": 7}, "0f00c7"),
    ("str", "str edi", {"dst": 7}, "0f00cf"),
    ("smsw", "smsw edi", {"dst": 7}, "0f01e7"),
    ("sgdt", "sgdt [esi+0x12345678]", {"base": 6, "imm": 305419896}, "0f018678563412"),
    ("sidt", "sidt [esi+0x12345678]", {"base": 6, "imm": 305419896}, "0f018e78563412"),
    ("lgdt", "lgdt [esi+0x12345678]", {"base": 6, "imm": 305419896}, "0f019678563412"),
    ("lidt", "lidt [esi+0x12345678]", {"base": 6, "imm": 305419896}, "0f019e78563412"),
    ("invlpg", "invlpg [esi+0x12345678]", {"base": 6, "imm": 305419896}, "0f01be78563412"),
    ("mov.to.cr0", "mov cr0, edi", {"src": 7}, "0f22c7"),
    ("mov.from.cr0", "mov edi, cr0", {"dst": 7}, "0f20c7"),
    ("mov.to.cr2", "mov cr2, edi", {"src": 7}, "0f22d7"),
    ("mov.from.cr2", "mov edi, cr2", {"dst": 7}, "0f20d7"),
    ("mov.to.cr3", "mov cr3, edi", {"src": 7}, "0f22df"),
    ("mov.from.cr3", "mov edi, cr3", {"dst": 7}, "0f20df"),
    ("mov.to.cr4", "mov cr4, edi", {"src": 7}, "0f22e7"),
    ("mov.from.cr4", "mov edi, cr4", {"dst": 7}, "0f20e7"),
    ("mov.to.dr", "mov dr6, edi", {"number": 6, "src": 7}, "0f23f7"),
    ("mov.from.dr", "mov edi, dr6", {"number": 6, "dst": 7}, "0f21f7"),
]


def test_all_rows_were_assembled() -> None:
    assert [name for name, *_ in ASSEMBLED] == list(dict.fromkeys(name for name, *_ in ASSEMBLED))
    assert {name for name, *_ in ASSEMBLED} == set(X86.rows)


@pytest.mark.parametrize(("name", "_text", "fields", "expected"), ASSEMBLED, ids=[row[0] for row in ASSEMBLED])
def test_encoding(name: str, _text: str, fields: dict[str, int], expected: str) -> None:
    row, code = X86.rows[name], int.from_bytes(bytes.fromhex(expected), "little")
    assert row.encode(**fields).to_bytes(row.length, "little").hex() == expected
    assert DECODER.decode(code) is row
    assert row.operand_values(code) == fields
    assert DECODER.decode(code | ((1 << 16) - 1) << 8 * row.length) is row  # whatever follows


@pytest.mark.parametrize("row", X86.rows.values(), ids=X86.rows)
def test_length_and_row_of_many_instructions(row: Row) -> None:
    for code in samples(row, 20):
        assert DECODER.decode(code) is row
        for following in (0, 0xC0, 0xFF):
            assert int(instruction_length(code | following << 8 * row.length)) == row.length
        assert row.encode(**row.operand_values(code)) == code


@pytest.mark.parametrize("code", [0x008E, 0xC88E, 0x0F, 0x0B0F, 0xD6, 0x00, 0x048B, 0x220F | 0xC8 << 16])
def test_what_is_not_described(code: int) -> None:
    """Moves to CS and to CR1 among them."""
    assert DECODER.decode(code) is None


# --- the tracer ------------------------------------------------------------------------------------------------------

REGISTERS = X86.registers_by_name | {register.name: register for register in ENGINE_REGISTERS}
ROUTINES = {
    each.name: each
    for module in (descriptors, segments, transfers)
    for each in vars(module).values()
    if isinstance(each, Routine)
} | {each.name: each for each in (*X86.load.values(), *X86.store.values(), fetch)}


@pytest.mark.parametrize("row", X86.rows.values(), ids=X86.rows)
def test_semantics_are_traced(row: Row) -> None:
    assert 1 <= Tracer(REGISTERS).semantics(row.semantics).paths() <= 20


@pytest.mark.parametrize("routine", ROUTINES.values(), ids=ROUTINES)
def test_routines_are_traced(routine: Routine) -> None:
    tree, parameters = Tracer(REGISTERS).routine(routine)
    assert tree.paths() <= 10
    assert [parameter.width for parameter in parameters] == list(routine.arguments)
