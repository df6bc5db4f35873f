"""The model machine as one `Isa`."""

from __future__ import annotations

from hypernest.isa.isa import Isa
from hypernest.isa.third_generation.instructions import BASE
from hypernest.isa.third_generation.privileged import PRIVILEGED
from hypernest.isa.third_generation.state import REGISTERS
from hypernest.isa.third_generation.storage import fetch, load, store, translate
from hypernest.isa.third_generation.traps import Cause, take_trap

THIRD_GENERATION = Isa(
    name="third-generation",
    registers=REGISTERS,
    rows=BASE.rows | PRIVILEGED.rows,
    translate=translate,
    load={64: load},
    store={64: store},
    fetch=fetch,
    take_trap=take_trap,
    causes={cause: cause.name.replace("_", " ").lower() for cause in Cause},
    illegal_instruction=Cause.ILLEGAL_INSTRUCTION,
)
