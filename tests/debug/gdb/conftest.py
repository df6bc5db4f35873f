"""The program that the tests debug, compiled once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debug.gdb.driving import compile_program


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ELF file for M-mode; see program.c."""
    return compile_program(tmp_path_factory.mktemp("gdb"))
