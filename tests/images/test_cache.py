import errno
import json
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest import images
from hypernest.images import cache, initramfs
from hypernest.images.cache import FORMAT, Manifest, Package, Part

MANIFEST = Manifest(
    format=FORMAT,
    build="6.12-abc",
    kernel=Part("kernel", 6),
    initrds=[Part("base.cpio", 4)],
    origin="Debian trixie, http://mirror.example/debian",
    packages=[Package("linux-image-6.12-riscv64", "6.12.1-1", "riscv64", "00" * 32, 99)],
)
FILES = {"kernel": b"kernel", "base.cpio": b"base"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))
    folder = cache.image_folder("debian")
    cache.make_private(folder)
    return folder


def change(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_a_published_image_is_found(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    image = images.find("debian")
    assert image.kernel.read_bytes() == b"kernel"
    assert [path.read_bytes() for path in image.initrds[:-1]] == [b"base"]
    assert image.initrds[-1].read_bytes() == initramfs.init()
    assert image.origin == MANIFEST.origin and image.packages == tuple(MANIFEST.packages)
    assert image.size == sum(path.stat().st_size for path in (image.kernel, *image.initrds))
    assert images.installed()[0] == image


def test_the_folder_is_private(folder: Path) -> None:
    assert stat.S_IMODE(cache.cache_folder().stat().st_mode) == 0o700


def test_a_folder_others_can_write_to_is_refused(folder: Path) -> None:
    cache.cache_folder().chmod(0o777)
    with pytest.raises(images.PullFailed, match="others can write"):
        cache.make_private(folder)


def test_what_was_not_pulled_is_missing(folder: Path) -> None:
    with pytest.raises(images.ImageMissing, match="hypernest pull debian"):
        images.find("debian")
    with pytest.raises(images.ImageMissing, match="there is no image 'fedora', only .*debian"):
        images.find("fedora")
    assert "debian" not in [image.name for image in images.installed()]


def test_an_older_format_counts_as_not_pulled(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    change(folder, format=FORMAT - 1)
    assert cache.read_manifest(folder) is None


def test_a_new_build_replaces_the_old_and_clears_up(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    (folder / "work").mkdir()
    newer = Manifest(FORMAT, "6.13-def", MANIFEST.kernel, MANIFEST.initrds, "new", [])
    cache.publish(folder, newer, FILES)
    assert images.find("debian").origin == "new"
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["6.13-def"]


def test_an_interrupted_publication_leaves_the_old_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.publish(folder, MANIFEST, FILES)
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache.publish(folder, Manifest(FORMAT, "next", MANIFEST.kernel, [], "new", []), FILES)
    monkeypatch.undo()
    os.environ["HYPERNEST_CACHE"] = str(folder.parent.parent)
    try:
        assert images.find("debian").kernel.read_bytes() == b"kernel"
    finally:
        del os.environ["HYPERNEST_CACHE"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": "1"}',
        b'{"format": 1}',
        b"1" * 2_000_000,
    ],
)
def test_a_garbled_manifest(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(images.ImageDamaged, match="hypernest pull debian' again"):
        images.find("debian")


@pytest.mark.parametrize("name", ["../kernel", "/etc/passwd", "", ".", "..", "a/b", "a\0b", "a\nb"])
def test_a_manifest_that_names_files_elsewhere(folder: Path, name: str) -> None:
    cache.publish(folder, MANIFEST, FILES)
    change(folder, kernel={"file": name, "size": 6})
    with pytest.raises(images.ImageDamaged, match="outside it"):
        images.find("debian")


def test_a_build_that_lies_elsewhere(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    change(folder, build="..")
    with pytest.raises(images.ImageDamaged, match="outside it"):
        images.find("debian")


def test_a_truncated_a_missing_and_a_linked_file(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    kernel = folder / MANIFEST.build / "kernel"
    kernel.write_bytes(b"kern")
    with pytest.raises(images.ImageDamaged, match="not as it was pulled"):
        images.find("debian")
    kernel.unlink()
    with pytest.raises(images.ImageDamaged, match="is missing"):
        images.find("debian")
    kernel.symlink_to("/etc/hostname")
    with pytest.raises(images.ImageDamaged, match="not as it was pulled"):
        images.find("debian")


def test_a_newer_format(folder: Path) -> None:
    cache.publish(folder, MANIFEST, FILES)
    change(folder, format=FORMAT + 1)
    with pytest.raises(images.ImageDamaged, match="its format is"):
        images.find("debian")


@given(st.binary(max_size=300))
def test_any_manifest_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(images.ImageDamaged):
        cache.read_manifest(folder)


def test_the_lock_lets_one_in_at_a_time(folder: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with cache.locked(folder):
            order.append("second")

    with cache.locked(folder):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "no space is left"),
        (errno.EDQUOT, "no space is left"),
        (errno.EROFS, r"cannot write to /x \(read-only file system\)"),
        (errno.EACCES, r"cannot write to /x \(permission denied\)"),
    ],
)
def test_what_the_file_system_refuses_is_one_line(code: int, message: str) -> None:
    with pytest.raises(images.PullFailed, match=message) as raised, cache.clear_failures(Path("/x")):
        raise OSError(code, os.strerror(code))
    assert "\n" not in str(raised.value)
