"""The paper's model machine: the relocation-bounds register is all there is to R, and relocation acts in both modes."""

from __future__ import annotations

from hypernest.analysis.construction.kits.third_generation import KIT
from hypernest.analysis.model import MachineModel, Setting
from hypernest.isa.third_generation.third_generation import THIRD_GENERATION
from hypernest.isa.third_generation.traps import Cause
from hypernest.isa.trace import Bits

_ADDRESSES = (1 << 20) - 1

MODEL = MachineModel(
    isa=THIRD_GENERATION,
    title="The third generation machine of Popek and Goldberg",
    summary="section 2 of the paper: storage, mode, program counter, relocation-bounds register, trap by PSW swap",
    modes={"supervisor": {"mode": Bits(1, 0)}, "user": {"mode": Bits(1, 1)}},
    resources={"location": _ADDRESSES, "bound": _ADDRESSES},
    shifted=frozenset({"location"}),
    cell=8,
    unit=8,
    memory_size=(_ADDRESSES + 1) * 8,
    memory_traps=frozenset({int(Cause.MEMORY)}),
    legal={"pc": _ADDRESSES},
    settings=(
        Setting(
            name="plain",
            title="supervisor software run in user mode",
            expected="virtualizable, recursively and by a hybrid monitor: the machine the theorems are about",
        ),
    ),
    kit=KIT,
)
