"""The suite: what is run, how much of it, how it is timed, and what hypernest wants to reach."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# No workload may be slower than this share of QEMU's speed.
FLOOR = 0.8


class Kind(Enum):
    """What the workload runs on; decides how it is built and booted."""

    BARE = "bare machine"
    LINUX = "Linux"


class Metric(Enum):
    """Which seconds of a run count."""

    INSIDE = "from the guest's begin to its end"
    WALL = "the whole process"
    UNTIL_BEGIN = "until the guest's first word"


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    `program` is the C file (bare machine) or the mode of `linux_workloads` (Linux; empty: only boot and power off).
    `count` is the amount of work in the workload's own unit, `quick_count` about a tenth or less of it. `goal` is the
    least speed wanted as a share of QEMU's, `limit_seconds` the longest time wanted.
    """

    name: str
    title: str
    kind: Kind
    program: str
    count: int
    quick_count: int
    metric: Metric = Metric.INSIDE
    goal: float | None = FLOOR
    limit_seconds: float | None = None
    # Every run starts with an empty cache folder: what hypernest generates once is generated in this run, the
    # interpreter as well as regions of the guest's code.
    cold: bool = False


@dataclass(frozen=True)
class Group:
    """Workloads whose speeds count together: the geometric mean is wanted to reach `goal`."""

    title: str
    members: tuple[str, ...]
    goal: float


# What a cache is filled with before anything counts: the interpreter, and nothing of any guest.
NOTHING = Workload("nothing", "no work", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None)

WORKLOADS = (
    Workload("startup", "until the first instruction", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None, 0.7),
    Workload(
        "generation", "the same, empty cache", Kind.BARE, "nothing", 1, 1, Metric.UNTIL_BEGIN, None, 5.0, cold=True
    ),
    Workload("integer", "integer mix", Kind.BARE, "integer", 52, 3, goal=1.5),
    Workload("chase", "pointer chase, 32 MiB", Kind.BARE, "chase", 4, 1),
    Workload("sort", "branchy sort", Kind.BARE, "sort", 24, 2),
    Workload("nbody", "n-body, double precision", Kind.BARE, "nbody", 24, 2),
    Workload("matrix", "matrix product, fused", Kind.BARE, "matrix", 40, 3),
    Workload("mandelbrot", "Mandelbrot set", Kind.BARE, "mandelbrot", 25, 2),
    Workload("boot", "boot to user space, power off", Kind.LINUX, "", 0, 0, Metric.WALL, goal=1.5),
    Workload("boot-cold", "the same, empty cache", Kind.LINUX, "", 0, 0, Metric.WALL, goal=1.0, cold=True),
    Workload("syscalls", "system calls", Kind.LINUX, "syscalls", 1_000_000, 50_000, goal=1.2),
    Workload("forkexec", "fork and exec", Kind.LINUX, "forkexec", 100, 10, goal=1.2),
    Workload("freshpages", "touching fresh pages", Kind.LINUX, "freshpages", 6, 1, goal=1.2),
    Workload("sha256", "SHA-256", Kind.LINUX, "sha256", 300, 20),
    Workload("sorttext", "sorting text", Kind.LINUX, "sorttext", 200_000, 20_000),
    Workload("compress", "compressing text and back", Kind.LINUX, "compress", 7, 1),
    Workload("interpreter", "a bytecode interpreter's loop", Kind.LINUX, "interpreter", 110, 10),
)

GROUPS = (
    Group("floating point", ("nbody", "matrix", "mandelbrot"), 2.0),
    Group("computing under Linux", ("sha256", "sorttext", "compress", "interpreter"), 1.5),
)
