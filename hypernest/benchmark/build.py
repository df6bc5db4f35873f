"""Compiles guests, and keeps what was compiled.

The benchmarks and the tests need small RISC-V programs built from sources of our own. Each kind of program is a
`Toolchain`: a compiler, its options, and the Debian packages that hold it. A binary is kept in the cache folder under
the digest of everything it was made from, so it is built once.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypernest.benchmark.workloads import Kind
from hypernest.errors import HypernestError
from hypernest.images.cache import cache_folder, make_private

GUESTS = Path(__file__).parent / "guests"
COMPILE_TIMEOUT_SECONDS = 120


class MissingTool(HypernestError):
    """A program of the host that is needed and not installed; the message names the Debian packages."""


class BuildFailed(HypernestError):
    """A guest that does not compile, or cannot be kept."""


def find_tool(name: str, packages: str) -> str:
    """Returns the full path of program `name`; raises `MissingTool` naming the Debian `packages` that bring it."""
    path = shutil.which(name)
    if path is None:
        raise MissingTool(f"{name} is not installed: apt-get install {packages} (Debian, Ubuntu).")
    return path


@dataclass(frozen=True)
class Toolchain:
    """How one kind of program is built."""

    compiler: str
    packages: str
    options: tuple[str, ...]
    # Sources and libraries that every program of this kind is linked with.
    common: tuple[Path, ...] = ()
    # Files that the options or the sources name: a change there builds anew.
    depends: tuple[Path, ...] = ()
    libraries: tuple[str, ...] = ()
    # Anything else the result depends on, such as the processor that `-march=native` means.
    salt: str = field(default="", repr=False)

    def build(self, sources: Sequence[Path], defines: Mapping[str, int | str] | None = None) -> Path:
        """Compiles `sources` with the macros `defines`; returns the program, from the cache when it is there.

        Raises `MissingTool` without the compiler, `BuildFailed` with the compiler's first error line.
        """
        compiler = find_tool(self.compiler, self.packages)
        macros = [f"-D{name}={value}" for name, value in sorted((defines or {}).items())]
        files = [*self.common, *sources]
        result = cache_folder() / "guests" / f"{sources[0].stem}-{self._key(compiler, files, macros)}"
        if not result.exists():
            self._compile([compiler, *self.options, *macros, *map(str, files), *self.libraries], result)
        return result

    def _key(self, compiler: str, files: Sequence[Path], macros: Sequence[str]) -> str:
        """The digest of everything the program is made from."""
        version = _run([compiler, "--version"]).stdout.splitlines()[:1]
        digest = hashlib.sha256(repr((version, self.options, self.libraries, macros, self.salt)).encode())
        for path in (*files, *self.depends):
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(_source(path)).digest())
        return digest.hexdigest()[:20]

    @staticmethod
    def _compile(command: list[str], result: Path) -> None:
        try:
            make_private(result.parent)
            with tempfile.TemporaryDirectory(dir=result.parent) as scratch:
                program = Path(scratch) / "program"
                done = _run([*command, "-o", str(program)])
                if done.returncode:
                    lines = done.stderr.splitlines() or ["no message"]
                    error = next((line for line in lines if "error" in line), lines[0])
                    raise BuildFailed(f"a guest does not compile: {error.strip()}.")
                os.replace(program, result)
        except OSError as error:
            raise BuildFailed(f"cannot keep a compiled guest in {result.parent}: {error.strerror}.") from error


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BuildFailed(f"cannot read the guest source {path}: {error.strerror}.") from error


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=COMPILE_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{command[0]} took more than {COMPILE_TIMEOUT_SECONDS} s.") from error


CROSS_COMPILER = "riscv64-linux-gnu-gcc"
CROSS_PACKAGES = "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross"

# Results must be the same bits everywhere: the compiler may not fuse multiplications and additions as it likes.
COMMON_OPTIONS = ("-O2", "-Wall", "-Wextra", "-Werror", "-fno-math-errno", "-ffp-contract=off", f"-I{GUESTS}")

# A freestanding program at 0x8000_0000 in M-mode: bring your own `_start`, or use `BARE`.
FREESTANDING = Toolchain(
    compiler=CROSS_COMPILER,
    packages=CROSS_PACKAGES,
    options=(
        *COMMON_OPTIONS,
        *("-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-DBARE"),
        *("-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-fno-tree-loop-distribute-patterns"),
        *("-Wl,--build-id=none", f"-Wl,-T,{GUESTS / 'guest.ld'}"),
    ),
    depends=(GUESTS / "guest.ld", GUESTS / "workload.h"),
)

# A bare-machine workload: start.S and harness.c around `prepare` and `workload` (see workload.h).
BARE = Toolchain(
    compiler=CROSS_COMPILER,
    packages=CROSS_PACKAGES,
    options=FREESTANDING.options,
    common=(GUESTS / "start.S", GUESTS / "harness.c"),
    depends=FREESTANDING.depends,
)

# A static program for Linux on RISC-V.
LINUX = Toolchain(
    compiler=CROSS_COMPILER,
    packages=CROSS_PACKAGES,
    options=(*COMMON_OPTIONS, "-march=rv64gc", "-mabi=lp64d", "-static"),
    depends=(GUESTS / "workload.h", GUESTS / "linux_workloads.h"),
)
LINUX_SOURCES = tuple(GUESTS / name for name in ("linux_workloads.c", "compress.c", "interpreter.c"))


def native_toolchains() -> dict[Kind, Toolchain]:
    """The same sources as programs of this host, for comparison: with all that its processor can do."""
    from hypernest.benchmark.host import cpu_model

    bare = Toolchain(
        compiler="gcc",
        packages="gcc libc6-dev",
        options=(*COMMON_OPTIONS, "-march=native"),
        common=(GUESTS / "harness.c",),
        depends=(GUESTS / "workload.h",),
        libraries=("-lm",),
        salt=f"{platform.machine()} {cpu_model()}",
    )
    # Static as the guest's program is, or fork and exec would not do the same.
    linux = replace(bare, options=(*bare.options, "-static"), common=(), depends=LINUX.depends)
    return {Kind.BARE: bare, Kind.LINUX: linux}
