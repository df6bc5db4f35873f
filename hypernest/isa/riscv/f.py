"""F, single-precision floating point: the unprivileged manual, chapter "F"."""

from __future__ import annotations

from hypernest.isa.floating_point import SINGLE
from hypernest.isa.riscv.float_rows import Precision, add_rows
from hypernest.isa.row import Extension

F = Extension("F")

add_rows(F, Precision(SINGLE, suffix="s", memory_suffix="w", fmt="00", memory_width="010"))
