"""Which ISAs there are to classify: the built-in ones by name, and a user's own from a Python file."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import CodeType, ModuleType

from hypernest.analysis.checking import check
from hypernest.analysis.model import MachineModel
from hypernest.errors import HypernestError

BUILT_IN: Mapping[str, str] = {
    "third-generation": "hypernest.analysis.models.third_generation",
    "pdp10": "hypernest.analysis.models.pdp10",
    "x86": "hypernest.analysis.models.x86",
    "riscv64": "hypernest.analysis.models.riscv64",
}
"""Names, and the modules whose `MODEL` is meant; they are imported when asked for."""

LARGEST_FILE = 16 << 20  # bytes: a description is text that somebody wrote


class NoSuchIsa(HypernestError):
    """Neither a built-in ISA nor a file."""


class BadIsaFile(HypernestError):
    """A file that does not give a `MachineModel`."""


def load_model(name_or_path: str) -> MachineModel:
    """The model of a built-in ISA, or the `MODEL` of a Python file, which runs as `python FILE` would run it.

    A file's model is checked (`checking.check`): what this returns can be analysed. What the file prints goes to
    standard error. Raises NoSuchIsa, BadIsaFile, or `checking.BadDescription`.
    """
    if name_or_path in BUILT_IN:
        built_in: MachineModel = import_module(BUILT_IN[name_or_path]).MODEL
        return built_in
    path = Path(name_or_path)
    if not (os.sep in name_or_path or path.suffix == ".py" or os.path.lexists(name_or_path)):
        near = difflib.get_close_matches(name_or_path.lower().replace("_", "-"), BUILT_IN, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BUILT_IN)}"
        raise NoSuchIsa(f"there is no ISA {name_or_path!r} ({hint}); your own is given as a Python file, ./my_isa.py")
    module = _run(path, _compile(path))
    model = getattr(module, "MODEL", None)
    if model is None:
        raise BadIsaFile(f"{path} defines no MODEL: let it say MODEL = MachineModel(...), as examples/isas/toy.py does")
    if not isinstance(model, MachineModel):
        raise BadIsaFile(
            f"MODEL in {path} is {_article(type(model).__name__)}, not a hypernest.analysis.model.MachineModel"
        )
    check(model)
    return model


def _compile(path: Path) -> CodeType:
    try:
        if not path.exists():
            raise NoSuchIsa(f"there is no file {path}")
        if not path.is_file():
            raise BadIsaFile(f"{path} is {'a folder' if path.is_dir() else 'no regular file'}: give a Python file")
        if path.stat().st_size > LARGEST_FILE:
            raise BadIsaFile(f"{path} is no Python file: it is larger than {LARGEST_FILE >> 20} MiB")
        source = path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise BadIsaFile(f"{path} cannot be read: {why}") from error
    if b"\0" in source:
        raise BadIsaFile(f"{path} is no Python file: it has binary content")
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise BadIsaFile(f"{path}{line} is not Python: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadIsaFile(f"{path} is not Python: {_one_line(error)}") from error


def _run(path: Path, code: CodeType) -> ModuleType:
    module = ModuleType(f"isa file {path.stem}")  # no name that an import could ask for
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look for their module there
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            exec(code, module.__dict__)
    except SystemExit as error:
        raise BadIsaFile(
            f"{path}{_line(path, error)} ends Python by itself (SystemExit): let it define MODEL"
        ) from error
    except SyntaxError as error:  # of a module that it imports
        raise BadIsaFile(
            f"{path}{_line(path, error)} imports what is not Python: {error.filename}, line {error.lineno}: {error.msg}"
        ) from error
    except Exception as error:
        kind = "" if isinstance(error, HypernestError) else f"{type(error).__name__}: "
        raise BadIsaFile(f"{path}{_line(path, error)} does not import: {kind}{_one_line(error)}") from error
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
    return module


def _line(path: Path, error: BaseException) -> str:
    """Where in the file it was raised."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(path)]
    return f", line {lines[-1]}," if lines else ""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "it says no more"


def _article(noun: str) -> str:
    return f"{'an' if noun[0].lower() in 'aeio' else 'a'} {noun}"
