import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from hypernest.errors import BadImage
from hypernest.images import deb


def everything(name: str) -> bool:
    return True


def tar(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


def package(folder: Path, data: bytes, name: str = "data.tar.xz", control: bytes = b"odd") -> Path:
    path = folder / "some.deb"
    path.write_bytes(ar(("debian-binary", b"2.0\n"), ("control.tar.xz", control), (name, data)))
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("data.tar", bytes),
        ("data.tar.gz", gzip.compress),
        ("data.tar.xz", lzma.compress),
        ("data.tar.zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_files_are_read_whatever_the_compression(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    data = tar(("./usr/bin/busybox", b"elf" * 1000), ("./boot/vmlinux-6", b"MZ"), ("./usr/share/doc", b"no"))
    path = package(tmp_path, compress(data), name)
    found = dict(deb.files(path, lambda name: not name.startswith("usr/share")))
    assert found == {"usr/bin/busybox": b"elf" * 1000, "boot/vmlinux-6": b"MZ"}


@pytest.mark.parametrize("name", ["../etc/passwd", "./a/../../b", "/etc/passwd", "a/.."])
def test_a_name_outside_the_package_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadImage, match="outside itself"):
        list(deb.files(package(tmp_path, lzma.compress(tar((name, b"x")))), everything))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    data = tar(
        link("kernel", "/etc/shadow"),
        link("hard", "../../etc/shadow", tarfile.LNKTYPE),
        link("device", "", tarfile.CHRTYPE),
        ("kernel", b"real"),
    )
    assert list(deb.files(package(tmp_path, lzma.compress(data)), everything)) == [("kernel", b"real")]


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("boot/vmlinux")
    info.size = 1 << 40
    with pytest.raises(BadImage, match="larger than"):
        list(deb.files(package(tmp_path, lzma.compress(info.tobuf())), everything))


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"MZ",
        b"!<arch>\n",
        b"!<arch>\nshort",
        ar(("debian-binary", b"2.0\n")),
        ar(("data.tar.lz4", b"x")),
        ar(("data.tar.xz", b"no xz at all")),
        ar(("data.tar.zst", b"no zstandard")),
        ar(("data.tar.gz", b"no gzip here")),
        ar(("data.tar.xz", lzma.compress(tar(("a", b"x" * 9999)))[:100])),
        ar(("data.tar", tar(("a", b"x" * 9999))[:3000])),
        b"!<arch>\n" + b"data.tar".ljust(48) + b"-5".ljust(10) + b"`\n",
    ],
)
def test_what_is_no_package_gives_one_clear_line(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "bad.deb"
    path.write_bytes(contents)
    with pytest.raises(BadImage, match=r"^\S*bad\.deb is a damaged Debian package \(.*\), delete it and pull again\.$"):
        list(deb.files(path, everything))


WHOLE = ar(("data.tar.xz", lzma.compress(tar(("./a", b"contents" * 50)))))


@given(at=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), packed=st.booleans())
def test_a_changed_byte_never_gives_another_error(
    at: int, value: int, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = bytearray(WHOLE if packed else ar(("data.tar", tar(("./a", b"contents" * 50)))))
    whole[at] = value
    path = tmp_path_factory.getbasetemp() / "changed.deb"
    path.write_bytes(whole)
    with contextlib.suppress(BadImage):
        for name, _ in deb.files(path, everything):
            assert not name.startswith(("/", ".."))
