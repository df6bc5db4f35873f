"""The interpreter's object code: generated once, kept on disk under what it was made from.

The key covers the source text of everything that takes part in generating it, the versions of llvmlite and LLVM, and
the host's processor, so a changed description or a moved cache folder can never run old code. The file is checked
before use: a damaged one is made again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypernest.private_files import is_private, make_folder

MAGIC = b"hypernest object 1\n"


@cache
def source_digest() -> bytes:
    """A digest of the modules that the generated code depends on, as they were when this process first asked.

    Python keeps the modules that it has imported, so a process whose files are replaced under it (an upgrade) must not
    take up native code that fits the new ones.
    """
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for folder in ("isa", "lowering", "engines"):
        for path in sorted(p for p in (package / folder).rglob("*") if p.suffix in (".py", ".ll")):
            digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def generator(what: str) -> bytes:
    """A digest of everything that takes part in generating `what`: sources, compiler, host processor."""
    import llvmlite
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    about = (what, llvmlite.__version__, llvm.llvm_version_info, llvm.get_host_cpu_name(), features)
    return hashlib.sha256(source_digest() + repr(about).encode()).digest()


def object_code(folder: Path, level: int = 2) -> bytes:
    """The machine code of the interpreter as an ELF object, from `folder` or made now (and kept if possible)."""
    key = generator(f"interpreter at level {level}").hex()
    path = folder / f"interpreter-{key[:32]}.o"
    found = _read(path)
    if found is None:
        found = _generate(level)
        _write(path, found)
    return found


def target_machine(level: int = 2) -> Any:
    """LLVM's description of this host."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        llvm.get_host_cpu_name(), features, level, reloc="pic", codemodel="small", jit=True
    )


def _generate(level: int) -> bytes:
    import llvmlite.binding as llvm

    from hypernest.engines.interpreter.module import print_module
    from hypernest.isa.riscv.riscv64 import RISCV64

    machine = target_machine(level)
    module = llvm.parse_assembly(print_module(RISCV64))
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=1))
    passes.getModulePassManager().run(module, passes)
    code: bytes = machine.emit_object(module)
    return code


def _read(path: Path) -> bytes | None:
    """The checked contents of a cached object, None if there is none that can be trusted."""
    try:
        if not is_private(path, path.parent):
            return None
        data = path.read_bytes()
    except OSError:
        return None
    head, code = data[: len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    return code if head == MAGIC + hashlib.sha256(code).digest() else None


def _write(path: Path, code: bytes) -> None:
    """Keep `code`; a folder that cannot be written only means that it is made again next time."""
    try:
        make_folder(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(MAGIC + hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)
    except OSError:
        return
