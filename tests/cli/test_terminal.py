"""The terminal back end under a pseudo-terminal, with a guest that reports the keys it gets."""

from __future__ import annotations

import os
import signal
import termios
import time
from pathlib import Path
from typing import Any

import pytest

# A guest that shows each key in hexadecimal, and dies as told by keys.
GUEST = """
import os, signal, sys
from hypernest.cli.terminal import Quit, Terminal

def crash(): raise RuntimeError("a mistake of ours")
def die(): os.kill(os.getpid(), signal.SIGKILL)
deaths = {b"c": crash, b"k": die}

terminal = Terminal(0, 1)
terminal.resized = lambda columns, rows: terminal.write(b"{%dx%d}" % (columns, rows))
with terminal.taken():
    try:
        while True:
            keys = terminal.read()
            if keys in deaths:
                deaths[keys]()
            terminal.write(b"".join(b"<%02x>" % key for key in keys))
            if not keys:
                terminal.wait(None)
    except Quit:
        terminal.write(b"quit")
sys.exit(7)
"""


@pytest.fixture
def guest(terminal: Any) -> Any:
    terminal.start(GUEST)
    terminal.expect(b"{100x40}")
    return terminal


def test_every_key_reaches_the_guest(guest: Any) -> None:
    for key in (0x00, 0x03, 0x04, 0x0D, 0x0A, 0x11, 0x13, 0x16, 0x1A, 0x1C, 0x7F, 0xFF):
        guest.type(bytes([key]))
        guest.expect(b"<%02x>" % key)
    assert guest.mode() != guest.mode_before


def test_quits_on_ctrl_a_x_and_gives_the_terminal_back(guest: Any) -> None:
    guest.type(b"\x01x")
    assert guest.exit_status() == 7
    assert guest.mode() == guest.mode_before


def test_leaves_the_cursor_at_the_start_of_a_line(guest: Any) -> None:
    guest.type(b"\x01x")
    guest.exit_status()
    assert guest.seen.endswith(b"quit\r\r\n")  # output is cooked: the terminal adds a carriage return


def test_ctrl_a_twice_sends_it_once(guest: Any) -> None:
    guest.type(b"\x01\x01b")
    guest.expect(b"<01><62>")


def test_ctrl_a_and_its_key_may_come_apart(guest: Any) -> None:
    guest.type(b"a\x01")
    guest.expect(b"<61>")
    guest.type(b"x")
    assert guest.exit_status() == 7


def test_ctrl_a_h_helps_and_the_guest_sees_nothing(guest: Any) -> None:
    guest.type(b"\x01h")
    guest.expect(b"Ctrl-A x")
    guest.type(b"b")
    guest.expect(b"<62>")
    assert b"<" not in guest.seen


def test_other_keys_after_ctrl_a_do_nothing(guest: Any) -> None:
    guest.type(b"\x01qb")
    guest.expect(b"<62>")
    assert b"<71>" not in guest.seen


def test_a_new_window_size_ends_the_wait(guest: Any) -> None:
    guest.resize(132, 50)
    guest.expect(b"{132x50}")


def test_a_mistake_of_ours_gives_the_terminal_back(guest: Any) -> None:
    guest.type(b"c")
    assert guest.exit_status() == 1
    assert b"RuntimeError" in guest.seen
    assert guest.mode() == guest.mode_before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_gives_the_terminal_back(guest: Any, number: signal.Signals) -> None:
    guest.process.send_signal(number)
    assert guest.exit_status() == 128 + number
    assert guest.mode() == guest.mode_before


def test_even_sudden_death_gives_the_terminal_back(guest: Any) -> None:
    guest.type(b"k")
    assert guest.exit_status() == -signal.SIGKILL
    guest.expect_mode(guest.mode_before)


def test_sudden_death_leaves_alone_what_the_shell_has_set_meanwhile(guest: Any) -> None:
    keeper = children(guest.process.pid)[0]
    guest.process.send_signal(signal.SIGSTOP)
    shell_mode = [*guest.mode_before]
    shell_mode[3] &= ~termios.ECHO
    termios.tcsetattr(guest.slave, termios.TCSANOW, shell_mode)
    guest.process.kill()
    guest.exit_status()
    while is_running(keeper):
        time.sleep(0.01)
    assert guest.mode() == shell_mode


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    """Whether the process, no child of ours, is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_stop_gives_the_terminal_back_and_going_on_takes_it_again(guest: Any) -> None:
    raw = guest.mode()
    guest.process.send_signal(signal.SIGTSTP)
    guest.expect_mode(guest.mode_before)
    os.waitid(os.P_PID, guest.process.pid, os.WSTOPPED | os.WNOWAIT)
    guest.process.send_signal(signal.SIGCONT)
    guest.expect_mode(raw)
    guest.type(b"b")
    guest.expect(b"<62>")
