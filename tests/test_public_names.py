"""What `import hypernest` gives, and what it costs."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import hypernest
from hypernest.errors import HypernestError

# Errors of the command line and of machinery that nobody calls from outside.
INTERNAL = ("hypernest.cli", "hypernest.benchmark", "hypernest.engines", "hypernest.debug.gdb", "tests")


def subclasses(kind: type[HypernestError]) -> Iterator[type[HypernestError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_public_name_is_there() -> None:
    assert sorted(hypernest.__all__) == hypernest.__all__
    for name in hypernest.__all__:
        assert getattr(hypernest, name) is not None
    assert set(hypernest.__all__) <= set(dir(hypernest))
    assert not hasattr(hypernest, "nothing")


def test_every_error_that_a_caller_can_get_is_public_and_has_the_same_base() -> None:
    for module in pkgutil.walk_packages(hypernest.__path__, "hypernest."):
        if not module.name.startswith((*INTERNAL, "hypernest.__main__")):
            importlib.import_module(module.name)
    errors = [each for each in subclasses(HypernestError) if not each.__module__.startswith(INTERNAL)]
    assert len(errors) > 20
    assert {each.__name__ for each in errors} - set(hypernest.__all__) == set()
    assert all(getattr(hypernest, each.__name__) is each for each in errors)
    for name in hypernest.__all__:
        value = getattr(hypernest, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, HypernestError) and value.__doc__


def test_importing_is_quick(tmp_path: Path) -> None:
    """Processor time, as others may use the processor, too; what the interpreter takes by itself is not counted."""
    for program, limit in (("import hypernest", 0.05), ("from hypernest import Machine", 0.2)):
        _cost(program, tmp_path)  # compiles the modules
        empty, full = ([_cost(each, tmp_path) for _ in range(5)] for each in ("pass", program))
        assert median(full) - median(empty) < limit


def _cost(program: str, compiled: Path) -> float:
    text = f"import resource\n{program}\nprint(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))"
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    settings["PYTHONPYCACHEPREFIX"] = str(compiled)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, env=settings)
    return float(done.stdout)
