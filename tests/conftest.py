"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# The machine that runs the tests may be busy, so no example fails for being slow; where nobody watches, the examples
# are the same in each run, so that a failure is the change's own.
settings.register_profile("default-without-deadline", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default-without-deadline")
