"""gdb stops machines that run, sleep, or have not been waited for; `Machine.serve_gdb`."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable

import pytest

from hypernest.debug.gdb.machine_target import MachineTarget
from hypernest.debug.gdb.packets import Packet, PacketReader, encode
from hypernest.debug.gdb.server import GdbServer
from hypernest.debug.gdb.session import Departure
from hypernest.debug.gdb.target import Go
from hypernest.machine import Machine, StopKind
from tests.debug.gdb.driving import DEADLINE_SECONDS
from tests.debug.gdb.test_attention import Typed
from tests.machine.small_guests import bare

SPINNING = "1: addi s0, s0, 1\n j 1b"
SLEEPING = "1: wfi\n j 1b"


class Asker(threading.Thread):
    """A client on a thread of its own: interrupts what runs, then does what `rest` wants, and kills."""

    def __init__(self, port: int, *requests: bytes) -> None:
        super().__init__(daemon=True)
        self.replies: list[bytes] = []
        self.latency = 0.0
        self._port, self._requests = port, requests
        self.start()

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), DEADLINE_SECONDS) as client:
            client.sendall(encode(b"c"))
            time.sleep(0.3)
            began = time.monotonic()
            client.sendall(b"\x03")
            self._take(client)
            self.latency = time.monotonic() - began
            for request in self._requests:
                client.sendall(encode(request))
                self._take(client)
            client.sendall(encode(b"k"))
            client.recv(1)

    def _take(self, client: socket.socket) -> None:
        reader = PacketReader()
        while True:
            data = client.recv(1)
            assert data
            for event in reader.feed(data):
                if isinstance(event, Packet):
                    self.replies.append(event.payload)
                    return


def served(machine: Machine, *requests: bytes) -> Asker:
    target = MachineTarget(machine)
    with GdbServer(target, target.registers) as server:
        asker = Asker(server.port, *requests)
        assert server.serve() is Departure.KILLED
    asker.join(DEADLINE_SECONDS)
    return asker


@pytest.mark.parametrize("engine", ["interpreter", "translator"])
def test_a_machine_that_runs(engine: str) -> None:
    with bare(SPINNING, engine=engine) as machine:
        asker = served(machine, b"p8", b"bs")
        assert machine.instructions > 1_000_000
    stopped, s0, stepped = asker.replies
    assert stopped.startswith(b"T02") and int(s0, 16) and stepped.startswith(b"T05")
    assert asker.latency < 5


@pytest.mark.parametrize("console", [None, Typed, lambda: Typed(ended=True)])
def test_a_machine_that_sleeps_until_an_interrupt(console: Callable[[], Typed] | None) -> None:
    timer = "li t0, 0x2004000\n li t1, 1000000000\n sd t1, 0(t0)\n li t0, 128\n csrw mie, t0\n"
    with bare(timer + SLEEPING, engine="interpreter", clock="wall", console=console and console()) as machine:
        before = machine.console.backend
        asker = served(machine, b"?")
        assert machine.console.backend is before
        assert machine.instructions < 1000
    assert [reply[:3] for reply in asker.replies] == [b"T02", b"T02"]
    assert asker.latency < 5


def test_a_machine_that_sleeps_for_its_user() -> None:
    with bare(SLEEPING, engine="interpreter", clock="wall", console=Typed()) as machine:
        assert served(machine).replies[0].startswith(b"T02")


def test_a_machine_that_can_never_go_on_says_so() -> None:
    with bare(SLEEPING, engine="interpreter") as machine:
        target = MachineTarget(machine)
        with GdbServer(target, target.registers) as server:
            said = []

            def ask() -> None:
                with socket.create_connection(("127.0.0.1", server.port), DEADLINE_SECONDS) as client:
                    client.sendall(encode(b"QStartNoAckMode") + encode(b"c") + encode(b"c"))
                    while data := client.recv(4096):
                        said.append(data)

            asker = threading.Thread(target=ask, daemon=True)
            asker.start()
            assert server.serve() is Departure.DETACHED
        asker.join(DEADLINE_SECONDS)
    text = b"".join(said)
    assert b"hypernest: every hart waits for an interrupt that cannot come\n".hex().encode() in text
    assert b"replaylog:end" in text
    assert b"$W01#" in text


def test_serving_a_machine_in_a_program(capfd: pytest.CaptureFixture[str]) -> None:
    port = 0

    def connect() -> None:
        nonlocal port
        said = ""
        while not (found := re.search(r"target remote :(\d+)", said)):
            said += capfd.readouterr().err
            time.sleep(0.01)
        port = int(found[1])
        with socket.create_connection(("127.0.0.1", port), DEADLINE_SECONDS) as client:
            client.sendall(encode(b"s") + encode(b"D"))
            while client.recv(4096):
                pass

    with bare(SPINNING, engine="interpreter") as machine:
        client = threading.Thread(target=connect, daemon=True)
        client.start()
        assert machine.serve_gdb() is None
        assert machine.instructions == 1
        client.join(DEADLINE_SECONDS)
        machine.run(100)
    with bare("li t0, 0x100000\n li t1, 0x5555\n sw t1, 0(t0)", engine="interpreter") as machine:
        reason = machine.serve_gdb(wait=False)
        assert reason is not None and reason.kind is StopKind.POWER_OFF


def test_a_machine_goes_on_when_gdb_has_let_go_of_its_console() -> None:
    with bare(SPINNING, engine="interpreter") as machine:
        target = MachineTarget(machine)
        polls = iter(range(20))
        target.resume(Go.CONTINUE, 0, lambda: next(polls, None) is None)
        target.resume(Go.STEP_BACK, 0, lambda: False)
        before = machine.instructions
        machine.run(5_000_000)
        assert machine.instructions == before + 5_000_000
