"""A setting without states is refused, instead of proving everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from examples.isas.toy import MODEL
from hypernest.analysis.checking import BadDescription
from hypernest.analysis.classification import classify
from hypernest.analysis.isas import BUILT_IN, load_model
from hypernest.analysis.model import MachineModel
from hypernest.analysis.vacuity import check_states
from hypernest.isa.trace import Bits


def fixed(model: MachineModel, **bits: Bits) -> MachineModel:
    return replace(model, settings=(replace(model.settings[0], fixed=bits),))


def in_place(register: Any) -> Iterable[Any]:
    yield register("base") == 7


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (
            fixed(replace(MODEL, rules={"limit": lambda v: v != 5}), limit=Bits(0xFFFF, 5)),
            "no state in mode supervisor",
        ),
        (replace(MODEL, rules={"mode": lambda v: v == 0}), "no state in mode user is legal"),
        (replace(MODEL, invariant=in_place), "no legal state in mode supervisor is legal elsewhere too"),
        (replace(MODEL, legal={"base": 0}), "no legal state in mode supervisor is legal elsewhere too"),
    ],
)
def test_a_setting_without_states_is_refused(model: MachineModel, fault: str) -> None:
    with pytest.raises(BadDescription, match=f"toy: setting plain: {fault}"):
        classify(model, programs=0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_settings_have_states(name: str) -> None:
    model = load_model(name)
    for setting in model.settings:
        check_states(model, setting, 60.0)
