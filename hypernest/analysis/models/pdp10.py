"""The PDP-10 around the paper's counterexample (section 5): JRST 1 enters user mode and is not privileged.

The KA10 relocates in user mode only; the paper's model, in both. A strap of the description decides; both are asked.
"""

from __future__ import annotations

from hypernest.analysis.construction.kits.pdp10 import KIT
from hypernest.analysis.model import MachineModel, Setting
from hypernest.isa.pdp10.pdp10 import PDP10
from hypernest.isa.pdp10.state import PROGRAM_FLAGS
from hypernest.isa.pdp10.traps import MEMORY_TRAPS
from hypernest.isa.trace import Bits

_APR = 0o030007
_RESOURCES = {
    "relocation": 0xFF,
    "protection": 0xFF,
    "relocates_executive": 1,
    "user_io": 1,
    "apr": _APR,
    "pi_on": 1,
    "pi_channels": 0x7F,
    "pi_held": 0x7F,
    "switches": (1 << 36) - 1,
}
_CONFIGURATION = ("apr", "pi_on", "pi_channels", "pi_held", "switches")
_NO_USER_IO = {"user_io": Bits(1, 0)}  # a monitor lets no virtual machine at its devices

MODEL = MachineModel(
    isa=PDP10,
    title="DEC PDP-10 (KA10)",
    summary="the instructions around JRST 1: jumps that save and restore flags, monitor calls, I/O, arithmetic",
    modes={"executive": {"user": Bits(1, 0)}, "user": {"user": Bits(1, 1)}},
    resources=_RESOURCES,
    configuration={name: _RESOURCES[name] for name in _CONFIGURATION},
    shifted=frozenset({"relocation"}),
    cell=8,
    unit=1024 * 8,
    memory_size=(1 << 18) * 8,
    memory_traps=frozenset(map(int, MEMORY_TRAPS)),
    legal={"pc": (1 << 18) - 1, "flags": PROGRAM_FLAGS, "apr": _APR},
    settings=(
        Setting(
            name="paper",
            title="executive software run in user mode, relocated in both modes as the paper assumes",
            supervisor="executive",
            fixed=_NO_USER_IO | {"relocates_executive": Bits(1, 1)},
            expected="no monitor because of JRST 1, but a hybrid one (Popek and Goldberg, section 5)",
        ),
        Setting(
            name="ka10",
            title="executive software run in user mode, relocated in user mode only as the KA10 does",
            supervisor="executive",
            fixed=_NO_USER_IO | {"relocates_executive": Bits(1, 0)},
            expected="no monitor, but a hybrid one: every access to memory depends on the mode besides",
        ),
    ),
    kit=KIT,
)
