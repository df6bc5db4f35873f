"""Find out from where this host gets Debian packages, by reading apt's own configuration.

hypernest knows no mirror by name. It takes those that the host's administrator chose, for whichever Debian release;
the mirror of one release has the others too. Both formats apt knows are read: deb822 (`.sources`) and one-line
(`.list`). A host of another distribution has no such source, and the user must name one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_SUITES = {
    *("oldoldstable", "oldstable", "stable", "testing", "unstable", "sid"),
    *("buster", "bullseye", "bookworm", "trixie", "forky", "duke"),
}
_UNUSABLE = ("cdrom:",)
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """One repository of binary packages that apt is told of."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def host_mirrors() -> list[str]:
    """URIs of Debian archives that this host is configured to use, the likeliest first; empty if there is none."""
    return mirrors(source for path in _configuration_files() for source in parse_file(path))


def mirrors(sources: Iterable[Source]) -> list[str]:
    """The URIs among `sources` that may be Debian's main archive, the likeliest first.

    A third party may use the names of Debian's releases for its own archive: whether an archive is Debian's shows when
    its signature is checked.
    """
    candidates = [
        source
        for source in sources
        if source.suite in _SUITES and "main" in source.components and not source.uri.startswith(_UNUSABLE)
    ]
    candidates.sort(key=lambda source: "debian-archive" not in source.signed_by)
    return list(dict.fromkeys(source.uri.rstrip("/") for source in candidates))


def parse_file(path: Path) -> list[Source]:
    """The sources in the file `path`; what cannot be read or understood is passed over, as the file is the host's."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return []
    return list(parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text))


def parse_deb822(text: str) -> Iterator[Source]:
    """The sources in a deb822 file: paragraphs of `Field: value`, values continued on indented lines."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line[:1] in (" ", "\t"):
                fields[name] = fields.get(name, "") + " " + line.strip()
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(uri, suite.rstrip("/"), components, fields.get("signed-by", ""))


def parse_one_line(text: str) -> Iterator[Source]:
    """The sources in a one-line file: `deb [option=value ...] URI SUITE COMPONENT...`."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<rest>\S.*)", line.partition("#")[0])
        if not match:
            continue
        options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
        uri, *rest = match["rest"].split()
        if rest:
            yield Source(uri, rest[0].rstrip("/"), tuple(rest[1:]), options.get("signed-by", ""))


def _configuration_files() -> list[Path]:
    """The files apt reads its sources from on this host."""
    main, parts = Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d")
    if apt_config := shutil.which("apt-config"):
        command = [apt_config, "shell", "main", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        said = dict(re.findall(r"^(\w+)='([^']*)'$", result.stdout, re.MULTILINE))
        main, parts = Path(said.get("main", main)), Path(said.get("parts", parts))
    try:
        more = sorted(path for path in parts.iterdir() if path.suffix in (".list", ".sources"))
    except OSError:
        more = []
    return [main, *more]
