"""What the monitor and the hybrid monitor make of x86."""

from __future__ import annotations

import pytest

from hypernest.analysis.construction import HybridMonitor, VirtualMachineMonitor
from hypernest.analysis.construction.kits import x86
from hypernest.analysis.models import x86 as x86_model
from tests.analysis.construction.machines import ROBIN_IRVINE, X86, divergences, trial


@pytest.mark.parametrize("level", [VirtualMachineMonitor, HybridMonitor])
def test_x86_diverges_where_robin_and_irvine_say(level: type[VirtualMachineMonitor]) -> None:
    found = divergences(trial(x86_model.MODEL, x86.KIT, X86, level), 60)
    instructions = {each.instruction.split()[0] for each in found}
    assert len(instructions) > 3
    assert instructions <= ROBIN_IRVINE


def test_a_program_and_its_divergence_can_be_repeated() -> None:
    first = divergences(trial(x86_model.MODEL, x86.KIT, X86), 5)
    again = [trial(x86_model.MODEL, x86.KIT, X86).run(each.program)[1] for each in first]
    assert first and again == first
