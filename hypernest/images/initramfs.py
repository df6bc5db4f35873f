"""Assemble the guest's initial RAM file system: busybox, kernel modules, and an init of our own.

It comes in parts that the kernel unpacks one over the other: the *base* from the distribution's packages, made once
when an image is pulled, the *init* from this package, and at run time an *overlay* with the command to execute.
Nothing is compressed: under an emulator copying is far cheaper than decompressing.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from hypernest.errors import BadConfiguration, BadImage
from hypernest.images import cpio
from hypernest.images.modules import Module, tables

_APPLETS_START = b"[\0[[\0"
_APPLETS_END = b"\0\0"
_LARGEST_COMMAND = 1 << 20

READY = b"\x1b_ready\x1b\\"
"""What the guest prints right before the output of a command that `exec_overlay` put there without `terminal`."""


def base(busybox: bytes, modules: Iterable[Module], release: str) -> bytes:
    """The archive with `busybox` under all its names and the `modules` of kernel `release`."""
    modules = sorted(modules, key=lambda module: module.name)
    folder = f"lib/modules/{release}"
    return cpio.archive(
        [
            *(cpio.folder(name) for name in ("dev", "proc", "sys", "bin", "etc", "mnt", "run", "usr", "var")),
            cpio.folder("root", 0o700),
            cpio.folder("tmp", 0o1777),
            *(cpio.link(name, target) for name, target in _LINKS.items()),
            cpio.character_device("dev/console", 5, 1),
            cpio.character_device("dev/null", 1, 3, 0o666),
            cpio.file("bin/busybox", busybox, 0o755),
            *(cpio.link(f"bin/{name}", "busybox") for name in applets(busybox) if name != "busybox"),
            *(cpio.file(f"{folder}/{module.name}.ko", module.data) for module in modules),
            *(cpio.file(f"{folder}/{name}", data) for name, data in tables(modules).items()),
        ]
    )


_LINKS = {"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin", "var/run": "../run", "etc/mtab": "../proc/mounts"}

_FSTAB = b"""\
none /proc proc defaults 0 0
none /sys sysfs defaults 0 0
none /dev devtmpfs defaults 0 0
none /tmp tmpfs mode=1777 0 0
"""


def init() -> bytes:
    """The archive with the first process and what it needs; later than `base`, so that it wins."""
    sources = files(__package__).joinpath("guest")
    return cpio.archive(
        [
            cpio.file("init", sources.joinpath("init.sh").read_bytes(), 0o755),
            cpio.file("etc/session", sources.joinpath("session.sh").read_bytes()),
            cpio.file("etc/shutdown", sources.joinpath("shutdown.sh").read_bytes()),
            cpio.file("etc/hostname", b"hypernest\n"),
            cpio.file("etc/passwd", b"root::0:0:root:/root:/bin/sh\n"),
            cpio.file("etc/group", b"root:x:0:\n"),
            cpio.file("etc/fstab", _FSTAB),
            cpio.file("etc/filesystems", b"ext4\n"),
            cpio.file("etc/hosts", b"127.0.0.1 localhost hypernest\n"),
        ]
    )


def exec_overlay(command: str | bytes, *, terminal: bool = False) -> bytes:
    """The archive that makes the guest run `command` with `sh` instead of an interactive shell, then power off.

    The command reaches the guest unaltered, and the machine ends with its exit status (128 + n for signal n). Its
    output leaves byte for byte unless `terminal` says that a terminal shows it, which needs `\\r\\n`; then the guest
    also echoes input. Raises `BadConfiguration` for a command with a NUL byte or larger than 1 MiB.
    """
    script = command.encode("utf-8", "surrogateescape") if isinstance(command, str) else command
    if b"\0" in script:
        raise BadConfiguration("the command to execute holds a NUL byte, which no shell can read.")
    if len(script) > _LARGEST_COMMAND:
        raise BadConfiguration(f"the command to execute is larger than {_LARGEST_COMMAND >> 10} KiB.")
    entries = [cpio.file("hypernest/exec", script)]
    if not terminal:
        entries.append(cpio.file("hypernest/exact", b""))
    return cpio.archive(entries)


def applets(busybox: bytes) -> list[str]:
    """The names `busybox` answers to, from the table in its program file; raises `BadImage` if it has none."""
    start = busybox.find(_APPLETS_START + b"a")
    end = busybox.find(_APPLETS_END, start)
    names = busybox[start:end].decode("ascii", "replace").split("\0") if 0 <= start < end else []
    if "sh" not in names or any(not name or "/" in name or not name.isprintable() for name in names):
        raise BadImage("busybox holds no table of its commands; pull the image again.")
    return names
