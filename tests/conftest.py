"""Settings that all tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from hypernest import images

# The machine that runs the tests may be busy, so no example fails for being slow; where nobody watches, the examples
# are the same in each run, so that a failure is the change's own.
settings.register_profile("default-without-deadline", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default-without-deadline")


@pytest.fixture(scope="session")
def debian_image() -> images.Image:
    """The guest image `debian`, pulled into the user's cache the first time and shared by all tests."""
    return images.pull("debian")
