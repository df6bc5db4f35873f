import contextlib
import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadImage
from hypernest.images import modules
from hypernest.images.modules import Module

SIGNATURE_MARK = b"~Module signature appended~\n"


def object_file(modinfo: bytes) -> bytes:
    """An ELF object with nothing but the section .modinfo."""
    names = b"\0.modinfo\0.shstrtab\0"
    body = 64
    table = body + len(modinfo) + len(names)
    header = struct.pack("<4sBBB9xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 1, 243, 1, 0, 0, table, 0, 64, 0, 0, 64, 3, 2)
    row = struct.Struct("<IIQQQQIIQQ")
    sections = bytes(64) + row.pack(1, 1, 2, 0, body, len(modinfo), 0, 0, 1, 0)
    sections += row.pack(10, 3, 0, 0, body + len(modinfo), len(names), 0, 0, 1, 0)
    return header + modinfo + names + sections


EXT4 = object_file(b"license=GPL\0alias=fs-ext4\0alias=ext3\0depends=jbd2,mbcache,virtio-ring\0name=ext4\0")


def plain(name: str, *depends: str, aliases: tuple[str, ...] = ()) -> Module:
    return Module(name, b"", depends, aliases)


def test_names() -> None:
    assert modules.name_of("usr/lib/modules/6/kernel/drivers/char/hw_random/virtio-rng.ko.xz") == "virtio_rng"
    assert modules.name_of("a/ext4.ko") == "ext4"
    assert modules.name_of("a/modules.order") is None


@pytest.mark.parametrize(("suffix", "compress"), [("", bytes), (".xz", lzma.compress)])
def test_a_module_says_what_it_needs(suffix: str, compress: type[bytes]) -> None:
    module = modules.read(f"kernel/fs/ext4.ko{suffix}", compress(EXT4))
    assert module == Module("ext4", EXT4, ("jbd2", "mbcache", "virtio_ring"), ("fs-ext4", "ext3"))


def test_a_signature_is_taken_off() -> None:
    signed = EXT4 + b"S" * 300 + struct.pack(">8xI", 300) + SIGNATURE_MARK
    assert modules.read("ext4.ko", signed).data == EXT4


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("ext4.ko", b""),
        ("ext4.ko", b"\x7fELF"),
        ("ext4.ko", struct.pack(">8xI", 1 << 31) + SIGNATURE_MARK),
        ("ext4.ko.xz", b"garbage"),
        ("ext4.ko.zst", b"garbage"),
        ("ext4.ko.gz", b"garbage"),
        ("readme", EXT4),
    ],
)
def test_what_is_no_module_is_refused(path: str, data: bytes) -> None:
    with pytest.raises(BadImage, match="is not a kernel module"):
        modules.read(path, data)


@given(st.binary(max_size=200), st.integers(0, len(EXT4) - 1))
def test_garbage_gives_no_other_error(garbage: bytes, at: int) -> None:
    with contextlib.suppress(BadImage):
        modules.read("ext4.ko", EXT4[:at] + garbage + EXT4[at + len(garbage) :])


def test_modprobe_loads_from_the_right() -> None:
    all_modules = [
        plain("ext4", "jbd2", "crc16", "mbcache"),
        plain("jbd2", "crc32"),
        plain("crc16"),
        plain("crc32"),
        plain("mbcache", "crc32"),
    ]
    lines = modules.tables(all_modules)["modules.dep"].decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["crc16.ko", "crc32.ko", "ext4.ko", "jbd2.ko", "mbcache.ko"]
    needs = dict(line.partition(":")[::2] for line in lines)["ext4.ko"].split()
    assert sorted(needs) == ["crc16.ko", "crc32.ko", "jbd2.ko", "mbcache.ko"]
    assert needs.index("crc32.ko") > max(needs.index("jbd2.ko"), needs.index("mbcache.ko"))


def test_aliases_and_what_is_missing() -> None:
    ext4 = plain("ext4", "jbd2", aliases=("fs-ext4", "ext2"))
    assert modules.tables([ext4])["modules.alias"] == b"alias fs-ext4 ext4\nalias ext2 ext4\n"
    assert modules.missing({"ext4": ext4}) == {"jbd2"}
    assert modules.missing({"ext4": ext4, "jbd2": plain("jbd2")}) == set()
