"""`hypernest snapshot` and `hypernest run --snapshot`, as a person and as a script use them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hypernest.cache import cache_folder
from hypernest.cli.main import run
from hypernest.history.archive import Archive
from tests.machine.small_guests import assembled

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; from hypernest.cli.main import run; sys.exit(run(sys.argv[1:]))"

# Says hello, then tells of every line that it gets, and powers off at the letter q.
GUEST = """
        li   s0, 0x10000000
        la   s1, hello
        li   s2, 1
    print:
        lbu  t0, 0(s1)
        beqz t0, input
        sb   t0, 0(s0)
        addi s1, s1, 1
        j    print
    input:
        lbu  t0, 5(s0)
        andi t0, t0, 1
        beqz t0, input
        lbu  t0, 0(s0)
        li   t1, 'q'
        beq  t0, t1, off
        li   t1, 10
        bne  t0, t1, input
        addi t0, s2, '0'
        sb   t0, 0(s0)
        li   t0, '>'
        sb   t0, 0(s0)
        addi s2, s2, 1
        j    input
    off:
        li   t0, 0x100000
        li   t1, 0x5555
        sw   t1, 0(t0)
        j    off
    hello:
        .word 0x6c6c6568
        .word 0x3e6f
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the user's that are empty but for what takes long to make; returns the archive."""
    real, mine = cache_folder(), tmp_path / "cache"
    mine.mkdir(mode=0o700)
    for name in ("images", "native"):
        (real / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (mine / name).symlink_to(real / name)
    monkeypatch.setenv("HYPERNEST_CACHE", str(mine))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "hypernest" / "snapshots"


@pytest.fixture
def kernel(tmp_path: Path) -> str:
    path = tmp_path / "guest.bin"
    path.write_bytes(assembled(GUEST.replace("'q'", "113").replace("'0'", "48").replace("'>'", "62")))
    return str(path)


def save(kernel: str, name: str, *options: str) -> int:
    return run(["snapshot", "save", name, "--kernel", kernel, "--memory", "16M", "--engine", "interpreter", *options])


def goes_on(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hypernest", *arguments]
    return subprocess.run(command, input=text, capture_output=True, cwd=ROOT, timeout=100, check=False)


def test_what_was_printed_before_is_no_answer_to_what_is_typed(kernel: str) -> None:
    assert save(kernel, "one", "--instructions", "200") == 0
    assert run(["snapshot", "save", "two", "--snapshot", "one", "--type", "x", "--until", ">"]) == 0
    assert goes_on("run", "--snapshot", "two", text=b"\nq").stdout == b"2>"


def test_from_saving_to_deleting(kernel: str, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "list"]) == 0
    assert capsys.readouterr().out == "there are no snapshots: make one with hypernest snapshot save NAME\n"
    assert not folders.exists()

    assert save(kernel, "one", "--until", "hello>") == 0
    said = capsys.readouterr().out
    assert said.startswith("saved one after ") and said.endswith(f" more in {folders}\n")
    assert run(["snapshot", "save", "two", "--snapshot", "one", "--type", "x", "--until", ">"]) == 0
    assert run(["snapshot", "save", "three", "--snapshot", "two", "--type", "x", "--type", "y", "--until", ">"]) == 0
    capsys.readouterr()

    for restore in (["run", "--snapshot", "two"], ["snapshot", "restore", "two"]):
        done = goes_on(*restore, "--engine", "interpreter", text=b"\nq")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"2>", b"")
    assert goes_on("snapshot", "restore", "three", "--engine", "reference", text=b"\n\nq").stdout == b"4>5>"

    assert run(["snapshot", "list"]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.split() == ["NAME", "CREATED", "GUEST", "INSTRUCTIONS", "MEMORY", "OWN", "SIZE", "FROM"]
    assert [(row.split()[0], row.split()[3], row.split()[-1]) for row in rows] == [
        ("one", "guest.bin", "kB"),
        ("two", "guest.bin", "one"),
        ("three", "guest.bin", "two"),
    ]
    assert "16 MiB" in rows[0]

    assert run(["snapshot", "show", "two"]) == 0
    shown = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    shown = {what: value.strip() for what, value in shown.items()}
    assert shown["made from"] == "one" and shown["machine"] == "1 hart, 16 MiB of memory"
    assert shown["hart 0"].startswith("pc 0x802000") and shown["hart 0"].endswith(", supervisor mode")
    assert shown["file"] == str(folders) and int(shown["instructions"].replace(",", "")) > 20

    assert run(["snapshot", "delete", "one", "three"]) == 0
    assert capsys.readouterr().out.startswith("deleted one, three: ")
    assert goes_on("run", "--snapshot", "two", text=b"\nq").stdout == b"2>"
    assert [(entry.name, entry.parent) for entry in Archive(folders).entries()] == [("two", None)]


def test_another_file(kernel: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "mine")
    assert save(kernel, "one", "--instructions", "1_000", "--file", file) == 0
    assert capsys.readouterr().out.startswith("saved one after 1,000 instructions: ")
    for verb in (["list"], ["show", "one"]):
        assert run(["snapshot", *verb, "--file", file]) == 0
        assert "one" in capsys.readouterr().out
    assert goes_on("run", "--snapshot", "one", "--snapshot-file", file, text=b"\nq").stdout == b"1>"
    assert goes_on("snapshot", "restore", "one", "--file", file, "--limit", "1000").returncode == 124
    assert run(["snapshot", "delete", "--file", file, "one"]) == 0
    assert not folders.exists()


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("snapshot", 2, "say what to do: save, restore, list, show, delete, see hypernest snapshot --help."),
        ("snapshot lst", 2, "ACTION: 'lst' is nothing to do (did you mean list?), see hypernest snapshot --help."),
        ("snapshot list --al", 2, "unknown option --al (did you mean --help?), see hypernest snapshot list --help."),
        ("snapshot save", 2, "the following arguments are required: NAME, see hypernest snapshot save --help."),
        ("snapshot save one --kernel KERNEL", 2, "when to save is not said: give --until TEXT or --instructions N."),
        ("snapshot save one --exec ls", 2, "--exec ends the guest: give --type LINE to have a command run"),
        ("snapshot save one --instructions 5 --type x", 2, "--instructions says when to save: leave out --type"),
        ("snapshot save one --until x --instructions 5", 2, "--instructions: not allowed with argument --until"),
        ("snapshot save one --memory 1", 2, "a machine cannot have 1 bytes of memory"),
        ("snapshot save one --snapshot none --until x", 1, "there is no snapshot 'none' in "),
        ("snapshot save one --snapshot none --harts 2 --until x", 2, "--harts cannot be given beside --snapshot"),
        ("snapshot save one --kernel KERNEL --until x --limit 1000", 1, "the guest did not print 'x': the limit"),
        ("snapshot show one", 1, "there are no snapshots in "),
        ("snapshot delete one", 1, "there are no snapshots in "),
        ("run --snapshot one", 1, "there are no snapshots in "),
        ("run --snapshot-file x", 2, "--snapshot-file says where a snapshot is: give --snapshot NAME too."),
        ("run debian --snapshot one", 2, "the image debian cannot be given beside --snapshot: the guest runs"),
        ("run --snapshot one --exec ls", 2, "--exec cannot be given beside --snapshot"),
        ("run --snapshot one --memory-path host", 2, "--memory-path host cannot be given beside --snapshot"),
    ],
)
def test_a_mistake_is_one_line(
    kernel: str, line: str, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.replace("KERNEL", kernel).split()) == status
    shown = capsys.readouterr()
    assert shown.err.startswith(f"hypernest: {message}") and shown.err.count("\n") == 1 and not shown.out


def test_a_name_that_is_taken_or_impossible_is_refused_before_anything_boots(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert save(kernel, "one", "--instructions", "5") == 0
    assert save("/dev/null", "one", "--instructions", "5") == 1
    assert "there is a snapshot 'one' already: choose another name, or delete it first" in capsys.readouterr().err
    assert save("/dev/null", "a\nb", "--instructions", "5") == 2
    assert "cannot be a snapshot's name: give it 1 to 100 printable characters" in capsys.readouterr().err


def test_a_guest_that_ends_before_is_not_saved(
    tmp_path: Path, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "off").write_bytes(assembled("    li t0, 0x100000\n    li t1, 0x5555\n    sw t1, 0(t0)\n"))
    assert save(str(tmp_path / "off"), "one", "--instructions", "1000") == 1
    assert re.fullmatch(
        r"hypernest: the guest powered the machine off after \d instructions: save it before that\n",
        capsys.readouterr().err,
    )
    assert Archive(folders).entries() == []


def test_a_damaged_file_is_one_line(kernel: str, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert save(kernel, "one", "--instructions", "5") == 0
    capsys.readouterr()
    os.truncate(folders, 13_000)
    for verb in (["list"], ["show", "one"], ["delete", "one"], ["restore", "one"]):
        assert run(["snapshot", *verb]) == 1
        shown = capsys.readouterr().err
        assert shown.startswith(f"hypernest: the snapshots in {folders} are damaged (it is cut short, ")
        assert shown.count("\n") == 1


def test_what_a_file_says_does_not_paint(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"guest": "\x1b[31m[red]x", "instructions": "many", "memory": None}
    Archive(folders, writable=True).save("[bold]one", b"", {}, about)
    assert run(["snapshot", "list"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "[bold]one" in shown and "?[31m[red]x" in shown


def test_the_cache_shows_and_clears_what_is_unpacked(
    kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert save(kernel, "one", "--until", "hello>") == 0
    assert goes_on("run", "--snapshot", "one", text=b"\nq").stdout == b"1>"
    unpacked = tmp_path / "cache" / "snapshots"
    (file,) = unpacked.iterdir()
    (unpacked / "mine").touch()
    capsys.readouterr()
    assert run(["cache"]) == 0
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("snapshots"))
    assert row.split()[2:4] == ["kB", "1"] and f"{unpacked}: snapshots unpacked" in row
    assert run(["cache", "clear", "--snapshots"]) == 0
    assert not file.exists() and (unpacked / "mine").exists()
    assert goes_on("run", "--snapshot", "one", text=b"\nq").stdout == b"1>"


def test_debian_at_a_terminal(debian_image: object, terminal: Any) -> None:
    assert run(["snapshot", "save", "base", "--memory", "256M", "--type", "x=saved"]) == 0
    terminal.start(PROGRAM, "run", "--snapshot", "base")
    terminal.expect(b"~ # ")
    terminal.type(b"echo $x size=$(stty size)\r")
    terminal.expect(b"saved size=40 100")
    terminal.resize(132, 50)
    terminal.type(b"\recho size=$(stty size)\r")
    terminal.expect(b"size=50 132")
    terminal.type(b"\x01x")
    assert terminal.exit_status() == 0
    assert terminal.mode() == terminal.mode_before


def test_who_waits_at_a_terminal_sees_the_guest(kernel: str, terminal: Any) -> None:
    options = ("--until", ">", "--type", "x", "--limit", "1_000_000")
    terminal.start(PROGRAM, "snapshot", "save", "one", "--kernel", kernel, "--memory", "16M", *options)
    assert terminal.exit_status() == 0
    assert b"hello>1>" in terminal.seen and b"saved one after" in terminal.seen


def test_a_prompt_may_change(debian_image: object, folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "save", "one", "--memory", "256M", "--type", "cd /usr; x=kept"]) == 0
    assert run(["snapshot", "save", "two", "--snapshot", "one", "--type", "cd bin"]) == 0
    done = goes_on("run", "--snapshot", "two", text=b"echo $x $PWD\n")
    assert b"\r\nkept /usr/bin\r\n" in done.stdout
    assert [entry.about["prompt"][-11:] for entry in Archive(folders).entries()] == ["/usr # ", "/usr/bin # "]


def test_text_that_never_comes(
    debian_image: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypernest.cli.snapshot._PATIENCE", 20 * 10**9)
    monkeypatch.setattr("hypernest.cli.snapshot._STRETCH", 1_000_000)
    assert run(["snapshot", "save", "one", "--memory", "256M"]) == 0
    capsys.readouterr()
    assert run(["snapshot", "save", "two", "--snapshot", "one", "--type", "cd /tmp", "--until", "~ # "]) == 1
    message = "hypernest: the guest did not print '~ # ' within an hour of its time; the end of its output is "
    assert capsys.readouterr().err.startswith(message)


def test_a_kernel_that_dies_ends_it(debian_image: object, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["snapshot", "save", "one", "--memory", "256M", "--type", "echo c >/proc/sysrq-trigger"]
    assert run(line) == 1
    assert "the guest did not print ' # ': the guest asked for a reset; the end of" in capsys.readouterr().err


def test_debian_in_a_script(debian_image: object) -> None:
    assert run(["snapshot", "save", "base", "--memory", "256M"]) == 0
    done = goes_on("run", "--snapshot", "base", text=b"echo $((6 * 7)) >/tmp/x; cat /tmp/x\n")
    assert done.returncode == 0 and b"\r\n42\r\n" in done.stdout
