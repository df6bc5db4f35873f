import hashlib
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypernest.images import PullFailed, apt, silent
from hypernest.images.apt import Apt, Candidate

INDEX = """\
Package: linux-image-riscv64
Version: 6.12.1-1
Architecture: riscv64
Depends: linux-image-6.12.1-riscv64 (= 6.12.1-1), or-this | or-that
Filename: pool/meta.deb
Size: 3
SHA256: {meta}

Package: linux-image-6.12.1-riscv64
Version: 6.12.1-1
Architecture: riscv64
Filename: pool/linux.deb
Size: {size}
SHA256: {hash}

"""
CONTENTS = bytes(range(256)) * 4000


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A Debian archive that nobody signed."""
    folder = tmp_path / "mirror"
    index = folder / "dists/trixie/main/binary-riscv64"
    index.mkdir(parents=True)
    (folder / "pool").mkdir()
    (folder / "pool/linux.deb").write_bytes(CONTENTS)
    meta = hashlib.sha256(b"abc").hexdigest()
    text = INDEX.format(meta=meta, size=len(CONTENTS), hash=hashlib.sha256(CONTENTS).hexdigest()).encode()
    (index / "Packages").write_bytes(text)
    (folder / "dists/trixie/Release").write_text(
        "Suite: stable\nCodename: trixie\nArchitectures: riscv64\nComponents: main\n"
        "Date: Sat, 01 Nov 2025 00:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} main/binary-riscv64/Packages\n"
    )
    return folder


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives need no signature, to try the rest on one of our own."""
    monkeypatch.setattr(apt, "_SOURCE", apt._SOURCE + "Trusted: yes\n")
    monkeypatch.setattr(
        apt, "_CONFIGURATION", apt._CONFIGURATION.replace('Repositories "false"', 'Repositories "true"')
    )


def own(tmp_path: Path, mirror: object) -> Apt:
    return Apt(tmp_path / "apt", str(mirror), "trixie", "riscv64")


def test_an_archive_without_debians_signature_is_refused(tmp_path: Path, mirror: Path) -> None:
    with pytest.raises(PullFailed, match=r"the signature of file:\S+/mirror cannot be verified") as raised:
        own(tmp_path, f"file:{mirror}").update(silent)
    assert "\n" not in str(raised.value)


def test_the_kernel_is_found_through_its_metapackage(tmp_path: Path, mirror: Path, trusting: None) -> None:
    used = own(tmp_path, f"file:{mirror}")
    used.update(silent)
    assert "linux-image-6.12.1-riscv64" in used.dependencies("linux-image-riscv64")
    candidate = used.candidate("linux-image-6.12.1-riscv64")
    assert (candidate.version, candidate.size) == ("6.12.1-1", len(CONTENTS))
    assert used.download([candidate], silent)[0].read_bytes() == CONTENTS
    with pytest.raises(PullFailed, match="has no Debian trixie for riscv64"):
        used.candidate("no-such-package")


def test_a_package_that_is_not_as_the_index_says_is_refused(tmp_path: Path, mirror: Path, trusting: None) -> None:
    (mirror / "pool/linux.deb").write_bytes(CONTENTS[:-1] + b"!")
    used = own(tmp_path, f"file:{mirror}")
    used.update(silent)
    with pytest.raises(PullFailed, match="apt-get cannot use .*Hash Sum mismatch"):
        used.download([used.candidate("linux-image-6.12.1-riscv64")], silent)


def test_a_mirror_that_has_nothing(tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match=r"has no Debian trixie for riscv64.*--mirror URI"):
        own(tmp_path, f"file:{tmp_path}/nothing").update(silent)


@pytest.mark.parametrize("uri", ["", "foo", "http://a b", 'http://a"b', "http://a\nDeb: b", "/debian", "http:"])
def test_what_is_no_uri_is_refused_before_apt_sees_it(tmp_path: Path, uri: str) -> None:
    with pytest.raises(PullFailed, match="is not the URI of a mirror"):
        own(tmp_path, uri)


def test_a_password_is_not_repeated(tmp_path: Path) -> None:
    used = own(tmp_path, "http://me:secret@localhost:1/debian")
    assert used.mirror == "http://localhost:1/debian"
    with pytest.raises(PullFailed, match="cannot reach http://localhost:1/debian") as raised:
        used.update(silent)
    assert "secret" not in str(raised.value)


def test_a_host_without_apt_or_keys_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_KEYRINGS", (tmp_path / "none.gpg",))
    with pytest.raises(PullFailed, match="install the package debian-archive-keyring, or pass your own files"):
        own(tmp_path, "file:/x")
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(PullFailed, match="has no apt-get"):
        own(tmp_path, "file:/x")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    failure = own(tmp_path, "file:/x")._failure("E: Write error - write (28: No space left on device)\nE: more\n")
    assert str(failure).startswith("no space is left") and "\n" not in str(failure)


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves a mirror with ranges, and breaks the first transfer of a package off in the middle."""

    protocol_version = "HTTP/1.1"
    folder: Path
    asked: list[str | None]

    def do_GET(self) -> None:
        try:
            data = (self.folder / self.path.lstrip("/")).read_bytes()
        except OSError:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        wanted = self.headers.get("Range")
        if self.path.endswith(".deb"):
            self.asked.append(wanted)
        if wanted:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if wanted else 200)
        self.send_header("Last-Modified", "Sat, 01 Nov 2025 00:00:00 GMT")
        self.send_header("Content-Length", str(len(data) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        broken = self.path.endswith(".deb") and len(self.asked) == 1
        self.wfile.write(data[start : len(data) // 2] if broken else data[start:])
        self.close_connection = broken

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str | None]]]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    asked: list[str | None] = []
    handler = type("Handler", (Ranges,), {"folder": mirror, "asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


def test_a_broken_download_is_completed(tmp_path: Path, server: tuple[str, list[str | None]], trusting: None) -> None:
    uri, asked = server
    used = own(tmp_path, uri)
    used.update(silent)
    steps: list[tuple[str, int, int]] = []
    candidate = used.candidate("linux-image-6.12.1-riscv64")
    (path,) = used.download([candidate], lambda step, done, total: steps.append((step, done, total)))
    assert path.read_bytes() == CONTENTS
    assert asked[0] is None and asked[1] == f"bytes={len(CONTENTS) // 2}-"
    assert all(done <= total == len(CONTENTS) for _, done, total in steps)
    before = len(asked)
    used.download([candidate], silent)
    assert len(asked) == before, "what is whole is not fetched again"


def test_a_candidate_of_another_size_is_fetched_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(b"abc")
    whole = Candidate("x", "1", "riscv64", hashlib.sha256(b"abc").hexdigest(), 3)
    assert apt._holds(path, whole)
    assert not apt._holds(path, Candidate("x", "1", "riscv64", whole.sha256, 4))
    assert not apt._holds(path, Candidate("x", "1", "riscv64", "00", 3))
    assert not apt._holds(tmp_path / "none", whole)
