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


def object_code(folder: Path) -> list[bytes]:
    """The machine code of the interpreter as ELF objects, from `folder` or made now (and kept if possible)."""
    from hypernest.engines.interpreter.generation import PARTS, generate, key

    paths = {part: folder / f"interpreter-{key(part)}.o" for part in PARTS}
    codes = {part: code for part, path in paths.items() if (code := _read(path)) is not None}
    missing = [part for part in PARTS if part not in codes]
    for part, code in generate(missing).items() if missing else ():
        _write(paths[part], code)
        codes[part] = code
    return [codes[part] for part in PARTS]


def target_machine(level: int = 1) -> Any:
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


def sealed(code: bytes) -> bytes:
    """`code` with what tells whether it is whole."""
    return MAGIC + hashlib.sha256(code).digest() + code


def unsealed(data: bytes) -> bytes | None:
    """The code of which `data` is the sealed form, None if it is not."""
    code = data[len(MAGIC) + 32 :]
    return code if data == sealed(code) else None


def _read(path: Path) -> bytes | None:
    """The checked contents of a cached object, None if there is none that can be trusted."""
    try:
        if not is_private(path, path.parent):
            return None
        return unsealed(path.read_bytes())
    except OSError:
        return None


def _write(path: Path, code: bytes) -> None:
    """Keep `code`; a folder that cannot be written only means that it is made again next time."""
    try:
        make_folder(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(sealed(code))
        os.replace(file.name, path)
    except OSError:
        return
