"""A user's ISA from a file: what is loaded, and one sentence for everything that cannot be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hypernest.analysis.isas import BUILT_IN, LARGEST_FILE, BadIsaFile, NoSuchIsa, load_model
from hypernest.analysis.model import MachineModel
from hypernest.errors import HypernestError

EXAMPLES = Path(__file__).parents[2] / "examples" / "isas"
TOY = EXAMPLES / "toy.py"


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name: str) -> None:
    assert load_model(name).isa.name == name


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_examples_load(path: Path) -> None:
    assert isinstance(load_model(str(path)), MachineModel)


def test_a_file_in_the_folder_with_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "parts_of_my_isa.py").write_text(TOY.read_text())
    (tmp_path / "my_isa.py").write_text("print('hello')\nfrom parts_of_my_isa import MODEL\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert load_model("my_isa.py").title == load_model(str(tmp_path / "my_isa.py")).title
    assert sys.path == before
    assert capsys.readouterr().out == ""  # which belongs to what the command prints
    del sys.modules["parts_of_my_isa"]


def test_a_file_does_not_hide_a_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(TOY.read_text())
    load_model(str(tmp_path / "json.py"))
    import json

    assert json.loads("1") == 1


def test_dataclasses_of_a_file_work(tmp_path: Path) -> None:
    path = tmp_path / "isa.py"
    path.write_text(TOY.read_text() + "\nfrom dataclasses import dataclass\n@dataclass\nclass Pair:\n    first: int\n")
    load_model(str(path))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("risc-v", "did you mean riscv64?"),
        ("third_generation", "did you mean third-generation?"),
        ("X86", "did you mean x86?"),
        ("pdp11", "did you mean pdp10?"),
        ("zzz", "there are third-generation, pdp10, x86, riscv64"),
        ("", "there are third-generation, pdp10, x86, riscv64"),
    ],
)
def test_a_name_that_is_none(asked: str, answer: str) -> None:
    with pytest.raises(NoSuchIsa) as caught:
        load_model(asked)
    assert f"there is no ISA {asked!r} ({answer})" in str(caught.value)
    assert "\n" not in str(caught.value)


def refused(path: Path) -> str:
    """The sentence, without the path that it begins with."""
    with pytest.raises(HypernestError) as caught:
        load_model(str(path))
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.exit_status == 1
    assert str(path) in sentence
    return sentence.replace(str(path), "FILE")


def test_no_such_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "isa.py") == "there is no file FILE"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert refused(tmp_path / "dangling") == "there is no file FILE"


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path) == "FILE is a folder: give a Python file"
    os.mkfifo(tmp_path / "pipe.py")
    assert refused(tmp_path / "pipe.py") == "FILE is no regular file: give a Python file"
    assert refused(Path("/dev/zero")) == "FILE is no regular file: give a Python file"


def test_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "isa.py").symlink_to(tmp_path / "isa.py")
    assert refused(tmp_path / "isa.py") in (
        "there is no file FILE",
        "FILE cannot be read: Too many levels of symbolic links",
    )


def test_a_file_that_cannot_be_read() -> None:
    assert refused(Path("/proc/self/mem")) == "FILE cannot be read: Input/output error"  # whoever asks, root too


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\x7fELF\0\0", "FILE is no Python file: it has binary content"),
        (b"\xff\xfe\xfd", "FILE, line 1 is not Python: (unicode error)"),
        (b"this is a text\n", "FILE, line 1 is not Python: invalid syntax"),
        (b"x = 1\ndef f(:\n    pass\n", "FILE, line 2 is not Python: "),
        (b"x = 1\n  y = 2\n", "FILE, line 2 is not Python: unexpected indent"),
        (b"(" * 300, "FILE, line 1 is not Python: too many nested parentheses"),
        (b"", "FILE defines no MODEL: let it say MODEL = MachineModel(...)"),
        (b"MODEL = None\n", "FILE defines no MODEL"),
        (b"model = 1\n", "FILE defines no MODEL"),
        (b"MODEL = 42\n", "MODEL in FILE is an int, not a hypernest.analysis.model.MachineModel"),
        (b"class MODEL: pass\n", "MODEL in FILE is a type, not a hypernest"),
        (b"import nowhere_to_be_found\n", "FILE, line 1, does not import: ModuleNotFoundError: No module named"),
        (b"from hypernest import Nothing\n", "FILE, line 1, does not import: ImportError: "),
        (b"\n\n1 / 0\n", "FILE, line 3, does not import: ZeroDivisionError: division by zero"),
        (b"def f():\n    raise ValueError\nf()\n", "FILE, line 2, does not import: ValueError: it says no more"),
        (b"raise ValueError('one\\ntwo')\n", "FILE, line 1, does not import: ValueError: one two"),
        (b"def f(): f()\nf()\n", "FILE, line 1, does not import: RecursionError: "),
        (b"import sys\nsys.exit(3)\n", "FILE, line 2, ends Python by itself (SystemExit): let it define MODEL"),
        (b"raise SystemExit('no\\nmore')\n", "FILE, line 1, ends Python by itself"),
        (b"from other_part import MODEL\n", "FILE, line 1, imports what is not Python: "),
    ],
)  # fmt: skip
def test_what_is_no_description(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "other_part.py").write_text("a b\n")
    (tmp_path / "isa.py").write_bytes(content)
    assert sentence in refused(tmp_path / "isa.py")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "isa.py"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert refused(path) == "FILE is no Python file: it is larger than 16 MiB"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ISA = Isa(", "ISA = Isa(size=1,", "unexpected keyword argument 'size'"),
        ("    fetch=fetch,\n", "", "missing 1 required keyword-only argument: 'fetch'"),
        ('resources={"base"', 'resources={"bass"', "ValueError: toy has no register 'bass'"),
        ('name="plain",', 'name="plain", user="guest",', "ValueError: setting plain names the mode 'guest'"),
        ('frozenset({"base"})', 'frozenset({"bass"})', "ValueError: toy has no register 'bass'"),
        ('"add uimm", f"00000100', '"add uimm", f"000100', "ValueError: add: encoding"),
        ('"add uimm", f"00000100', '"add uimm", f"0000rx', "ValueError: add: cannot read '0000rx'"),
        ('"add uimm", f"00000100', '"add uimm", f"rs', "ValueError: add: encoding"),
        ('"add uimm"', '"load uimm"', "ValueError: load is described twice"),
    ],
)
def test_what_python_itself_finds(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    source = TOY.read_text()
    assert source.count(old) == 1
    (tmp_path / "isa.py").write_text(source.replace(old, new))
    message = refused(tmp_path / "isa.py")
    assert message.startswith("FILE, line ")
    assert sentence in message


def test_the_errors_are_of_two_kinds() -> None:
    assert issubclass(NoSuchIsa, HypernestError)
    assert issubclass(BadIsaFile, HypernestError)
