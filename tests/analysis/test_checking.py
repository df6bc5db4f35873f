"""What cannot be analysed is refused, with the row named: the toy of examples/, spoilt in one place at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hypernest.analysis.checking import BadDescription, faults
from hypernest.analysis.isas import BUILT_IN, load_model

TOY = (Path(__file__).parents[2] / "examples" / "isas" / "toy.py").read_text()

ADD = '    h.write("acc", h.acc + h.load(h.uimm, 64))\n'  # the body of `add`
HALT = "    h.wait()\n"  # the end of `halt`, which has no operands
TRANSLATE = "    if h.is_memory(physical, CELL) == 0:\n"
MODES = 'modes={"supervisor": {"mode": Bits(mask=1, value=SUPERVISOR)}, "user": {"mode": Bits(mask=1, value=USER)}}'
REGISTERS = '    Register("acc", doc="the accumulator"),\n'
ROWS = "    rows=TOY.rows,\n"
SETTING = '            name="plain",\n'


def spoilt(old: str, new: str) -> str:
    assert TOY.count(old) == 1
    return TOY.replace(old, new)


def refused(folder: Path, source: str) -> str:
    (folder / "isa.py").write_text(source)
    with pytest.raises(BadDescription) as caught:
        load_model(str(folder / "isa.py"))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert len(sentence) < 500
    assert sentence.startswith("toy: ")
    return sentence.removeprefix("toy: ")


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_isas_are_without_fault(name: str) -> None:
    assert faults(load_model(name)) == ()


# --- semantic functions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("h.write('acc', int(h.acc))", "it computes with Python's numbers (int, float, range, an index)"),
        ("h.write('acc', word(int(float(h.acc))))", "it computes with Python's numbers"),
        ("h.write('acc', word([1, 2][h.acc]))", "it computes with Python's numbers"),
        ("for _ in range(h.acc): pass", "it computes with Python's numbers"),
        ("h.write('acc', h.acc // 2)", "it raises TypeError: unsupported operand"),
        ("h.write('acc', h.acc + h.base)", "a word of 64 bits meets one of 16"),
        ("h.write('base', h.acc)", "a word of 64 bits is where 16 belong"),
        ("h.write('base', h.acc.zext(32).trunc(16))", "zext makes no 32 bits of 64"),
        ("h.write('acc', select(h.acc, h.acc, 0))", "the condition of a select has 64 bits, not 1"),
        ("h.write('acc', h.accu)", "there is no register 'accu'"),
        ("h.write('accu', h.acc)", "there is no register 'accu'"),
        ("h.acc = h.acc + 1", "it sets the attribute h.acc, which changes nothing: say h.write('acc', ...)"),
        ("h.write('acc', h.operand('rs1'))", "it asks for the operand 'rs1', which its encoding (00000100"),
        ("h.write('acc', h.imm)", "it asks for the operand 'imm', which its encoding"),
        ("h.write('acc', h.read('acc', 1))", "acc has 1 registers, no number 1"),
        ("h.write('acc', 0, h.uimm)", "its operand uimm can be 65535, but acc has 1 registers"),
        ("h.write('acc', h.load(h.uimm, 32).zext(64))", "it loads 32 bits, for which `load` has no routine"),
        ("h.store(h.uimm, h.acc.trunc(8))", "it stores 8 bits, for which `store` has no routine"),
        ("h.store(h.uimm, 5)", "it stores 5, which has no width: say word(5, bits)"),
        ("h.load(5, 64)", "the address of a load is 5: make it a word of 64 bits"),
        ("h.load(h.base, 64)", "the address of a load has 16 bits, not 64"),
        ("h.physical_load(word(0), 12)", "it accesses 12 bits of physical memory"),
        ("h.jump(h.base)", "the target of a jump has 16 bits, not 64"),
        ("h.write('acc', 0); h.store(h.uimm, h.acc)", "memory was accessed after a register was written"),
        ("h.write('acc', 0); h.jump(h.uimm); check_supervisor(h)", "trap 2 after registers were written"),
        ("raise Trap(9)", "it raises the trap 9, which `causes` does not name"),
        ("raise Trap(h.acc)", "it raises a Trap whose cause is no number"),
        ("raise Trap(CALL, h.base)", "a word of 16 bits is where 64 belong"),
        ("raise KeyError('a')", "it raises KeyError: 'a'"),
        ("raise KeyError('a\\n' * 1000)", "it raises KeyError: 'a"),
        ("assert False", "it raises AssertionError"),
        ("raise SystemExit(1)", "it ends Python by itself (SystemExit)"),
        ("yield", "it is a generator or a coroutine"),
        ("while True: pass", "it never ends, or has too many paths"),
        ("while h.load(h.uimm, 64): pass", "it never ends, or has too many paths"),
        ("def f(): return f()\n    f()", "it never ends, or has too many paths"),
        ("h.write('acc', sum([word(1) if h.acc.bit(n) else word(0) for n in range(64)], word(0)))",
         "it never ends, or has too many paths"),
        ("h.write('acc', sum([word(1) if h.acc.bit(n) else word(0) for n in range(9)], word(0)))",
         "512 paths lead through it: use `select` for data"),
        ("h.write('acc', h.acc._binary('rol', h.acc))", "it uses the operation 'rol', which has no meaning"),
        ("h.write('base', h.base.trunc(12).byte_swap().zext(16))", "it swaps the bytes of 12 bits"),
    ],
)  # fmt: skip
def test_a_row(tmp_path: Path, body: str, sentence: str) -> None:
    began = time.monotonic()
    message = refused(tmp_path, spoilt(ADD, f"    {body}\n"))
    assert message.startswith("row add: ")
    assert sentence in message
    assert time.monotonic() - began < 10


def test_the_line_is_told(tmp_path: Path) -> None:
    source = spoilt(ADD, "    h.write('base', h.acc)\n")
    line = source[: source.index("h.write('base', h.acc)")].count("\n") + 1
    assert refused(tmp_path, source) == f"row add: a word of 64 bits is where 16 belong (isa.py, line {line})"


def test_an_expression_that_doubles_is_no_long_message(tmp_path: Path) -> None:
    doubled = "    a = h.acc\n    for _ in range(100): a = a + a\n    h.write('base', a)\n"
    assert "a word of 64 bits is where 16 belong" in refused(tmp_path, spoilt(ADD, doubled))


def test_how_many_more(tmp_path: Path) -> None:
    source = spoilt(ADD, "    h.write('accu', 1)\n").replace(HALT, "    h.write('accu', 1)\n")
    message = refused(tmp_path, source)
    assert message.startswith("row add: there is no register 'accu' (isa.py, line ")
    assert message.endswith(" (and 1 more)")


@pytest.mark.parametrize(
    ("semantics", "sentence"), [("None", "it has no semantic function"), ("42", "its semantics, 42, is no function")]
)
def test_a_row_without_a_semantic_function(tmp_path: Path, semantics: str, sentence: str) -> None:
    source = spoilt("# --- 2d.", f"TOY.add('nop', f'00001111 {{ZEROS}} {'0' * 16}', {semantics})\n# --- 2d.")
    assert refused(tmp_path, source) == f"row nop: {sentence}"


# --- encodings -------------------------------------------------------------------------------------------------------


def test_two_rows_for_one_instruction(tmp_path: Path) -> None:
    message = refused(tmp_path, spoilt('"add uimm", f"00000100', '"add uimm", f"00000011'))
    assert message.startswith("row add: its encoding (00000011 000")
    assert "contradicts that of set (00000011 000" in message
    assert message.endswith("some instructions are both")


def test_rows_that_overlap(tmp_path: Path) -> None:
    source = spoilt('"add uimm", f"00000100 {ZEROS} uimm[15:0]"', '"add", f"rd[0:0] 0000011 {ZEROS} 0000000000000000"')
    message = refused(tmp_path, source)
    assert message.startswith("row add: its encoding (rd[0:0] 0000011 000")
    assert "contradicts that of set (00000011 000" in message


def test_a_special_case_is_no_contradiction(tmp_path: Path) -> None:
    source = spoilt('"add uimm", f"00000100 {ZEROS} uimm[15:0]"', '"add uimm", f"000000 rd[1:0] {ZEROS} uimm[15:0]"')
    (tmp_path / "isa.py").write_text(source)
    assert "add" in load_model(str(tmp_path / "isa.py")).isa.rows


def test_rows_of_different_lengths_that_begin_alike(tmp_path: Path) -> None:
    source = spoilt("sizes=frozenset({64}), unit=64)", "sizes=frozenset({64, 128}), unit=64)").replace(
        '"add uimm", f"00000100 {ZEROS} uimm[15:0]"', '"add uimm", f"rd[63:0] 00000010 {ZEROS} uimm[15:0]"'
    )
    message = refused(tmp_path, source)
    assert message.startswith("row add: its encoding (rd[63:0] 00000010 000")
    assert "contradicts that of store (00000010 000" in message


def test_a_field_whose_bits_are_there_twice(tmp_path: Path) -> None:
    source = spoilt('"add uimm", f"00000100 {ZEROS} uimm[15:0]"', '"add uimm", f"00000100 {ZEROS} uimm[7:0] uimm[7:0]"')
    assert refused(tmp_path, source) == "row add: its encoding says the same bits of uimm twice"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("{}", "it has no rows, so there is nothing to classify"),
        ("{**TOY.rows, 'plus': TOY['add']}", "row plus: it is listed under this name, but called add"),
        ("{**TOY.rows, 'plus': 'add'}", "row plus: 'add' is no Row"),
        ("None", "cannot be read"),
    ],
)
def test_tables_of_rows(tmp_path: Path, rows: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, spoilt(ROWS, f"    rows={rows},\n"))


def test_one_meaning_and_two_functions(tmp_path: Path) -> None:
    more = "from dataclasses import replace\nROWS = {**TOY.rows, 'set': replace(TOY['set'], meaning='add')}\n# --- 2d."
    source = spoilt("# --- 2d.", more).replace(ROWS, "    rows=ROWS,\n")
    assert "it means add, but has another semantic function than" in refused(tmp_path, source)


# --- routines --------------------------------------------------------------------------------------------------------


def test_a_routine_that_cannot_be_traced(tmp_path: Path) -> None:
    message = refused(tmp_path, spoilt(TRANSLATE, "    if h.is_mempry(physical, CELL) == 0:\n"))
    assert message.startswith("translate: there is no register 'is_mempry' (isa.py, line ")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (TRANSLATE, "    if int(physical) == 0:\n", "translate: it computes with Python's numbers"),
        (TRANSLATE, "    if h.uimm == 0:\n", "translate: it asks for the operand 'uimm', but runs without"),
        (TRANSLATE, "    if translate(h, address, 0) == 0:\n", "translate: translate calls itself"),
        (TRANSLATE, "    if load(h, address) == 0:\n", "translate: translate calls itself"),
        ("    enter(h, new)\n    h.write(\"pc\", new.bits(15, 0).zext(64))", "    h.write('mod', 0)",
         "take_trap: there is no register 'mod'"),
        ("    enter(h, new)\n    h.write(\"pc\", new.bits(15, 0).zext(64))", "    return new",
         "take_trap: take_trap returned 1 words, declared 0"),
        ("    load={64: load},", "    load={64: store},", "load[64] must be a @routine((64,), (64,)), not"),
        ("    load={64: load},", "    load={64: None},", "load[64] is None, no @routine"),
        ("    load={64: load},", "    load={},", "row load: it loads 64 bits, for which `load` has no routine"),
        ("    take_trap=take_trap,", "    take_trap=status,", "take_trap is <function status"),
        ("    illegal_instruction=ILLEGAL_INSTRUCTION,", "    illegal_instruction=77,",
         "`illegal_instruction` is 77, which `causes` does not name"),
    ],
)  # fmt: skip
def test_routines(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, spoilt(old, new))


def test_two_pure_functions_of_one_name(tmp_path: Path) -> None:
    source = spoilt(
        "# --- 2a.",
        "from hypernest.isa.hart import pure\n"
        "one = pure((64,), (64,), name='f')(lambda a: a + 1)\ntwo = pure((64,), (64,), name='f')(lambda a: a + 2)\n"
        "# --- 2a.",
    ).replace(ADD, "    h.write('acc', two(one(h.acc)))\n")
    assert "two @pure functions are called f: give one of them another name" in refused(tmp_path, source)


def test_a_pure_function_that_is_wrong(tmp_path: Path) -> None:
    source = spoilt(
        "# --- 2a.",
        "from hypernest.isa.hart import pure\none = pure((64,), (64,), name='f')(lambda a: a.bit(0))\n# --- 2a.",
    ).replace(ADD, "    h.write('acc', one(h.acc))\n")
    assert refused(tmp_path, source).startswith("row add: in f, a word of 1 bits is where 64 belong")


# --- registers, modes, masks, settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("register", "sentence"),
    [
        ('Register("mode")', "register mode is there twice"),
        ('Register("stop")', "register stop has a name that engines use: rename it"),
        ('Register("wide", 65)', "register wide has 65 bits: 1 to 64 are possible"),
        ('Register("none", 0)', "register none has 0 bits: 1 to 64 are possible"),
        ('Register("file", 64, 0)', "register file is there 0 times"),
        ('Register("small", 4, reset=16)', "register small has 4 bits, its value at reset does not fit in them"),
    ],
)
def test_registers(tmp_path: Path, register: str, sentence: str) -> None:
    source = spoilt(REGISTERS, f"{REGISTERS}    {register},\n")
    assert sentence in refused(tmp_path, source)


def test_no_program_counter(tmp_path: Path) -> None:
    source = spoilt('Register("pc", doc=', 'Register("pc", 32, doc=')
    assert "it needs a program counter: Register('pc'), 64 bits wide" in refused(tmp_path, source)


@pytest.mark.parametrize(
    ("modes", "sentence"),
    [
        ('{"supervisor": {"mode": Bits(1, 0)}, "user": {"mode": Bits(1, 0)}}',
         "the modes supervisor and user are the same bits"),
        ('{"supervisor": {"mode": Bits(1, 0)}, "user": {"base": Bits(1, 1)}}',
         "the modes supervisor and user overlap: a state can be in both at once"),
        ('{"supervisor": {"mode": Bits(1, 0)}, "user": {}}', "mode user has no bits"),
        ('{"supervisor": {"mode": Bits(3, 0)}, "user": {"mode": Bits(1, 1)}}',
         "mode supervisor: its mask of mode, 0x3, names bits that a register of 1 bits lacks"),
        ('{"supervisor": {"base": Bits(1, 2)}, "user": {"base": Bits(1, 1)}}',
         "mode supervisor: its value of base, 0x2, has bits outside its mask, 0x1"),
        ('{"supervisor": {"mode": 0}, "user": {"mode": 1}}', "its modes cannot be read (AttributeError"),
    ],
)  # fmt: skip
def test_modes(tmp_path: Path, modes: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, spoilt(MODES, f"modes={modes}"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"limit": 0xFFFF}', '"limit": 0x1FFFF}', "resources: its mask of limit, 0x1ffff, names bits that"),
        ('legal={"pc": 0xFFFF}', 'legal={"mode": 2}', "legal: its mask of mode, 0x2, names bits that"),
        ("frozenset({MEMORY_TRAP})", "frozenset({99})", "memory_traps has the cause 99, which `causes` does not name"),
        ("CELL << 17", "0", "a memory of 0 bytes in units of 8 bytes holds no word"),
        ('legal={"pc"', 'variants={"csr": {1: "a"}}, legal={"pc"', "variants: no row has a field 'csr'"),
        ('legal={"pc"', 'variants={"uimm": {1 << 16: "a"}}, legal={"pc"', "variants: uimm cannot be 0x10000"),
        ('legal={"pc"', 'rules={"acc": int}, legal={"pc"', "the rule of register acc raises TypeError"),
        ('legal={"pc"', 'rules={"acc": lambda a: a}, legal={"pc"', "instead of a word of 1 bit"),
        ('legal={"pc"', 'rules={"acc": lambda a: 1 if a else 0}, legal={"pc"', "the rule of register acc raises"),
        (SETTING, SETTING + '            user="supervisor",\n', "supervisor and user are both the mode supervisor"),
        (SETTING, SETTING + '            fixed={"mode": Bits(1, 1)},\n',
         "setting plain: it fixes bits of mode at what they are not in mode supervisor"),
        (SETTING, SETTING + '            fixed={"base": Bits(1 << 16, 0)},\n',
         "setting plain: its mask of base, 0x10000, names bits"),
        ("    settings=(\n", "    settings=(\n        Setting(name='plain', title=''),\n",
         "setting plain is there twice"),
    ],
)  # fmt: skip
def test_the_model(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, spoilt(old, new))


def test_no_settings(tmp_path: Path) -> None:
    source = TOY[: TOY.index("    settings=(")] + "    settings=(),\n)\n"
    assert refused(tmp_path, source) == "it has no settings: say which mode's software is to run in which mode"


def test_mapped_memory_without_faults(tmp_path: Path) -> None:
    source = spoilt("memory_traps=frozenset({MEMORY_TRAP})", "memory=Memory.MAPPED").replace(
        "import MachineModel, Setting", "import MachineModel, Memory, Setting"
    )
    assert "memory_traps is empty: with mapped memory" in refused(tmp_path, source)


def test_mapped_memory_without_tables(tmp_path: Path) -> None:
    source = spoilt('    shifted=frozenset({"base"}),', '    memory=Memory.MAPPED,\n    shifted=frozenset({"base"}),')
    source = source.replace("import MachineModel, Setting", "import MachineModel, Memory, Setting")
    assert refused(tmp_path, source).startswith("realize is missing: with mapped memory")


def test_memory_that_nothing_relocates(tmp_path: Path) -> None:
    source = spoilt('    shifted=frozenset({"base"}),', "")
    assert refused(tmp_path, source).startswith("shifted is empty: with relocated memory")


# --- on the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (spoilt(ADD, "    h.write('acc', h.accu)\n"), "toy: row add: there is no register 'accu' (isa.py, line "),
        (spoilt(ADD, "    while True: pass\n"), "toy: row add: it never ends, or has too many paths"),
        (spoilt(MODES, "modes={}"), "./isa.py, line "),
        ("MODEL = 1", "MODEL in isa.py is an int"),
        ("1 +", "isa.py, line 1 is not Python: invalid syntax"),
        ("raise SystemExit(0)", "isa.py, line 1, ends Python by itself"),
    ],
)
def test_one_line_and_no_traceback(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "isa.py").write_text(source)
    command = [sys.executable, "-m", "hypernest", "classify", "./isa.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hypernest: {message.removeprefix('./')}")
    assert done.stderr.count("\n") == 1
