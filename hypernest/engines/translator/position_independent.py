"""From an object file to bytes that run wherever they are put.

LLVM's object refers from its code to its constants (and jump tables) relative to the instruction pointer. All sections
that are loaded are laid out in one piece here and those references resolved, so that installing code is copying it.
"""

from __future__ import annotations

import io

_ALIGNMENT = 64
# x86-64 relocations by number: how many bytes, and that they hold symbol + addend - place (psABI, table 4.9).
_RELATIVE = {2: 4, 4: 4, 24: 8}


class NotRelocatable(Exception):
    """The object refers to something outside itself."""


def link(object_code: bytes) -> tuple[bytes, dict[str, int]]:
    """(the bytes of all loaded sections in one piece, offsets of the functions in it).

    NotRelocatable if something would have to be known that is not in the object, or for another kind of host.
    """
    from elftools.elf.elffile import ELFFile
    from elftools.elf.relocation import RelocationSection
    from elftools.elf.sections import SymbolTableSection

    elf = ELFFile(io.BytesIO(object_code))
    if elf["e_machine"] != "EM_X86_64":
        raise NotRelocatable(f"regions cannot be linked for {elf['e_machine']} yet")
    image = bytearray()
    bases: dict[int, int] = {}
    sections = list(elf.iter_sections())
    for number, section in enumerate(sections):
        # Tables for unwinding are of no use: nothing throws through guest code.
        if section["sh_flags"] & 2 and section["sh_size"] and section.name != ".eh_frame":
            align = max(section["sh_addralign"], 1)
            if align > _ALIGNMENT:
                raise NotRelocatable(f"{section.name} is aligned to {align} bytes")
            image.extend(bytes(-len(image) % align))
            bases[number] = len(image)
            image.extend(section.data())
    for section in sections:
        if not isinstance(section, RelocationSection) or section["sh_info"] not in bases:
            continue
        symbols = sections[section["sh_link"]]
        assert isinstance(symbols, SymbolTableSection)
        for each in section.iter_relocations():
            symbol = symbols.get_symbol(each["r_info_sym"])
            size = _RELATIVE.get(each["r_info_type"])
            if size is None or symbol["st_shndx"] not in bases:
                raise NotRelocatable(f"relocation {each['r_info_type']} against {symbol.name or 'a section'}")
            place = bases[section["sh_info"]] + each["r_offset"]
            value = bases[symbol["st_shndx"]] + symbol["st_value"] + each["r_addend"] - place
            image[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    functions = {
        symbol.name: bases[symbol["st_shndx"]] + symbol["st_value"]
        for section in sections
        if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] in bases
    }
    return bytes(image), functions
