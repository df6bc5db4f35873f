"""The image `debian`: Debian's kernel for RISC-V with a busybox user land, fetched from the host's package sources."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from hypernest.images import deb, initramfs, modules
from hypernest.images.apt import Apt, Candidate
from hypernest.images.cache import (
    FORMAT,
    Manifest,
    Package,
    Part,
    clear_failures,
    image_folder,
    locked,
    make_private,
    no_space,
    part_path,
    publish,
    read_manifest,
)
from hypernest.images.errors import ImageDamaged, PullFailed
from hypernest.images.progress import Progress, silent
from hypernest.images.sources import host_mirrors

NAME = "debian"
SUITE = "trixie"
ARCHITECTURE = "riscv64"

# The kernel's tests of its own cryptography and random numbers, and a table for readers of its trace events, are three
# quarters of what it executes until the first process. Without the early console, a kernel that finds too little memory
# would die in silence.
APPEND = "console=ttyS0 quiet earlycon=sbi cryptomgr.notests initcall_blacklist=jent_mod_init,trace_eval_init"

_KERNEL_METAPACKAGE = f"linux-image-{ARCHITECTURE}"
_BUSYBOX_PACKAGE = "busybox-static"
_BUSYBOX_FILES = ("usr/bin/busybox", "bin/busybox")
_KERNEL_FILE = re.compile(r"boot/vmlinu[xz]-(.+)")
_MODULES = frozenset(
    {
        *("virtio_mmio", "virtio_blk", "virtio_rng"),
        *("ext4", "jbd2", "mbcache", "crc16", "crc32c_generic", "libcrc32c"),
    }
)
_NEEDED_SPACE = 220_000_000  # the packages, the index, and what is kept of them


def pull(*, mirror: str | None = None, refresh: bool = False, progress: Progress = silent) -> None:
    """Fetch the packages, verify them, and keep what the guest needs of them in the cache.

    An image that is there is left alone unless `refresh`. `mirror` is the URI of a Debian archive; by default those
    that the host is configured to use. Can be interrupted and repeated; several at once wait for one another. Raises
    `PullFailed`.
    """
    folder = image_folder(NAME)
    with clear_failures(folder):
        make_private(folder)
        with locked(folder):
            if refresh or not _is_whole(folder):
                _pull(folder, [mirror] if mirror else _host_mirrors(), progress)


def _is_whole(folder: Path) -> bool:
    try:
        manifest = read_manifest(folder)
        if manifest is None:
            return False
        for part in (manifest.kernel, *manifest.initrds):
            part_path(folder, manifest, part)
    except ImageDamaged:
        return False
    return True


def _host_mirrors() -> list[str]:
    mirrors = host_mirrors()
    if not mirrors:
        raise PullFailed(
            "no source of Debian packages is configured on this host: name a Debian mirror with --mirror URI, or pass "
            "your own files with --kernel and --initrd."
        )
    return mirrors


def _pull(folder: Path, mirrors: list[str], progress: Progress) -> None:
    work = folder / "work"
    if shutil.disk_usage(folder).free < _NEEDED_SPACE:
        raise no_space(folder, _NEEDED_SPACE)
    work.mkdir(mode=0o700, exist_ok=True)
    apt = _first_usable(work, mirrors, progress)
    kernel_package = next((name for name in apt.dependencies(_KERNEL_METAPACKAGE) if "image" in name), None)
    if kernel_package is None:
        raise PullFailed(
            f"{_KERNEL_METAPACKAGE} at {apt.mirror} names no kernel, give another mirror with --mirror URI."
        )
    candidates = [apt.candidate(kernel_package), apt.candidate(_BUSYBOX_PACKAGE)]
    kernel_deb, busybox_deb = apt.download(candidates, progress)
    progress("Unpacking", 0, 0)
    kernel, release, chosen = _unpack_kernel(kernel_deb)
    base = initramfs.base(_unpack_busybox(busybox_deb), chosen, release)
    files = {"kernel": kernel, "base.cpio": base}
    publish(
        folder,
        Manifest(
            format=FORMAT,
            build=f"{release}-{hashlib.sha256(kernel + base).hexdigest()[:16]}",
            kernel=Part("kernel", len(kernel)),
            initrds=[Part("base.cpio", len(base))],
            origin=f"Debian {SUITE}, {apt.mirror}",
            packages=[_record(candidate) for candidate in candidates],
        ),
        files,
    )


def _first_usable(work: Path, mirrors: list[str], progress: Progress) -> Apt:
    """The first of `mirrors` that is a Debian archive with our suite; raises the first one's failure if none is."""
    first_failure: PullFailed | None = None
    for mirror in mirrors:
        try:
            apt = Apt(work, mirror, SUITE, ARCHITECTURE)
            apt.update(progress)
            return apt
        except PullFailed as failure:
            first_failure = first_failure or failure
    assert first_failure is not None  # there is at least one mirror
    raise first_failure


def _unpack_kernel(package: Path) -> tuple[bytes, str, list[modules.Module]]:
    """The kernel's image, its release, and the modules a guest needs, with all they depend on."""
    kernel, release = b"", ""
    chosen: dict[str, modules.Module] = {}
    wanted = set(_MODULES)
    while wanted:
        names = frozenset(wanted)
        for path, data in deb.files(package, lambda path: _belongs(path, names)):  # noqa: B023 (used at once)
            if match := _KERNEL_FILE.fullmatch(path):
                kernel, release = data, match[1]
            else:
                module = modules.read(path, data)
                chosen[module.name] = module
        # A later kernel may have built in what was a module; but what a module says it needs must be there.
        wanted = modules.missing(chosen)
        if wanted & names:
            raise PullFailed(f"{package.name} lacks modules it needs: {', '.join(sorted(wanted & names))}.")
    if not kernel or not re.fullmatch(r"[\w.+~-]+", release):
        raise PullFailed(f"{package.name} holds no kernel, pull again.")
    return kernel, release, list(chosen.values())


def _belongs(path: str, names: frozenset[str]) -> bool:
    return modules.name_of(path) in names or _KERNEL_FILE.fullmatch(path) is not None


def _unpack_busybox(package: Path) -> bytes:
    for _, data in deb.files(package, lambda path: path in _BUSYBOX_FILES):
        return data
    raise PullFailed(f"{package.name} holds no busybox, pull again.")


def _record(candidate: Candidate) -> Package:
    return Package(candidate.name, candidate.version, candidate.architecture, candidate.sha256, candidate.size)
