"""Tests of memory count the host's descriptors: what earlier tests have left behind must be gone before."""

from __future__ import annotations

import gc

import pytest


@pytest.fixture(autouse=True)
def collected() -> None:
    """Nothing is closed in the middle of a test that another one has left."""
    gc.collect()
