"""What README.md shows works."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from hypernest.cli.arguments import Parser
from hypernest.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs() -> None:
    from hypernest.images import pull

    pull("debian")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.replace("\r", "")
    assert "\n14 on riscv64\n" in printed
    assert "\n['/etc/hostname']\n0x" in printed and "do_sys_openat2+0x4>" in printed


def test_the_options_shown_exist() -> None:
    shown = re.findall(r"^    hypernest ([a-z]+) ([^|#\n]*)", README, re.MULTILINE)
    assert {command for command, _ in shown} >= {"run", "snapshot", "replay", "debug"}
    for command, rest in shown:
        assert command in COMMANDS
        parser = Parser(command, "")
        import_module(f"hypernest.cli.{command}").add_arguments(parser)
        assert set(re.findall(r"--[a-z]+", rest)) <= set(re.findall(r"--[a-z]+", parser.format_help()))


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_importing_loads_nothing_heavy() -> None:
    program = "import sys, hypernest; sys.exit(', '.join({'llvmlite', 'hypernest.machine'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
