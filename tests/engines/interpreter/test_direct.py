"""Direct handlers are where fast handlers leave to: the two modules that hold them must agree."""

from __future__ import annotations

import re

from hypernest.engines.interpreter.module import print_base, print_handlers
from hypernest.isa.riscv.riscv64 import RISCV64

NAME = r'(@"direct_[^"]*")'


def test_every_handler_that_is_needed_is_there_and_no_other() -> None:
    made = re.findall(rf"^define .*{NAME}", print_base(RISCV64), re.MULTILINE)
    handlers = print_handlers(RISCV64)
    declared = set(re.findall(rf"^declare .*{NAME}", handlers, re.MULTILINE))
    assert set(made) == declared == set(re.findall(NAME, handlers)) and len(made) == len(declared)
    assert {'@"direct_csrrw_4"', '@"direct_ld_4"', '@"direct_ld_2"'} <= declared
    assert '@"direct_add_4"' not in declared
