"""The target description: the XML by which gdb learns what registers a hart has (its manual, appendix G)."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import quoteattr

from hypernest.debug.gdb.registers import Feature, GdbRegister

_TYPES = {
    "riscv_double": '<union id="riscv_double"><field name="float" type="ieee_single"/>'
    '<field name="double" type="ieee_double"/></union>'
}
"""Types that gdb does not know by itself."""


def target_description(registers: Iterable[GdbRegister]) -> str:
    """The document that describes `registers`."""
    registers = tuple(registers)
    features = "".join(_feature(feature, [row for row in registers if row.feature is feature]) for feature in Feature)
    return (
        '<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n'
        '<target version="1.0">\n<architecture>riscv:rv64</architecture>\n'
        # Else a gdb made for Linux guesses Linux programs, and steps by breakpoints where it believes they will go on.
        f"<osabi>none</osabi>\n{features}</target>\n"
    )


def _feature(feature: Feature, rows: list[GdbRegister]) -> str:
    types = "".join(f"  {_TYPES[name]}\n" for name in dict.fromkeys(row.type for row in rows) if name in _TYPES)
    lines = "".join(
        f"  <reg name={quoteattr(row.name)} bitsize={quoteattr(str(row.size * 8))} regnum={quoteattr(str(row.number))}"
        f" type={quoteattr(row.type)}/>\n"
        for row in rows
    )
    return f"<feature name={quoteattr(feature.value)}>\n{types}{lines}</feature>\n"
