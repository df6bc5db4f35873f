"""The image as it is pulled, and booted on QEMU's board: the guest must not depend on our own machine being right."""

import os
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from hypernest import images
from hypernest.images import cache, debian, sources
from hypernest.images.cache import FORMAT, Manifest, Part


def start(
    image: images.Image, folder: Path, append: str = "", overlay: bytes = b"", options: Sequence[str] = ()
) -> "subprocess.Popen[bytes]":
    initrd = folder / "initrd"
    initrd.write_bytes(b"".join(path.read_bytes() for path in image.initrds) + overlay)
    command: list[str | Path] = [
        "qemu-system-riscv64",
        "-M",
        "virt",
        "-m",
        "256M",
        "-nographic",
        "-no-reboot",
        "-kernel",
        image.kernel,
    ]
    command += ["-initrd", initrd, "-append", f"{image.append} {append}", *options]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Talk:
    """A conversation with a guest over its console."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.heard = ""

    def hear(self, text: str) -> str:
        """All that is said until `text`; what comes behind it is kept."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + 120
        while text not in self.heard:
            assert select.select([self.process.stdout], [], [], deadline - time.monotonic())[0], self.heard
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, self.heard
            self.heard += data.decode(errors="replace")
        said, _, self.heard = self.heard.partition(text)
        return said

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()


def test_what_is_kept_of_the_packages(debian_image: images.Image) -> None:
    kernel = debian_image.kernel.read_bytes()
    assert kernel[0x38:0x3C] == b"RSC\x05"
    names = [package.name for package in debian_image.packages]
    assert names[0].startswith("linux-image-6") and names[1] == "busybox-static"
    assert {package.architecture for package in debian_image.packages} == {"riscv64"}
    base = debian_image.initrds[0].read_bytes()
    listed = subprocess.run(["cpio", "-it", "--quiet"], input=base, capture_output=True, check=True).stdout.decode()
    for module in debian._MODULES:
        assert f"/{module}.ko\n" in listed
    assert images.pull("debian") == debian_image


def test_without_a_source_the_user_is_told_how_to_name_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "host_mirrors", lambda: sources.mirrors([]))
    with pytest.raises(images.PullFailed, match=r"--mirror URI.*--kernel and --initrd"):
        images.pull("debian")


def test_a_failed_pull_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))
    folder = cache.image_folder("debian")
    cache.make_private(folder)
    cache.publish(folder, Manifest(FORMAT, "build", Part("kernel", 6), [], "here", []), {"kernel": b"kernel"})
    before = images.find("debian")
    assert images.pull("debian") == before, "what is here is left alone"
    with pytest.raises(images.PullFailed, match="has no Debian"):
        images.pull("debian", mirror=f"file:{tmp_path}", refresh=True)
    assert images.find("debian") == before


def test_too_small_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERNEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "_NEEDED_SPACE", 1 << 60)
    with pytest.raises(images.PullFailed, match="no space is left .* are needed"):
        images.pull("debian", mirror="file:/x")


def test_a_command_runs_unaltered_and_its_status_comes_back(debian_image: images.Image, tmp_path: Path) -> None:
    command = 'printf \'a\\nb\\r\\n\\001\'\nprintf %s "it\'s \\"quoted\\"" | cat\ntty >/dev/null && exit 37'
    process = start(debian_image, tmp_path, "loglevel=0", images.exec_overlay(command))
    output, _ = process.communicate(timeout=120)
    assert output.endswith(b'a\nb\r\n\x01it\'s "quoted"'), output[-500:]
    assert process.returncode == 37


def test_a_shell_with_job_control_a_disk_and_a_clean_end(debian_image: images.Image, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(16 << 20))
    options = ["-drive", f"if=none,id=d,file={disk},format=raw", "-device", "virtio-blk-device,drive=d"]
    talk = Talk(start(debian_image, tmp_path, "hypernest.size=91x29 hypernest.term=xterm", options=options))
    talk.hear("~ # ")
    talk.say("stty size; echo $TERM\r")
    assert "29 91\r\nxterm\r\n" in talk.hear("~ # ")
    talk.say("echo started; sleep 1000\r")
    talk.hear("started\r\n")
    time.sleep(0.5)
    talk.say("\x03")
    talk.hear("~ # ")
    talk.say("sleep 1000 & jobs\r")
    assert "Running" in talk.hear("~ # ")
    talk.say("mke2fs /dev/vda >/dev/null && mount /dev/vda /mnt && echo kept >/mnt/file; grep vda /proc/mounts\r")
    talk.hear("ext4 rw")
    talk.say("cd /mnt; poweroff\r")
    assert talk.process.wait(60) == 0
    assert b"kept\n" in disk.read_bytes()
