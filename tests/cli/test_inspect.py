"""`hypernest inspect` on files and on guests, as a person and as a script use it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.debug.guests import COSTLY, KERNEL_SCRIPT, SPIN, TWO_FUNCTIONS, build

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from hypernest.cli.main import run; sys.exit(run(['inspect', *sys.argv[1:]]))"

SHAPES = """
    .option norelax
    .option norvc
    .globl _start
    .type _start, @function
_start:
    csrr  t0, sstatus
    ld    a1, 0(a0)
    beqz  a1, other
    addi  a1, a1, 5
    sd    a1, 8(a0)
    ecall
    j     _start
    .size _start, . - _start
    .type other, @function
other:
    fadd.d fa0, fa1, fa2
    ret
    .size other, . - other
    .type illegal, @function
illegal:
    .word 0
    .size illegal, . - illegal
    .org 0xffe
    .type crossing, @function
crossing:
    .half 0x0013
    .half 0x0000
    .size crossing, . - crossing
"""


@pytest.fixture(scope="module")
def two_functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(TWO_FUNCTIONS, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SHAPES, tmp_path_factory.mktemp("shapes"), "-march=rv64gc")


@pytest.fixture(scope="module")
def spin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SPIN, tmp_path_factory.mktemp("spin"))


def inspect(*arguments: str | Path, status: int = 0) -> str:
    """Runs the command, which must end with that status; what it printed, or if it failed its one line."""
    command = [sys.executable, "-m", "hypernest", "inspect", *map(str, arguments)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, text=True, timeout=300, check=False
    )
    assert done.returncode == status, done.stderr
    if status:
        assert not done.stdout and done.stderr.count("\n") == 1
    return done.stderr if status else done.stdout


def part(document: dict[str, Any], guest: str) -> dict[str, Any]:
    (found,) = (each for each in document["parts"] if (each["guest"] or "").startswith(guest))
    assert isinstance(found, dict)
    return found


# --- files ---------------------------------------------------------------------------------------------------------


def test_lines_stand_with_the_instruction_they_were_made_of(shapes: Path) -> None:
    document = json.loads(inspect("_start+4", shapes, "--json"))
    assert document["address"] == document["physical"] == 0x8020_0004
    assert document["symbol"] == "_start+0x4"
    addition = part(document, "addi x11,x11,5")
    assert any(re.search(r"= add i64 %\S+, 5", line) for line in addition["ir"])
    assert any(re.search(r"\badd +\w+, 5|lea .* \+ 5\]", line) for line in addition["assembly"])
    assert any("fadd double" in line for line in part(document, "fadd.d")["ir"])
    assert any("vaddsd" in line or "addsd" in line for line in part(document, "fadd.d")["assembly"])
    assert any("; x10" in line for line in document["parts"][0]["ir"]), "registers are loaded on entering"
    reads = part(document, "ld x11,0(x10)")
    assert any(" load i64, ptr " in line for line in reads["ir"])
    assert not any("!dbg" in line or "!tbaa" in line for each in document["parts"] for line in each["ir"])


def test_before_optimization_every_register_is_a_variable(shapes: Path) -> None:
    before, after = (json.loads(inspect("_start+4", shapes, "--json", "--ir", each)) for each in ("before", "after"))
    assert any("store i64" in line and "%x.11" in line for line in part(before, "addi")["ir"])
    assert not any("%x.11 " in line for line in part(after, "addi")["ir"])
    assert [each["assembly"] for each in before["parts"]] == [each["assembly"] for each in after["parts"]]


def test_the_summary(shapes: Path) -> None:
    text = inspect("_start+4", shapes)
    assert "80200004 > ld x11,0(x10)\n" in text
    assert "80200008   beq x11,x0,0x8020001c <other>\n" in text
    summary = text.partition("\n\n")[2]
    assert summary.startswith("0x80200004 <_start+0x4>\n  9 instructions of 36 bytes, ")
    assert "entered at +0x4, +0x18 (offsets" in summary
    assert "the bytes from +0x0 to +0x23 are these" in summary
    assert "mstatus & 0x6000 == 0x6000" in summary
    assert (
        "leaves to complete execution at +0x0, +0x14 (it reads a control and status register, it always tr" in summary
    )
    assert "jumps to computed addresses at +0x20" in summary


def test_calls_are_named(two_functions: Path) -> None:
    text = inspect("_start", two_functions, "--only", "guest")
    assert "calls: 0x80200028 <cheap>, 0x80200060 <costly>\n" in text
    assert re.search(r"^80200004 [ >] jal x1,0x80200028 <cheap>$", text, re.MULTILINE)
    assert " ir |" not in text and " asm |" not in text


@pytest.mark.parametrize(("only", "seen"), [("ir", "load i64, ptr"), ("asm", "qword ptr [")])
def test_one_of_the_three_in_its_own_order(only: str, seen: str, two_functions: Path) -> None:
    text = inspect("costly", two_functions, "--only", only)
    assert seen in text
    last = f"{0x8020_0060 + 4 * (COSTLY - 1):x}   jalr x0,0(x1)\n"
    assert text.index("on entering\n") < text.index(last)
    assert "\x1b" not in text


def test_a_program_that_is_linked_elsewhere(tmp_path: Path) -> None:
    script = tmp_path / "kernel.ld"
    script.write_text(KERNEL_SCRIPT)
    program = build(TWO_FUNCTIONS, tmp_path, "-static", f"-Wl,-T,{script}", "-mcmodel=medany", at=None)
    virtual, physical = 0xFFFF_FFFF_8000_0028, 0x8020_0028
    for place in ("cheap", hex(virtual)):
        document = json.loads(inspect(place, program, "--json"))
        assert (document["address"], document["physical"], document["symbol"]) == (virtual, physical, "cheap")
    assert json.loads(inspect(hex(physical), program, "--json"))["symbol"] == "cheap"
    assert "is outside the file" in inspect(hex(virtual), program, "--physical", status=2)


def test_a_kernel_without_symbols_has_its_own() -> None:
    from hypernest.images import pull

    kernel = pull("debian").kernel
    assert isinstance(kernel, Path)
    text = inspect("memcpy", kernel, "--only", "guest")
    assert re.search(r"^0xffffffff[0-9a-f]{8} <\w*memcpy>, physical 0x80[0-9a-f]{6}$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("place", "why", "status"),
    [
        ("_start", "no region can begin at 0x80200000: csrrs is left to complete execution (it reads a control", 1),
        ("0x80200014", "ecall is left to complete execution (it always traps): a region can begin behind it", 1),
        ("illegal", "there is no legal instruction, but the bytes 00 00 00 00", 1),
        ("crossing", "the instruction goes beyond the end of its page", 1),
        ("0x80200001", "0x80200001 is odd: instructions begin at even addresses.", 2),
        ("0x90000000", "0x90000000 is outside the file, which holds 0x80", 2),
        ("othr", "there is no symbol 'othr' (did you mean other?).", 2),
        ("_start-0x80200002", "is no address of 64 bits", 2),
        ("0xfffffffffffffffff", "there is no symbol '0xfffffffffffffffff'", 2),
    ],
)
def test_where_no_region_is(place: str, why: str, status: int, shapes: Path) -> None:
    assert why in inspect(place, shapes, status=status)


def test_what_is_missing_or_wrong(shapes: Path, tmp_path: Path) -> None:
    assert "give a FILE behind ADDRESS, or --after N or --until TEXT" in inspect("_start", status=2)
    assert "ADDRESS is missing" in inspect(status=2)
    assert "debian is an image: say with --after N" in inspect("schedule", "debian", status=2)
    assert "cannot read 'missing'" in inspect("_start", "missing", status=2)
    broken = tmp_path / "broken"
    broken.write_bytes(shapes.read_bytes()[:40])
    assert "ends in its header" in inspect("_start", broken, status=1)
    assert "not allowed with argument" in inspect("_start", "--after", "1", "--until", "x", status=2)


# --- guests --------------------------------------------------------------------------------------------------------


def test_only_what_was_executed_is_in_the_region(two_functions: Path) -> None:
    options = ("--kernel", two_functions, "--memory", "16M", "--json")
    early = json.loads(inspect("_start", "--after", "5000", *options))
    assert early["parts"][-2]["guest"].startswith("bne"), "the end was not executed yet"
    late = json.loads(inspect("_start", "--after", "20000", *options))
    assert late["parts"][-2]["guest"].startswith("jal x0")
    unexecuted = json.loads(inspect("costly", "--after", "5", *options))
    assert unexecuted["notes"][0].startswith("was not executed so far")
    assert len(unexecuted["parts"]) == 2 + COSTLY


def test_a_region_that_is_in_place(spin: Path) -> None:
    options = ("--kernel", spin, "--memory", "16M", "--after", "3_000_000_000")
    listing = json.loads(inspect(*options, "--json"))
    assert [each["symbol"] for each in listing] == ["spin"]
    assert listing[0]["physical"] == json.loads(inspect("spin", *options, "--json"))["physical"]
    assert f"{listing[0]['host_bytes']} bytes of code" in inspect(*options)
    assert "in place is this region: 1 instruction" in inspect("spin", *options)


def test_when_its_console_has_printed_something(spin: Path) -> None:
    text = inspect("_start+8", "--kernel", spin, "--memory", "16M", "--until", "!", "--only", "guest")
    assert "sb x6,0(x5)" in text
    assert "no region with this head is in place" in text


def test_an_address_in_no_page(spin: Path) -> None:
    options = ("--kernel", spin, "--memory", "16M", "--after", "10")
    said = inspect("0x1234", *options, status=2)
    assert "0x1234 is mapped to no code in memory at this point of the run" in said
    said = inspect("0x1234", *options, "--physical", status=2)
    assert "0x1234 is outside memory: memory is 0x80000000 to 0x81000000." in said


def test_virtual_addresses_of_linux_go_through_its_tables() -> None:
    from hypernest.images import pull

    pull("debian")
    document = json.loads(inspect("memcpy", "debian", "--after", "60_000_000", "--json"))
    assert document["address"] >> 63 and document["physical"] >> 31 == 1
    assert document["address"] % 4096 == document["physical"] % 4096
    physical = json.loads(inspect(hex(document["physical"]), "--physical", "--after", "60_000_000", "--json"))
    assert [each["ir"] for each in physical["parts"]] == [each["ir"] for each in document["parts"]]


# --- terminals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "together"), [(170, True), (100, False)])
def test_side_by_side_where_there_is_room(columns: int, together: bool, terminal: Any, two_functions: Path) -> None:
    terminal.resize(columns, 50)
    terminal.start(PROGRAM, "cheap", str(two_functions))
    assert terminal.exit_status() == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.seen.decode())
    line = next(line for line in shown.splitlines() if "jalr x0,0(x1)" in line)
    assert ("i64" in line) == together
    assert ("   ir | " in shown) == (not together)
    assert "\x1b[" in terminal.seen.decode()
    assert "[r13 + 8]" in shown, "square brackets are no markup"
