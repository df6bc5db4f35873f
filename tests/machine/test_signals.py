"""Signals come through, whatever the guest does at that moment, and the machine can go on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hypernest.machine import StopKind
from hypernest.machine.backend import ConsoleBackend
from hypernest.machine.signals import deferred_signals
from tests.machine.small_guests import CLINT, UART, hosted, on_every_engine

# Native code calls Python all the time: for a device that is there, and for one that is not.
GUESTS = {
    "a counting guest": "1: addi s0, s0, 1\n j 1b",
    "a guest that reads the clock": f"li t0, {CLINT + 0xBFF8:#x}\n 1: ld t1, 0(t0)\n addi s0, s0, 1\n j 1b",
    "a guest that writes to a device": f"li t0, {UART + 7:#x}\n 1: sb t0, 0(t0)\n addi s0, s0, 1\n j 1b",
}


@contextmanager
def sent_soon(number: signal.Signals) -> Iterator[None]:
    """Send a signal to this process while the block is executed."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@on_every_engine
@pytest.mark.parametrize("guest", GUESTS.values(), ids=list(GUESTS))
def test_ctrl_c(engine: str, guest: str, capfd: pytest.CaptureFixture[str]) -> None:
    with hosted(guest, engine=engine) as machine:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt), sent_soon(signal.SIGINT):
                machine.run()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        before = machine.instructions
        assert machine.run(300).kind is StopKind.LIMIT
        assert machine.instructions == before + 300
        assert machine.harts[0].x["s0"] > 200
    assert capfd.readouterr() == ("", "")


def test_a_handler_of_the_users_own() -> None:
    class Ended(Exception):
        pass

    def end(number: int, frame: object) -> None:
        raise Ended(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with hosted(GUESTS["a guest that reads the clock"]) as machine:
            with pytest.raises(Ended, match="15"), sent_soon(signal.SIGTERM):
                machine.run()
            assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_handler_that_does_not_raise_pauses_nothing_for_good() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: seen.append(number))
    try:
        with hosted(GUESTS["a counting guest"]) as machine, sent_soon(signal.SIGHUP):
            runs = 0
            while not seen:
                runs += 1
                assert machine.run(100_000_000).kind is StopKind.LIMIT
                assert machine.instructions == runs * 100_000_000
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIGHUP]


def test_a_machine_that_waits_for_input_is_interrupted_at_once() -> None:
    class Silent(ConsoleBackend):
        def write(self, data: bytes) -> None:
            pass

        def read(self) -> bytes:
            return b""

        def wait(self, seconds: float | None) -> bool:
            threading.Event().wait(seconds)
            return True

    with (
        hosted("1: wfi\n j 1b", console=Silent()) as machine,
        pytest.raises(KeyboardInterrupt),
        sent_soon(signal.SIGINT),
    ):
        machine.run()


def test_other_threads_run_machines_too() -> None:
    reasons: list[StopKind] = []

    def work() -> None:
        with hosted("li a7, 8\n ecall") as machine:
            reasons.append(machine.run().kind)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reasons == [StopKind.POWER_OFF]


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferred_signals(lambda: True, lambda: None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
