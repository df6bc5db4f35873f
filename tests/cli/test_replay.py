"""`hypernest run --record` and `hypernest replay`, as a person uses them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hypernest.cli.main import run
from hypernest.history.recording import load
from hypernest.history.recording.format import Mark
from tests.history.recording.recordings import altered, close_marks
from tests.history.recording.test_difference import replaced
from tests.machine.course_guest import TYPED_AT
from tests.machine.small_guests import FIRMWARE, assembled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    path = tmp_path / "guest"
    path.write_bytes(assembled(TYPED_AT, FIRMWARE))
    return path


@pytest.fixture
def recording(guest: Path) -> Path:
    path = guest.with_name("recording")
    done = hypernest("run", "--firmware", guest, "--memory", "1M", "--record", path, text=b"some keys, and q")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"some keys, and q", b"")
    return path


def hypernest(*arguments: object, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "hypernest", *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, cwd=ROOT, timeout=120, check=False)


def test_a_recorded_run_is_repeated_with_its_output(recording: Path) -> None:
    done = hypernest("replay", recording, "--engine", "interpreter", text=b"not for the guest")
    assert done.stdout == b"some keys, and q"
    assert done.stderr.startswith(b"hypernest: identical: ")
    assert done.stderr.endswith(b"instructions, 1 hashes\n")
    assert done.returncode == 0


def test_a_run_by_the_wall_clock_is_repeated(guest: Path, tmp_path: Path) -> None:
    path = tmp_path / "walled"
    done = hypernest(
        "run", "--firmware", guest, "--memory", "1M", "--clock", "wall", "--record", path, "--harts", "2", text=b"xyzq"
    )
    assert done.returncode == 0
    assert load(path).origin.clock == "wall"
    assert hypernest("replay", path).returncode == 0


def test_until_a_count(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", str(recording), "--until", "100"]) == 0
    assert capfd.readouterr().err == "hypernest: nothing compared: in 100 instructions there is no hash\n"


def test_a_recording_with_another_hash_is_different(
    guest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    close_marks(monkeypatch)
    path = tmp_path / "long"
    assert run(["run", "--firmware", str(guest), "--memory", "1M", "--limit", "120000", "--record", str(path)]) == 124
    changed = altered(path, lambda records: replaced(records, Mark, -1, brief=bytes(16)))
    capfd.readouterr()
    assert run(["replay", str(changed), "--engine", "interpreter"]) == 1
    message = capfd.readouterr().err
    assert message.startswith("hypernest: different: the machine is not what it was between ")
    assert "no engine's mistake" in message


def test_a_recording_that_was_cut_off(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recording.write_bytes(recording.read_bytes()[:-10])
    assert run(["replay", str(recording)]) == 1
    assert "partial" in capfd.readouterr().err
    assert run(["replay", str(recording), "--partial"]) == 0
    message = capfd.readouterr().err
    assert "hypernest: the recording ends too early: it is cut short\n" in message
    assert "nothing compared: in 0 instructions" in message


def test_another_guest_is_refused_and_the_right_one_found(
    recording: Path, guest: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    guest.rename(folder / "guest")
    assert run(["replay", str(recording)]) == 1
    message = capfd.readouterr().err
    assert message.startswith("hypernest: the recording was made with another firmware: it expects the BLAKE2b ")
    assert message.count("\n") == 1
    assert run(["replay", str(recording), "--look-in", str(folder)]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replay"], "the following arguments are required: FILE"),
        (["replay", "/nowhere"], "cannot read '/nowhere'"),
        (["replay", __file__], "is no recording"),
        (["run", "hello", "--record", __file__], "there is a file of that name that is no recording"),
        (["run", "hello", "--record", "/nowhere/at/all"], "no such file"),
        (["run", "hello", "--clock", "sun"], "invalid choice: 'sun'"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = Path(__file__).read_bytes()
    assert run(arguments) != 0
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert Path(__file__).read_bytes() == before
