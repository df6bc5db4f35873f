"""Choose kernel modules and write the tables by which `modprobe` finds them.

Debian's package leaves out `modules.dep` and `modules.alias` (depmod makes them at installation), so both are made
here from what each module says of itself in its `.modinfo` section.

Signatures are taken off. The package they came in was verified; a guest that verifies them again spends forty million
instructions on each module, a tenth of its boot. (Linux then calls itself tainted, which changes nothing else.)
"""

from __future__ import annotations

import io
import lzma
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from hypernest.errors import BadImage

_LARGEST_MODULE = 64 << 20
_SIGNATURE_MARK = b"~Module signature appended~\n"
_SIGNATURE_INFO = 12  # bytes before the mark; the last four are the size of the signature, which lies before them
_SECTION = struct.Struct("<I20xQQ24x")  # of Elf64_Shdr: sh_name, sh_offset, sh_size
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module: its object file, uncompressed and unsigned, and what it says of itself."""

    name: str
    data: bytes
    depends: tuple[str, ...]
    aliases: tuple[str, ...]


def name_of(path: str) -> str | None:
    """The module's name if `path` is a module's file: `kernel/drivers/virtio/virtio-rng.ko.xz` is `virtio_rng`."""
    file = PurePosixPath(path).name
    for suffix in _SUFFIXES:
        if file.endswith(suffix):
            return file.removesuffix(suffix).replace("-", "_")
    return None


def read(path: str, data: bytes) -> Module:
    """The module in the file `path` of contents `data`; raises `BadImage` if it is none."""
    name = name_of(path)
    try:
        data = _without_signature(_decompress(path, data))
        section = _section(data, b".modinfo")
    except (lzma.LZMAError, zlib.error, OSError, EOFError, ValueError, struct.error) as error:
        raise BadImage(f"{path} is not a kernel module ({error}), pull the image again.") from error
    if name is None:
        raise BadImage(f"{path} is not a kernel module, pull the image again.")
    said = [item.decode("utf-8", "replace").partition("=") for item in section.split(b"\0")]
    depends = [one for key, _, value in said if key == "depends" for one in value.split(",") if one]
    return Module(
        name,
        data,
        tuple(one.replace("-", "_") for one in depends),
        tuple(value for key, _, value in said if key == "alias"),
    )


def missing(modules: Mapping[str, Module]) -> set[str]:
    """The names that some of `modules` depend on and that are not among them."""
    return {name for module in modules.values() for name in module.depends} - modules.keys()


def tables(modules: Iterable[Module]) -> dict[str, bytes]:
    """`modules.dep` and `modules.alias` for modules that all lie in one folder as `NAME.ko`."""
    ordered = {module.name: module for module in sorted(modules, key=lambda module: module.name)}
    dep = "".join(f"{name}.ko:{''.join(f' {one}.ko' for one in _all_depends(name, ordered))}\n" for name in ordered)
    alias = "".join(f"alias {alias} {name}\n" for name, module in ordered.items() for alias in module.aliases)
    return {"modules.dep": dep.encode(), "modules.alias": alias.encode()}


def _all_depends(name: str, modules: Mapping[str, Module]) -> list[str]:
    """What `name` needs, directly or not, in the order modprobe wants: the first to load comes last."""
    order: list[str] = []

    def visit(one: str) -> None:
        for needed in modules[one].depends:
            if needed in modules and needed not in order:
                visit(needed)
                order.append(needed)

    visit(name)
    return order[::-1]


def _section(data: bytes, name: bytes) -> bytes:
    """The contents of the section `name` of the 64-bit ELF file `data`; raises `ValueError` or `struct.error`."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("it is no 64-bit ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    row_size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    if row_size < _SECTION.size or table + row_size * count > len(data) or names_index >= count:
        raise ValueError("its section table is damaged")
    rows = [_SECTION.unpack_from(data, table + row_size * index) for index in range(count)]
    _, names_start, names_size = rows[names_index]
    names = data[names_start : names_start + names_size]
    for name_start, start, size in rows:
        if names.startswith(name + b"\0", name_start):
            return data[start : start + size]
    raise ValueError(f"it has no section {name.decode()}")


def _without_signature(data: bytes) -> bytes:
    if not data.endswith(_SIGNATURE_MARK):
        return data
    end = len(data) - len(_SIGNATURE_MARK)
    size = int.from_bytes(data[end - 4 : end], "big")
    return data[: max(0, end - _SIGNATURE_INFO - size)]


def _decompress(path: str, data: bytes) -> bytes:
    match PurePosixPath(path).suffix:
        case ".xz":
            data = lzma.LZMADecompressor().decompress(data, max_length=_LARGEST_MODULE + 1)
        case ".zst":
            import zstandard

            try:
                data = zstandard.ZstdDecompressor().stream_reader(data).read(_LARGEST_MODULE + 1)
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from error
        case ".gz":
            import gzip

            data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_LARGEST_MODULE + 1)
    if len(data) > _LARGEST_MODULE:
        raise ValueError(f"larger than {_LARGEST_MODULE >> 20} MiB")
    return data
