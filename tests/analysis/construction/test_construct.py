from __future__ import annotations

from dataclasses import replace

from hypernest.analysis.construction import construct
from hypernest.analysis.construction.kits import pdp10, third_generation
from hypernest.analysis.models import pdp10 as pdp10_model
from hypernest.analysis.models import third_generation as third_generation_model
from hypernest.analysis.results import Verdict
from tests.analysis.construction.machines import PDP10, THIRD_GENERATION, verdict


def verdicts(rows: frozenset[str], every: object) -> list[Verdict]:
    """The rows trap and are sensitive; the others are neither."""
    assert isinstance(every, dict)
    return [verdict(name, traps=name in rows, sensitive=name in rows) for name in every]


def test_the_monitors_of_all_three_theorems() -> None:
    model = replace(third_generation_model.MODEL, kit=third_generation.KIT)
    found = construct(model, model.settings[0], verdicts(THIRD_GENERATION, model.isa.rows), 20, seed=7)
    assert [each.theorem for each in found] == [1, 2, 3]
    for each in found:
        assert each.programs == 20 and each.divergences == 0 and each.first is None
        assert 0 < each.interpreted < each.instructions


def test_the_recursive_monitor_is_built_only_if_it_may_exist() -> None:
    model = replace(pdp10_model.MODEL, kit=pdp10.KIT)
    given = [
        verdict("jrst.1", traps=False, sensitive=True) if each.name == "jrst.1" else each
        for each in verdicts(PDP10, model.isa.rows)
    ]
    monitor, hybrid = construct(model, model.settings[0], given, 60)
    assert (monitor.theorem, hybrid.theorem) == (1, 3)
    assert monitor.divergences > 0 and monitor.first is not None
    assert monitor.first.differences and 0 <= monitor.first.program < 60
    assert hybrid.divergences == 0


def test_without_a_kit_nothing_is_built() -> None:
    model = replace(third_generation_model.MODEL, kit=None)
    assert construct(model, model.settings[0], [], 10) == ()
