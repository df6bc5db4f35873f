"""`hypernest run --gdb` and `hypernest debug`, with Debian's gdb."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypernest.debug.gdb.packets import encode
from tests.debug.gdb.driving import DEADLINE_SECONDS, compile_program

ROOT = Path(__file__).parents[2]
HYPERNEST = (sys.executable, "-m", "hypernest")
PROGRAM = "import sys; from hypernest.cli.main import run; sys.exit(run(['run', *sys.argv[1:]]))"
ANNOUNCED = re.compile(r"hypernest: waiting for gdb; connect it with: gdb-multiarch -ex 'target remote :(\d+)' (\S+)\s")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("gdb"))


class Running:
    """`hypernest run --gdb 0` in a process of its own."""

    def __init__(self, program: Path, *options: str) -> None:
        command = [*HYPERNEST, "run", "--memory", "16M", "--firmware", str(program), "--gdb", "0", *options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        announced = ANNOUNCED.fullmatch(line)
        assert announced, line
        self.port, self.file = announced.groups()

    def gdb(self, *commands: str) -> str:
        lines = ("set confirm off", "set remotetimeout 60", f"target remote :{self.port}", *commands)
        arguments = [argument for line in lines for argument in ("-ex", line)]
        command = ["gdb-multiarch", "-nx", "-batch", *arguments, self.file]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        return done.stdout + done.stderr

    def end(self) -> tuple[int, str]:
        """The exit status and what else was said on standard error."""
        _, errors = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, errors


@pytest.fixture
def running(program: Path) -> Iterator[Running]:
    running = Running(program)
    yield running
    running.process.kill()
    running.process.communicate()


def test_the_line_that_is_printed_connects(running: Running, program: Path) -> None:
    assert running.file == str(program)
    shown = running.gdb("break corrupt", "continue", "backtrace 1", "delete", "continue", "continue")
    assert "#0  corrupt (where=" in shown
    assert "exited normally" in shown
    assert running.end() == (0, "")


def test_what_gdb_lets_go_runs_to_its_end(running: Running) -> None:
    assert "Breakpoint 1, add" in running.gdb("break add", "continue")
    assert running.end() == (0, "")


def test_what_gdb_kills_is_gone(running: Running) -> None:
    running.gdb("break add", "continue", "kill")
    assert running.end() == (0, "")


def test_the_next_gdb_takes_over_after_a_lost_connection(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", int(running.port)), DEADLINE_SECONDS) as client:
        client.sendall(encode(b"s"))
        assert client.recv(1) + client.recv(1) == b"+$"
    assert re.search(r"^1\n", running.gdb("monitor instructions", "kill"), re.MULTILINE)
    assert running.end()[0] == 0


def test_the_output_is_there_when_gdb_stops(tmp_path: Path) -> None:
    from tests.machine.small_guests import FIRMWARE, UART, assembled

    text = f"li t0, {UART:#x}\n li t1, 72\n sb t1, 0(t0)\n li t1, 105\n sb t1, 0(t0)\n1: j 1b"
    guest = tmp_path / "guest.bin"
    guest.write_bytes(assembled(text, FIRMWARE))
    command = (*HYPERNEST, "debug", "--firmware", guest, "--memory", "16M", "--batch", "--ex", "stepi 30")
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE_SECONDS, cwd=ROOT, check=False)
    assert b"Hi" in done.stdout


def refused(*arguments: str | Path, path: str | None = None) -> str:
    """What is said about arguments that cannot be; standard output stays empty."""
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": path}
    done = subprocess.run(
        [*HYPERNEST, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, env=environment,
        timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("port", ["-1", "70000", "x", "99999999999", "1.5"])
def test_ports_that_are_none(port: str) -> None:
    assert "is no port: give 0 to 65535" in refused("run", "hello", f"--gdb={port}")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        assert f"port {taken} cannot be used" in refused("run", "hello", "--gdb", taken)


def test_a_limit_beside_gdb(program: Path) -> None:
    assert "not allowed with" in refused("run", "--firmware", program, "--gdb", "0", "--limit", "5")


def test_a_person_quits_while_gdb_is_awaited(terminal: Any, program: Path) -> None:
    terminal.start(PROGRAM, "--firmware", str(program), "--memory", "16M", "--gdb", "0")
    terminal.expect(b"waiting for gdb")
    terminal.type(b"\x01h")
    terminal.expect(b"switch the machine off and quit")
    terminal.type(b"\x01x")
    assert terminal.exit_status() == 0
    assert terminal.mode() == terminal.mode_before


def test_debian_on_a_terminal_and_gdb_beside_it(terminal: Any, debian_image: object) -> None:
    terminal.start(PROGRAM, "--memory", "256M", "--gdb", "0")
    terminal.expect(b"target remote :")
    while b"'" not in terminal.seen:
        terminal._receive(1)
    port = terminal.seen.partition(b"'")[0].decode()
    commands = ("set confirm off", f"target remote :{port}", "continue", "info threads", "detach")
    gdb = subprocess.Popen(
        ["gdb-multiarch", "-nx", *(argument for line in commands for argument in ("-ex", line)), "-batch"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        terminal.expect(b"~ # ")
        terminal.type(b"echo $((6 * 7))\r")
        terminal.expect(b"\n42\r")
        gdb.send_signal(signal.SIGINT)  # the guest sleeps
        shown = gdb.communicate(timeout=DEADLINE_SECONDS)[0]
    finally:
        gdb.kill()
        gdb.wait()
    assert "received signal SIGINT" in shown
    assert "* 1    Thread 1 (hart 0, supervisor mode" in shown
    terminal.type(b"echo $((7 * 7)); poweroff\r")
    terminal.expect(b"\n49\r")
    assert terminal.exit_status() == 0
    assert terminal.mode() == terminal.mode_before


# --- hypernest debug -------------------------------------------------------------------------------------------------


def debug(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HYPERNEST, "debug", "--batch", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        cwd=ROOT, timeout=DEADLINE_SECONDS, check=False,
    )  # fmt: skip


def test_debugging_a_program(program: Path) -> None:
    done = debug(
        program, "--memory", "16M", "--harts", "2", "--ex", "break add", "--ex", "continue", "--ex", "backtrace"
    )
    assert re.search(r"#0  add \(a=0, b=3\).*\n#1 .*sum_up.*\n#2 .*main", done.stdout)
    assert done.returncode == 0


def test_what_gdb_finds_wrong_is_its_exit_status(program: Path) -> None:
    done = debug(program, "--memory", "16M", "--ex", "print nothing_of_that_name")
    assert 'No symbol "nothing_of_that_name"' in done.stderr
    assert done.returncode == 1


def test_a_kernel_starts_in_supervisor_mode(tmp_path: Path) -> None:
    kernel = compile_program(tmp_path, "-Wl,-Ttext=0x80200000")
    done = debug(kernel, "--memory", "16M", "--ex", "print $priv", "--ex", "print $pc")
    assert "$1 = 1" in done.stdout
    assert "<_start>" in done.stdout


def test_monitor_commands_make_gdb_look_again(program: Path) -> None:
    done = debug(
        program, "--memory", "16M", "--ex", "monitor snapshot here", "--ex", "break add", "--ex", "continue",
        "--ex", "monitor restore here", "--ex", "print $pc",
    )  # fmt: skip
    assert "0x1000\n" in done.stdout


def test_a_guest_that_waits_for_its_user() -> None:
    process = subprocess.Popen(
        [*HYPERNEST, "debug", "hello"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=ROOT, start_new_session=True,
    )  # fmt: skip
    seen = b""

    def say(text: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.flush()

    def expect(text: bytes) -> None:
        nonlocal seen
        assert process.stdout is not None
        while text not in seen:
            assert select.select([process.stdout], [], [], DEADLINE_SECONDS)[0], seen
            data = os.read(process.stdout.fileno(), 4096)
            assert data, seen
            seen += data
        seen = seen.partition(text)[2]

    try:
        say(b"set confirm off\ncontinue\n")
        expect(b"What you type comes back.")
        os.killpg(process.pid, signal.SIGINT)
        expect(b"SIGINT")
        say(b"monitor console how are you\ncontinue\n")
        expect(b"how are you")
        os.killpg(process.pid, signal.SIGINT)
        expect(b"SIGINT")
        say(b"kill\nquit\n")
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


def test_no_gdb(program: Path, tmp_path: Path) -> None:
    assert "there is no gdb that knows RISC-V: install gdb-multiarch" in refused("debug", program, path=str(tmp_path))
    assert "'true' is no gdb" in refused("debug", program, "--with", "true")


def test_files_that_are_none(tmp_path: Path, program: Path) -> None:
    assert "cannot read" in refused("debug", tmp_path / "nothing")
    if host := shutil.which("true"):
        assert "is an ELF file for" in refused("debug", host)
    assert "leave out --firmware" in refused("debug", program, "--firmware", program)
