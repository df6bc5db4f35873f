"""`python -m hypernest.benchmark`: the same as `hypernest bench`."""

from __future__ import annotations

import sys

import cyclopts

from hypernest.benchmark.command import bench
from hypernest.errors import HypernestError

if __name__ == "__main__":
    try:
        cyclopts.App(name="hypernest bench", default_command=bench)()
    except HypernestError as error:
        print(f"hypernest: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
