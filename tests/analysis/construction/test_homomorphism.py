"""Each theorem's monitor on random programs, and wrong ones, which must be caught."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypernest.analysis.construction import HybridMonitor, RelocationBounds, ShadowTables, VirtualMachineMonitor
from hypernest.analysis.construction.kits import pdp10, riscv64, third_generation
from hypernest.analysis.models import pdp10 as pdp10_model
from hypernest.analysis.models import riscv64 as riscv64_model
from hypernest.analysis.models import third_generation as third_generation_model
from hypernest.engines.hart_state import HartState
from hypernest.engines.reference import ReferenceHart
from tests.analysis.construction.machines import (
    PDP10,
    RISCV64,
    THIRD_GENERATION,
    Level,
    divergences,
    trial,
)

V, H = VirtualMachineMonitor, HybridMonitor
LEVELS = [(V,), (V, V), (V, V, V), (H,), (V, H)]


@pytest.mark.parametrize("levels", LEVELS)
def test_the_model_machine_is_virtualized_recursively_and_by_a_hybrid(levels: tuple[Level, ...]) -> None:
    tried = trial(third_generation_model.MODEL, third_generation.KIT, THIRD_GENERATION, *levels)
    assert divergences(tried, 60) == []
    assert tried.monitored.direct > 100 and tried.interpreted > 300


@pytest.mark.parametrize("levels", [(V,), (V, V), (H,)])
@pytest.mark.parametrize("setting", ["s-in-u", "m-in-u"])
def test_riscv_is_virtualized_in_user_mode(setting: str, levels: tuple[Level, ...]) -> None:
    tried = trial(riscv64_model.MODEL, riscv64.KIT, RISCV64, *levels, setting=setting)
    assert divergences(tried, 40) == []
    assert tried.monitored.direct > 100 and tried.interpreted > 100


def test_counters_that_do_not_trap_are_seen() -> None:
    tried = trial(riscv64_model.MODEL, riscv64.KIT, RISCV64, setting="s-in-u-counters")
    found = divergences(tried, 60)
    assert found and all("csrr" in each.instruction for each in found)


def test_tables_within_reach_are_seen() -> None:
    tried = trial(riscv64_model.MODEL, riscv64.KIT, RISCV64, setting="s-in-u-tables")
    assert any(tried.run(number)[1] for number in range(200))


def test_riscv_machine_mode_software_in_s_mode_diverges() -> None:
    tried = trial(riscv64_model.MODEL, riscv64.KIT, RISCV64, setting="m-in-s")
    assert len(divergences(tried, 30)) > 5


@pytest.mark.parametrize("setting", ["paper", "ka10"])
def test_the_pdp10_is_virtualized_by_a_hybrid_only(setting: str) -> None:
    kit, model = pdp10.KIT, pdp10_model.MODEL
    hybrid = trial(model, kit, PDP10, H, setting=setting)
    assert divergences(hybrid, 60) == []
    assert hybrid.monitored.direct > 50
    instructions = {each.instruction.split()[0] for each in divergences(trial(model, kit, PDP10, setting=setting), 120)}
    assert "jrst.1" in instructions, "the paper's counterexample"


# --- what must be caught ---------------------------------------------------------------------------------------------


def test_a_wrong_interpreter_routine_is_caught() -> None:
    def wrong(hart: ReferenceHart, code: int) -> None:
        row = third_generation_model.MODEL.isa.rows["srb"]
        hart.execute(row, code)
        hart.write("r", hart.read("r", row.operand_values(code)["ra"]) ^ 1, row.operand_values(code)["ra"])

    tried = trial(third_generation_model.MODEL, third_generation.KIT, THIRD_GENERATION, wrong={"srb": wrong})
    found = divergences(tried, 60)
    assert found and all(each.instruction.startswith("srb") for each in found)


def test_a_missing_interpreter_routine_is_caught() -> None:
    tried = trial(third_generation_model.MODEL, third_generation.KIT, THIRD_GENERATION, missing="rmode")
    found = divergences(tried, 100)
    assert found and all(each.instruction.startswith("rmode") for each in found)


def test_a_bound_that_is_not_cut_is_caught() -> None:
    kit = replace(third_generation.KIT, embedding=RelocationBounds())  # knows of no bound
    tried = trial(third_generation_model.MODEL, kit, THIRD_GENERATION)
    assert divergences(tried, 60)


def test_memory_outside_the_virtual_machine_is_watched() -> None:
    class Careless(VirtualMachineMonitor):
        def _completed(self) -> None:
            super()._completed()
            self.machine.memory.write_integer(0, 8, 0)

    tried = trial(third_generation_model.MODEL, third_generation.KIT, THIRD_GENERATION, Careless)
    found = divergences(tried, 5)
    assert found and found[0].differences[0].place == "memory outside the virtual machine"


class Untraced(ShadowTables):
    """Does not notice that tables in use are written."""

    def _written(self, address: int) -> None:
        pass


class Permissive(ShadowTables):
    """Permits everything where something was permitted."""

    def _map(self, address: int, page: int, permissions: int) -> None:
        super()._map(address, page, 0b1110)


class Unshifted(ShadowTables):
    """Gives the reservation as it is."""

    def enter(self, real: HartState) -> None:
        super().enter(real)
        real["reservation"] = self._state["reservation"]


@pytest.mark.parametrize("embedding", [Untraced, Permissive, Unshifted])
def test_wrong_shadow_tables_are_caught(embedding: type[ShadowTables]) -> None:
    tried = trial(riscv64_model.MODEL, replace(riscv64.KIT, embedding=embedding), RISCV64)
    assert any(tried.run(number)[1] for number in range(200))
