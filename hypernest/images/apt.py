"""Fetch packages of a foreign architecture with the host's `apt-get`, unprivileged and apart from the host's state.

apt resolves, downloads, resumes and verifies: the release file by the archive's key, the index by the release file,
each package by the index. It keeps the host's settings for proxies, certificates and passwords, but has a folder, a
source and an architecture of its own, and trusts no key but the keyring it is given.
"""

from __future__ import annotations

import os
import re
import selectors
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypernest.images.cache import no_space
from hypernest.images.errors import PullFailed
from hypernest.images.progress import Progress

_KEYRINGS = tuple(Path("/usr/share/keyrings", f"debian-archive-keyring.{suffix}") for suffix in ("gpg", "pgp", "asc"))
_HELPER = "/usr/lib/apt/apt-helper"
_OWN_FILES = "pass your own files with --kernel and --initrd"

_CONFIGURATION = """\
#clear APT::Architectures;
#clear APT::Update;
#clear APT::Default-Release;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/state/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
Dir::Log "{folder}/log";
Dir::Etc::sourcelist "{folder}/debian.sources";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/none";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "{folder}/none";
"""

_SOURCE = """\
Types: deb
URIs: {mirror}
Suites: {suite}
Components: main
Architectures: {architecture}
Targets: Packages
Signed-By: {keyring}
"""

_UNVERIFIED = (
    "the signature of {mirror} cannot be verified with {keyring}: is it Debian's archive, and is the package "
    "debian-archive-keyring recent enough to know {suite}?"
)

# What apt says when it fails, and what to tell the user, the most telling first.
_FAILURES: tuple[tuple[str, str], ...] = (
    (
        r"NO_PUBKEY|EXPKEYSIG|BADSIG|GPG error",
        _UNVERIFIED,
    ),
    (
        r"Could not resolve|Temporary failure resolving|Could not connect|Unable to connect|Connection (timed|refused)|"
        r"Network is unreachable|Proxy|Connection failed",
        "cannot reach {mirror} ({reason}): check the network, give another mirror with --mirror URI, or {own_files}.",
    ),
    (
        r"does not have a Release file|Failed to fetch \S+ +[45]\d\d |File not found|Unable to locate|No such file|"
        r"No packages found",
        "{mirror} has no Debian {suite} for {architecture} ({reason}): give another mirror with --mirror URI, or "
        "{own_files}.",
    ),
    (
        r"is not signed|public key is not available|Missing key",
        _UNVERIFIED,
    ),
    (r"", "apt-get cannot use {mirror} ({reason}): give another mirror with --mirror URI, or {own_files}."),
)
_FULL = re.compile(r"No space left on device|don't have enough free space|Disk quota exceeded")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A package the archive offers: its file's `size` in bytes and SHA-256 are from the signed index."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int


class Apt:
    """An apt of its own in `folder`, for the packages of `suite` at `mirror` for `architecture`.

    Every method raises `PullFailed` with the reason. `mirror` is kept for printing, without a password.
    """

    def __init__(self, folder: Path, mirror: str, suite: str, architecture: str) -> None:
        if not all(shutil.which(program) for program in ("apt-get", "apt-cache", _HELPER)):
            raise PullFailed(f"this host has no apt-get to fetch Debian packages with, {_OWN_FILES}.")
        if not re.fullmatch(r"[a-z0-9+]+:[^\s\"#\x00-\x1f]+", mirror):
            raise PullFailed(f"{mirror!r} is not the URI of a mirror, such as http://HOST/debian.")
        if re.search(r"[\"\n;]", str(folder)):
            raise PullFailed(f"apt cannot work in {folder} because of its name, choose another with HYPERNEST_CACHE.")
        self._folder = folder
        self.mirror = _without_password(mirror)
        self._said = {
            "mirror": self.mirror,
            "suite": suite,
            "architecture": architecture,
            "keyring": str(_keyring()),
            "own_files": _OWN_FILES,
        }
        for name in ("state/lists/partial", "cache/archives/partial", "log", "none", "packages"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "debian.sources").write_text(_SOURCE.format(**{**self._said, "mirror": mirror}))
        (folder / "apt.conf").write_text(_CONFIGURATION.format(folder=folder, architecture=architecture))

    def update(self, progress: Progress) -> None:
        """Fetch and verify the index of packages."""
        self._run("apt-get", ["update", "--error-on=any"], "Fetching the index of packages", 0, progress)

    def dependencies(self, package: str) -> list[str]:
        """The names `package` depends on."""
        text = self._run("apt-cache", ["depends", "--important", "--no-pre-depends", package])
        return re.findall(r"^ *\|?Depends: ([^<\s]\S*)$", text, re.MULTILINE)

    def candidate(self, package: str) -> Candidate:
        """What the archive offers for `package`."""
        text = self._run("apt-cache", ["show", "--no-all-versions", package])
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", text.partition("\n\n")[0], re.MULTILINE))
        try:
            return Candidate(
                fields["Package"], fields["Version"], fields["Architecture"], fields["SHA256"], int(fields["Size"])
            )
        except (KeyError, ValueError) as error:
            raise self._failure(f"bad index entry for {package}") from error

    def download(self, candidates: Sequence[Candidate], progress: Progress) -> list[Path]:
        """The files of `candidates`, verified; what is there already is not fetched again, a part is completed."""
        total = sum(candidate.size for candidate in candidates)
        before, paths = 0, []
        for candidate in candidates:
            paths.append(self._fetch(candidate, before, total, progress))
            before += candidate.size
        return paths

    def _fetch(self, candidate: Candidate, before: int, whole: int, progress: Progress) -> Path:
        """The file of `candidate`, when `before` of `whole` bytes are there already."""
        path = self._folder / "packages" / f"{candidate.name}.deb"

        def advance(step: str, done: int, total: int) -> None:
            progress(step, before + done, whole)

        if not _holds(path, candidate):
            wanted = f"{candidate.name}={candidate.version}"
            listed = self._run("apt-get", ["--print-uris", "download", wanted])
            uri = re.search(r"^'([^']+)'", listed, re.MULTILINE)
            if uri is None:
                raise self._failure(f"No such file: {wanted}")
            # apt-get itself starts every download anew; its helper completes what is there.
            arguments = ["download-file", uri[1], path.name, f"SHA256:{candidate.sha256}"]
            self._run(_HELPER, arguments, "Fetching packages", candidate.size, advance)
            if not _holds(path, candidate):
                raise self._failure(f"{candidate.name} did not arrive as the index says")
        return path

    def _run(
        self, program: str, arguments: list[str], step: str = "", total: int = 0, progress: Progress | None = None
    ) -> str:
        """Run an apt program in the folder of packages; what it printed, once it succeeded."""
        reading, writing = os.pipe()
        command = [program, "-q", "-c", str(self._folder / "apt.conf"), f"-oAPT::Status-Fd={writing}", *arguments]
        try:
            with subprocess.Popen(
                command,
                cwd=self._folder / "packages",
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[writing],
            ) as process:
                os.close(writing)
                writing = -1
                try:
                    text = _follow(process, reading, step, total, progress)
                    status = process.wait()
                except BaseException:
                    process.terminate()
                    raise
        except OSError as error:
            raise self._failure(f"{program}: {error.strerror}") from error
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)
        if status:
            raise self._failure(text)
        return text

    def _failure(self, text: str) -> PullFailed:
        if _FULL.search(text):
            return no_space(self._folder)
        complaints = re.findall(r"^[EW]: *(.*)$", text, re.MULTILINE) or text.strip().splitlines()[-1:] or ["it failed"]
        pattern, sentence = next(row for row in _FAILURES if re.search(row[0], text))
        telling = next((line for line in complaints if pattern and re.search(pattern, line)), complaints[0])
        reason = re.sub(r"^Failed to fetch \S+ +", "", _without_password(telling)).strip().rstrip(".")
        return PullFailed(sentence.format(reason=reason, **self._said))


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _keyring() -> Path:
    """The keyring of Debian's archive on this host."""
    for path in _KEYRINGS:
        if path.exists():
            return path
    raise PullFailed(
        "the keys that sign Debian's archive are not on this host: install the package debian-archive-keyring, or "
        f"{_OWN_FILES}."
    )


def _follow(process: subprocess.Popen[bytes], status: int, step: str, total: int, progress: Progress | None) -> str:
    """Read what `process` prints and, from the descriptor `status`, how far it is, until it closes both."""
    assert process.stdout is not None
    printed, pending = bytearray(), b""
    with selectors.DefaultSelector() as selector:
        for descriptor in (process.stdout.fileno(), status):
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fd)
                elif key.fd != status:
                    printed += data
                else:
                    *lines, pending = (pending + data).split(b"\n")
                    for line in lines:
                        # dlstatus:ITEM:PERCENT OF ALL:TEXT
                        if progress and (match := re.match(rb"dlstatus:\d+:([\d.]+):", line)):
                            progress(step, int(float(match[1]) * total / 100), total)
    return printed.decode("utf-8", "replace")


def _holds(path: Path, candidate: Candidate) -> bool:
    """Whether `path` is the whole and true file of `candidate`."""
    import hashlib

    try:
        if path.stat().st_size != candidate.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == candidate.sha256
    except FileNotFoundError:
        return False
