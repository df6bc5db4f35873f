"""What a machine shows of itself, whatever its guest does."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from hypernest.machine import Machine
from tests.debug.guests import TWO_FUNCTIONS, build
from tests.machine.small_guests import hosted

HARMFUL = """
    la    s0, text
1:  lbu   a0, 0(s0)
    beqz  a0, .
    li    a7, 1
    ecall
    addi  s0, s0, 1
    j     1b
text: .asciz "first\\n2\\n3\\n4\\n5\\n6\\n<script>alert(1)</script>\\033[31m&red\\007\\n"
"""


def test_in_a_terminal(tmp_path: Path) -> None:
    with Machine(kernel=build(TWO_FUNCTIONS, tmp_path), memory="16M", engine="interpreter", harts=2) as machine:
        machine.run(2)
        pc = machine.symbols["cheap"]
        shown = f"2 harts, 16 MiB, interpreter, 2 instructions, 0.000000 s of guest time, pc {pc:#x} <cheap>>"
        assert repr(machine).startswith("<Machine guest.elf, ") and repr(machine).endswith(shown)
        assert repr(machine.harts[0]) == f"<hart 0: supervisor mode, pc {pc:#x}, 2 instructions completed>"
        assert "<th>pc</th>" in machine.harts[0]._repr_html_()
        machine.run()
        assert "powered the machine off" in repr(machine)
    assert repr(machine).endswith("closed>")
    assert "closed" in machine._repr_html_()


def test_in_a_notebook_nothing_of_the_guests_is_believed() -> None:
    with hosted(HARMFUL) as machine:
        machine.run(1000)
        html = machine._repr_html_()
        table = ElementTree.fromstring(html)  # noqa: S314
        rows = {row[0].text: "".join(row[1].itertext()) for row in table}
        assert rows["console"] == "2\n3\n4\n5\n6\n<script>alert(1)</script>&red?"
        assert rows["executed"] == "1,000 instructions" and rows["hardware"] == "1 hart, 16 MiB"
        assert not re.search("<script|\x1b|\x07", html)
        assert machine.console.read().startswith("first")  # is still there to be read
        assert "console" not in machine._repr_html_()


def test_a_file_with_damaged_symbols_is_no_reason_to_show_nothing(tmp_path: Path) -> None:
    program = bytearray(build(TWO_FUNCTIONS, tmp_path).read_bytes())
    sections = int.from_bytes(program[0x28:0x30], "little")
    for at in range(sections, len(program), 64):
        if program[at + 4 : at + 8] == b"\2\0\0\0":
            program[at + 24 : at + 32] = b"\xff" * 8  # where the symbol table begins
    with Machine(kernel=bytes(program), memory="16M") as machine:
        assert "pc 0x80200000>" in repr(machine)
