"""Processes that classify together: one that is gone is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypernest.analysis.classification import ProcessLost, classify
from hypernest.analysis.isas import load_model

TOY = Path(__file__).parents[2] / "examples" / "isas" / "toy.py"
DIES = "import multiprocessing, os\nif multiprocessing.parent_process():\n    os._exit(1)\n"


def test_a_process_that_ends_before_its_work_does_is_told(tmp_path: Path) -> None:
    path = tmp_path / "isa.py"
    path.write_text(TOY.read_text() + DIES)
    with pytest.raises(ProcessLost, match="was ended from outside"):
        classify(load_model(str(path)), source=str(path), programs=0, jobs=2)
