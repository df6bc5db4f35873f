"""D, double-precision floating point: the unprivileged manual, chapter "D"."""

from __future__ import annotations

from hypernest.isa.floating_point import DOUBLE, F32, F32_TO_F64, F64_TO_F32
from hypernest.isa.hart import Hart
from hypernest.isa.riscv.float_rows import Precision, add_rows, finish, rounding_mode, unbox
from hypernest.isa.row import Extension

D = Extension("D")

add_rows(D, Precision(DOUBLE, suffix="d", memory_suffix="d", fmt="01", memory_width="011"))


@D.row("fcvt.s.d fd, fs1, rm", "0100000 00001 rs1 rm rd 1010011")
def fcvt_s_d(h: Hart) -> None:
    rm = rounding_mode(h)
    finish(h, *F64_TO_F32(h.fs1, rm))


@D.row("fcvt.d.s fd, fs1, rm", "0100001 00000 rs1 rm rd 1010011")
def fcvt_d_s(h: Hart) -> None:
    rounding_mode(h)  # the result is exact, but a reserved mode is illegal all the same
    finish(h, *F32_TO_F64(unbox(F32, h.fs1)))
