import shutil
import subprocess
from pathlib import Path

import pytest

from hypernest.images import sources
from hypernest.images.sources import Source, mirrors, parse_deb822, parse_file, parse_one_line

DEB822 = """\
Types: deb deb-src
# a comment between the fields
URIs: http://one.example/debian
 http://two.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

# only sources

Types: deb-src
URIs: http://source.example/debian
Suites: sid
Components: main

types: deb
uris: http://security.example/debian-security
suites: bookworm-security
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
"""

ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb http://third.example/apt bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://one.example/debian stable main # why
deb-src http://source.example/debian bookworm main
  deb cdrom:[Debian GNU/Linux 13]/ trixie main
deb	https://two.example/debian/	trixie	main non-free
deb http://flat.example/ ./
deb
deb [ http://broken.example
"""

UBUNTU = """\
Types: deb
URIs: http://ubuntu.example/ubuntu/
Suites: noble noble-updates noble-backports
Components: main universe
Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg
"""


def test_deb822() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    parsed = list(parse_deb822(DEB822))
    assert parsed[:4] == [
        Source(f"http://{host}.example/debian{end}", suite, ("main", "contrib"), keyring)
        for host, end in (("one", ""), ("two", "/"))
        for suite in ("bookworm", "bookworm-updates")
    ]
    assert [(source.uri, source.suite) for source in parsed[4:]] == [
        ("http://security.example/debian-security", "bookworm-security")
    ]


def test_one_line() -> None:
    parsed = list(parse_one_line(ONE_LINE))
    assert Source("http://third.example/apt", "bookworm", ("main",)) in parsed
    assert Source("https://two.example/debian/", "trixie", ("main", "non-free")) in parsed
    assert Source("http://flat.example/", ".", ()) in parsed
    assert not any("comment" in source.uri or "source" in source.uri for source in parsed)


def test_debian_mirrors_are_those_of_its_releases_the_surest_first() -> None:
    assert mirrors(parse_deb822(DEB822)) == ["http://one.example/debian", "http://two.example/debian"]
    assert mirrors(parse_one_line(ONE_LINE)) == [
        "http://one.example/debian",
        "http://third.example/apt",
        "https://two.example/debian",
    ]


def test_ubuntu_has_no_debian_mirror() -> None:
    assert mirrors(parse_deb822(UBUNTU)) == []
    assert mirrors(parse_one_line("deb http://ubuntu.example/ubuntu jammy main universe\n")) == []


@pytest.mark.parametrize(
    "text", ["", ":", "\n\n\n", "Types: deb", " continued", "\x00\xff", "Types: deb\nURIs:\n a b\n"]
)
def test_nonsense_gives_no_source(text: str) -> None:
    assert list(parse_deb822(text)) == []
    assert list(parse_one_line(text)) == []


def test_files_by_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.sources").write_text(UBUNTU)
    (tmp_path / "a.list").write_text("deb http://x.example/debian sid main\n")
    assert len(parse_file(tmp_path / "a.sources")) == 3
    assert mirrors(parse_file(tmp_path / "a.list")) == ["http://x.example/debian"]
    assert parse_file(tmp_path / "missing.list") == []


def test_the_host_is_asked_where_its_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (tmp_path / "main.list").write_text("deb http://main.example/debian bookworm main\n")
    (parts / "b.sources").write_text(DEB822)
    (parts / "b.sources.save").write_text(DEB822.replace("one", "saved"))
    answer = f"main='{tmp_path / 'main.list'}'\nparts='{parts}/'\n"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **options: subprocess.CompletedProcess(command, 0, stdout=answer, stderr=""),
    )
    assert sources.host_mirrors() == [
        "http://one.example/debian",
        "http://two.example/debian",
        "http://main.example/debian",
    ]
