"""Print the versions of hypernest and of what it stands on, and where it keeps what it can make again."""

from __future__ import annotations

import argparse
import platform


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def execute(arguments: argparse.Namespace) -> int:
    """Loads llvmlite, because only the library itself knows which LLVM it holds."""
    import llvmlite
    from llvmlite.binding import llvm_version_info

    from hypernest import __version__
    from hypernest.cache import cache_folder

    rows = {
        "hypernest": __version__,
        "Python": platform.python_version(),
        "llvmlite": llvmlite.__version__,
        "LLVM": ".".join(map(str, llvm_version_info)),
        "cache": cache_folder(),
    }
    for name, value in rows.items():
        print(f"{name:<10}{value}")
    return 0
