import subprocess

import pytest

from hypernest.errors import BadConfiguration, BadImage
from hypernest.images import exec_overlay, initramfs
from hypernest.images.modules import Module

BUSYBOX = b"\x7fELF....\x08 [\0[[\0acpid\0sh\0zcat\0\0/var/log"


def extract(archive: bytes, path: str) -> bytes:
    command = ["cpio", "-i", "--quiet", "--to-stdout", path]
    return subprocess.run(command, input=archive, capture_output=True, check=True).stdout


def names(archive: bytes) -> list[str]:
    result = subprocess.run(["cpio", "-it", "--quiet"], input=archive, capture_output=True, check=True)
    return result.stdout.decode().splitlines()


def test_base_has_busybox_under_its_names_and_the_modules() -> None:
    base = initramfs.base(BUSYBOX, [Module("virtio_mmio", b"ko", (), ())], "6.12")
    listed = names(base)
    assert {"bin/busybox", "bin/sh", "bin/[[", "bin/zcat", "dev/console", "sbin", "tmp"} <= set(listed)
    assert extract(base, "lib/modules/6.12/virtio_mmio.ko") == b"ko"
    assert extract(base, "lib/modules/6.12/modules.dep") == b"virtio_mmio.ko:\n"
    assert base == initramfs.base(BUSYBOX, [Module("virtio_mmio", b"ko", (), ())], "6.12")


@pytest.mark.parametrize("data", [b"", b"no table", b"[\0[[\0acpid", b"[\0[[\0a/b\0sh\0\0", b"[\0[[\0a\0\0"])
def test_a_busybox_without_its_table_is_refused(data: bytes) -> None:
    with pytest.raises(BadImage, match="busybox"):
        initramfs.applets(data)


def test_the_scripts_of_the_init_are_shell() -> None:
    init = initramfs.init()
    for name in ("init", "etc/session", "etc/shutdown"):
        subprocess.run(["sh", "-n"], input=extract(init, name), check=True)
    assert init == initramfs.init()


@pytest.mark.parametrize(
    "command", ["echo hi", "echo 'a\"b' \\\n$(x) \u00fc", b"\xff\xfe\n", "", "x" * 300_000, "echo \udc80"]
)
def test_the_command_is_passed_unaltered(command: str | bytes) -> None:
    expected = command if isinstance(command, bytes) else command.encode("utf-8", "surrogateescape")
    overlay = exec_overlay(command)
    assert extract(overlay, "hypernest/exec") == expected
    assert "hypernest/exact" in names(overlay)
    assert "hypernest/exact" not in names(exec_overlay(command, terminal=True))


@pytest.mark.parametrize("command", ["a\0b", b"\0", "x" * (1 << 20) + "y"])
def test_a_command_no_shell_can_take_is_refused(command: str | bytes) -> None:
    with pytest.raises(BadConfiguration, match="command to execute"):
        exec_overlay(command)
