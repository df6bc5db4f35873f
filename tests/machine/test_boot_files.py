import contextlib
import gzip
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadImage
from hypernest.images import Image
from hypernest.machine import boot_files
from hypernest.machine.boot_files import BootFile, Program, Segment, read_program

RAM, FLAT = 0x8000_0000, 0x8020_0000
RISCV, X86_64, ARM64 = 243, 62, 183


def image(body: bytes = b"code", offset: int = 0x20_0000, size: int = 0, flags: int = 0) -> bytes:
    """A Linux Image: Documentation/arch/riscv/boot-image-header.rst"""
    header = struct.pack("<IIQQQIIQ8s4sI", 0x6F, 0, offset, size, flags, 2, 0, 0, b"RISCV\0\0\0", b"RSC\x05", 0)
    return header + body


def elf(
    *segments: tuple[int, int, bytes, int],
    entry: int = RAM,
    machine: int = RISCV,
    wide: int = 2,
    endian: int = 1,
    kind: int = 2,
) -> bytes:
    """An ELF file of (virtual address, physical address, contents, size in memory)."""
    start = 64 + 56 * len(segments)
    header = struct.pack("<4sBBB9xHHIQ", b"\x7fELF", wide, endian, 1, kind, machine, 1, entry)
    header += struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    table, contents = b"", b""
    for virtual, physical, data, size in segments:
        table += struct.pack("<IIQQQQQQ", 1, 7, start + len(contents), virtual, physical, len(data), size, 4096)
        contents += data
    return header + table + contents


def read(source: bytes | Path) -> Program:
    return read_program(source, "kernel", RAM, FLAT)


def parts(program: Program) -> list[tuple[int, bytes]]:
    return [(one.address, b"".join(program.file.chunks(one.offset, one.count))) for one in program.segments]


def test_an_image_goes_to_its_offset_and_takes_what_its_header_says() -> None:
    program = read(image(offset=0x40_0000, size=0x1000))
    assert program.segments == (Segment(RAM + 0x40_0000, 0, 68, 0x1000),)
    assert program.entry == RAM + 0x40_0000 and program.end == RAM + 0x40_1000


def test_an_image_stays_above_the_firmware() -> None:
    assert read_program(image(offset=0), "kernel", RAM, FLAT).entry == FLAT


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "Image.gz"
    path.write_bytes(gzip.compress(image()))
    assert parts(read(path)) == parts(read(image())) == [(FLAT, image())]


def test_anything_else_is_flat() -> None:
    program = read(b"\x13\0\0\0")
    assert parts(program) == [(FLAT, b"\x13\0\0\0")] and program.entry == FLAT


def test_an_elf_goes_to_its_physical_addresses() -> None:
    virtual = 0xFFFF_FFFF_8000_0000
    program = read(elf((virtual, RAM, b"text", 4), (virtual + 0x1000, RAM + 0x1000, b"da", 0x200), entry=virtual + 2))
    assert parts(program) == [(RAM, b"text"), (RAM + 0x1000, b"da")]
    assert program.entry == RAM + 2 and program.end == RAM + 0x1200


def test_opensbi_is_read_from_either_file() -> None:
    folder = Path("/usr/lib/riscv64-linux-gnu/opensbi/generic")
    linked = read_program(folder / "fw_jump.elf", "firmware", RAM, RAM)
    flat = read_program(folder / "fw_jump.bin", "firmware", RAM, RAM)
    assert linked.entry == flat.entry == RAM
    whole = parts(flat)[0][1]
    for address, data in parts(linked):
        assert whole[address - RAM : address - RAM + len(data)] == data[: max(0, len(whole) - (address - RAM))]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (image(flags=1), "big-endian"),
        (image(size=10), "longer than its header says"),
        (image(offset=1 << 50), "damaged Linux Image header"),
        (image(offset=123), "damaged Linux Image header"),
        (gzip.compress(b""), "unpacks to nothing"),
        (gzip.compress(image())[:-9], "ends too early"),
        (b"\x1f\x8b" + b"garbage" * 9, "damaged gzip data"),
        (b"\x7fELF", "ends in its header"),
        (elf((RAM, RAM, b"x", 1), machine=X86_64), "for x86-64"),
        (elf((RAM, RAM, b"x", 1), machine=ARM64), "for 64-bit Arm"),
        (elf((RAM, RAM, b"x", 1), machine=9999), "for machine 9999"),
        (elf((RAM, RAM, b"x", 1), wide=1), "for 32-bit RISC-V"),
        (elf((RAM, RAM, b"x", 1), endian=2), "for a big-endian machine"),
        (elf((RAM, RAM, b"x", 1), kind=1), "not linked into a program"),
        (elf(), "entry point outside"),
        (elf((RAM, RAM, b"x", 1), entry=RAM + 1), "entry point outside"),
        (elf((RAM, RAM, b"longer", 3)), "ends before its contents"),
        (elf((RAM, RAM, b"cut off", 9))[:-3], "ends before its contents"),
        (elf((RAM, RAM, b"x", 1))[:100], "ends in its program headers"),
        (b"\xfd7zXZ\0" + bytes(600), "compressed with xz: unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "compressed with zstd"),
        (b"BZh9" + bytes(600), "compressed with bzip2"),
        (b"MZ\0\0zimg" + bytes(600), "compressed EFI kernel"),
        (bytes(0x38) + b"ARM\x64", "Image for Arm"),
        (bytes(0x202) + b"HdrS", "kernel for x86"),
        (b"QFI\xfb\0", "qcow2"),
        (b"070701" + bytes(100), "give it as the initrd"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_used_is_named(data: bytes, message: str) -> None:
    with pytest.raises(BadImage, match=message) as raised:
        read(data)
    assert "\n" not in str(raised.value) and str(raised.value).startswith("kernel ")


def test_a_position_independent_elf_file_linked_at_0_goes_where_flat_binaries_go() -> None:
    program = read(elf((0, 0, b"code", 4), (0x1000, 0x1000, b"data", 8), entry=2, kind=3))
    assert parts(program) == [(FLAT, b"code"), (FLAT + 0x1000, b"data")]
    assert (program.entry, program.end) == (FLAT + 2, FLAT + 0x1008)
    assert read(elf((0, 0, b"code", 4), entry=2, kind=2)).entry == 2
    assert read(elf((RAM, RAM, b"code", 4), kind=3)).entry == RAM


@pytest.mark.parametrize("kept", [100, 300, 1 << 20, 31_000_000])
def test_debians_kernel_cut_short_is_noticed(debian_image: Image, kept: int) -> None:
    whole = debian_image.kernel.read_bytes()
    assert read(whole).end > FLAT + len(whole)
    with pytest.raises(BadImage, match=r"ends (too early|in its header)"):
        read(whole[:kept])


def test_a_gzip_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot_files, "_LARGEST_UNPACKED", 1 << 20)
    assert read(gzip.compress(bytes(1 << 20))).file.size == 1 << 20
    with pytest.raises(BadImage, match="unpacks to more than"):
        read(gzip.compress(bytes((1 << 20) + 1)))


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is not a file"),
        (Path("/dev/zero"), "it is not a file"),
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "a\0b", "null"),
        (tmp_path / "loop", "symbolic links"),
    ):
        if path.name == "loop":
            path.symlink_to(path)
        with pytest.raises(BadImage, match=rf"kernel .* cannot be read \(.*{message}.*\): give a readable file"):
            read(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(bytes(100))
    program = read(path)
    path.write_bytes(bytes(50))
    with pytest.raises(BadImage, match="shorter while it was read"):
        parts(program)


def test_an_initrd_stays_packed() -> None:
    packed = gzip.compress(b"files")
    assert BootFile(packed, "initrd", packed=True).read(0, 100) == packed


WHOLE = elf((RAM, RAM, b"text", 64), (RAM + 0x1000, RAM + 0x1000, b"data", 4))
PE = image(b"PE\0\0" + struct.pack("<HHIIIHH", 0x5064, 2, 0, 0, 0, 0, 0) + bytes(80)).replace(b"o\0\0\0", b"MZ\0\0", 1)


@given(
    st.one_of(
        st.binary(max_size=600),
        st.builds(
            lambda start, rest: start + rest, st.sampled_from([b"\x7fELF\2\1", b"\x1f\x8b\x08", b"MZ"]), st.binary()
        ),
        st.builds(
            lambda base, at, new: base[:at] + new + base[at + len(new) :],
            st.sampled_from([WHOLE, image(), PE, gzip.compress(WHOLE)]),
            st.integers(0, 200),
            st.binary(max_size=16),
        ),
        st.builds(lambda base, end: base[:end], st.sampled_from([WHOLE, image(), PE]), st.integers(0, 200)),
    )
)
def test_garbage_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadImage):
        program = read(data)
        assert program.segments
        for segment in program.segments:
            assert 0 <= segment.count <= segment.size
            assert segment.offset + segment.count <= program.file.size
        assert any(one.address <= program.entry < one.address + one.size for one in program.segments)
