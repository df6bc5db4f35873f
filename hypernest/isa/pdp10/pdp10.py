"""The PDP-10 as one `Isa`."""

from __future__ import annotations

from hypernest.isa.isa import Isa
from hypernest.isa.pdp10.arithmetic import ARITHMETIC, MOVES, TESTS
from hypernest.isa.pdp10.calls import CALLS
from hypernest.isa.pdp10.input_output import INPUT_OUTPUT
from hypernest.isa.pdp10.jumps import JUMPS
from hypernest.isa.pdp10.state import REGISTERS
from hypernest.isa.pdp10.storage import fetch, load, store, translate
from hypernest.isa.pdp10.traps import Cause, take_trap

PDP10 = Isa(
    name="pdp10",
    registers=REGISTERS,
    rows=MOVES.rows | ARITHMETIC.rows | TESTS.rows | JUMPS.rows | CALLS.rows | INPUT_OUTPUT.rows,
    translate=translate,
    load={36: load},
    store={36: store},
    fetch=fetch,
    take_trap=take_trap,
    causes={cause: cause.name.replace("_", " ").lower() for cause in Cause},
    illegal_instruction=Cause.UNASSIGNED_CODE,
)
