"""The flattened device tree, version 17 (Devicetree Specification 0.4, chapter 5): from nodes to the blob."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from hypernest.devices.tree import Atom, Phandle, TreeNode, Value

_MAGIC, _VERSION, _COMPATIBLE_WITH = 0xD00D_FEED, 17, 16
_BEGIN_NODE, _END_NODE, _PROPERTY, _END = (Struct(">I").pack(token) for token in (1, 2, 3, 9))
_HEADER = Struct(">10I")
_CELL = Struct(">I")
_RESERVATION = Struct(">QQ")


def flatten(root: TreeNode, boot_hart: int = 0, reserved: Sequence[tuple[int, int]] = ()) -> bytes:
    """The blob for the tree under `root`; `reserved` are (address, size) of memory the guest must not touch.

    Nodes that a `Phandle` refers to get their `phandle` property here. Raises `ValueError` for a reference to a label
    that no node has, a label that two nodes have, and a cell that does not fit 32 bits.
    """
    handles = _phandles(root)
    strings = _Strings()
    structure = b"".join(_node(root, handles, strings)) + _END
    reservations = b"".join(_RESERVATION.pack(*entry) for entry in (*reserved, (0, 0)))
    structure_offset = _HEADER.size + len(reservations)
    strings_offset = structure_offset + len(structure)
    header = _HEADER.pack(
        _MAGIC,
        strings_offset + len(strings.block),
        structure_offset,
        strings_offset,
        _HEADER.size,
        _VERSION,
        _COMPATIBLE_WITH,
        boot_hart,
        len(strings.block),
        len(structure),
    )
    return header + reservations + structure + bytes(strings.block)


class _Strings:
    """The block of property names, each name once."""

    def __init__(self) -> None:
        self.block = bytearray()
        self._offsets: dict[str, int] = {}

    def offset(self, name: str) -> int:
        if name not in self._offsets:
            self._offsets[name] = len(self.block)
            self.block += name.encode("ascii") + b"\0"
        return self._offsets[name]


def _walk(node: TreeNode) -> Iterator[TreeNode]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _phandles(root: TreeNode) -> dict[str, int]:
    """A number for each label, in the order of the tree."""
    handles: dict[str, int] = {}
    for node in _walk(root):
        if node.label in handles:
            raise ValueError(f"two nodes are labelled {node.label}")
        if node.label:
            handles[node.label] = len(handles) + 1
    return handles


def _node(node: TreeNode, handles: dict[str, int], strings: _Strings) -> Iterator[bytes]:
    yield _BEGIN_NODE + _padded(node.name.encode("ascii") + b"\0")
    properties = dict(node.properties)
    if node.label:
        properties["phandle"] = handles[node.label]
    for name, value in properties.items():
        if value is False:
            continue
        data = _encoded(value, handles)
        yield _PROPERTY + _CELL.pack(len(data)) + _CELL.pack(strings.offset(name)) + _padded(data)
    for child in node.children:
        yield from _node(child, handles, strings)
    yield _END_NODE


def _encoded(value: Value, handles: dict[str, int]) -> bytes:
    if value is True:
        return b""
    atoms: Sequence[Atom] = [value] if isinstance(value, int | str | bytes | Phandle) else value
    return b"".join(_atom(atom, handles) for atom in atoms)


def _atom(atom: Atom, handles: dict[str, int]) -> bytes:
    if isinstance(atom, bytes):
        return atom
    if isinstance(atom, str):
        return atom.encode("utf-8") + b"\0"
    if isinstance(atom, Phandle):
        if atom.label not in handles:
            raise ValueError(f"no node is labelled {atom.label}")
        atom = handles[atom.label]
    if not 0 <= atom < 1 << 32:
        raise ValueError(f"{atom} does not fit a cell of 32 bits")
    return _CELL.pack(atom)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
