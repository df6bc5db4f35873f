"""The server's socket: acknowledgements, interruption, clients that are none, and the end of a connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from hypernest.debug.gdb.packets import LARGEST_PACKET, Packet, PacketReader, encode
from hypernest.debug.gdb.registers import gdb_registers
from hypernest.debug.gdb.server import GdbServer
from hypernest.debug.gdb.session import Departure
from hypernest.debug.gdb.target import Go
from hypernest.errors import BadConfiguration
from hypernest.isa.riscv.riscv64 import RISCV64
from tests.debug.gdb.fake_target import BASE, FakeTarget

DEADLINE_SECONDS = 30


class Serving:
    """A server on a thread of its own, with a fake target."""

    def __init__(self, wait: bool = True) -> None:
        self.target = FakeTarget()
        self.server = GdbServer(self.target, gdb_registers(RISCV64))
        self.departure: Departure | None = None
        self._thread = threading.Thread(target=self._serve, args=(wait,), daemon=True)
        self._thread.start()

    def _serve(self, wait: bool) -> None:
        self.departure = self.server.serve(wait)

    def until_it_runs(self) -> None:
        for _ in range(DEADLINE_SECONDS * 100):
            if self.target.resumed:
                return
            threading.Event().wait(0.01)
        pytest.fail("the machine does not run")

    def end(self) -> Departure | None:
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        self.server.close()
        return self.departure


class Client:
    """The other end of the socket."""

    def __init__(self, serving: Serving) -> None:
        self.socket = socket.create_connection(("127.0.0.1", serving.server.port), DEADLINE_SECONDS)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def expect(self, data: bytes) -> None:
        received = b""
        while len(received) < len(data):
            more = self.socket.recv(len(data) - len(received))
            assert more, f"{received!r} and no more, instead of {data!r}"
            received += more
        assert received == data

    def ask(self, payload: bytes) -> bytes:
        """The reply to a packet, whatever is acknowledged."""
        self.send(encode(payload))
        reader = PacketReader()
        while True:
            for event in reader.feed(self.socket.recv(1)):
                if isinstance(event, Packet):
                    return event.payload

    def is_refused(self) -> bool:
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def serving() -> Iterator[Serving]:
    serving = Serving()
    yield serving
    if serving.departure is None:
        client = Client(serving)
        client.send(encode(b"k"))
        assert serving.end() is Departure.KILLED


def test_packets_are_acknowledged_until_that_is_ended(serving: Serving) -> None:
    client = Client(serving)
    client.send(b"+" + encode(b"qC"))
    client.expect(b"+" + encode(b"QC1"))
    client.send(b"+" + encode(b"QStartNoAckMode"))
    client.expect(b"+" + encode(b"OK"))
    client.send(b"+" + encode(b"qC"))
    client.expect(encode(b"QC1"))
    client.send(encode(b"k"))
    assert serving.end() is Departure.KILLED


def test_what_was_damaged_is_sent_again(serving: Serving) -> None:
    client = Client(serving)
    client.send(b"$qC#00")
    client.expect(b"-")
    client.send(encode(b"qC"))
    client.expect(b"+" + encode(b"QC1"))
    client.send(b"-")
    client.expect(encode(b"QC1"))
    client.socket.close()


def test_a_long_packet_gets_an_error(serving: Serving) -> None:
    client = Client(serving)
    client.send(b"$" + b"a" * (LARGEST_PACKET * 3) + b"#00")
    client.expect(b"+" + encode(b"E03"))
    assert client.ask(b"qC") == b"QC1"
    client.socket.close()


def test_ctrl_c_while_the_machine_runs(serving: Serving) -> None:
    client = Client(serving)
    client.send(encode(b"vCont;c"))
    client.expect(b"+")
    client.send(b"\x03")
    client.expect(b"$T02thread:1;")
    client.socket.close()


def test_packets_sent_too_early_wait_for_their_turn(serving: Serving) -> None:
    client = Client(serving)
    client.send(encode(b"c") + encode(b"qC") + b"\x03" + encode(b"T2"))
    client.expect(b"+$T02thread:1;")
    while client.socket.recv(1) != b"#":
        pass
    client.socket.recv(2)
    client.expect(b"+" + encode(b"QC1") + b"+" + encode(b"OK"))
    client.socket.close()


def test_a_flood_ends_the_connection(serving: Serving) -> None:
    client = Client(serving)
    client.send(encode(b"c") + encode(b"qC") * 1000)
    while not client.is_refused():
        pass


def test_detaching(serving: Serving) -> None:
    client = Client(serving)
    assert client.ask(b"Z0,80000000,4") == b"OK"
    assert client.ask(b"D") == b"OK"
    assert serving.end() is Departure.DETACHED
    assert not serving.target.points


def test_after_a_lost_connection_the_machine_waits_for_the_next(serving: Serving) -> None:
    client = Client(serving)
    assert client.ask(b"Z0,80000000,4") == b"OK"
    client.socket.close()
    client = Client(serving)
    assert client.ask(b"?").startswith(b"T05")
    assert not serving.target.points
    assert not serving.target.resumed
    client.socket.close()


def test_the_connection_is_lost_while_the_machine_runs(serving: Serving) -> None:
    client = Client(serving)
    client.send(encode(b"c"))
    client.expect(b"+")
    client.socket.close()
    assert Client(serving).ask(b"qC") == b"QC1"


def test_one_client_at_a_time(serving: Serving) -> None:
    first = Client(serving)
    assert first.ask(b"qC") == b"QC1"
    assert Client(serving).is_refused()
    first.send(encode(b"c"))
    first.expect(b"+")
    assert Client(serving).is_refused()
    first.send(b"\x03")
    first.expect(b"$T02")
    first.socket.close()


def test_a_browser_is_no_gdb(serving: Serving) -> None:
    client = Client(serving)
    client.send(b"POST / HTTP/1.1\r\n\r\n" + encode(b"M%x,1:ff" % BASE))
    assert client.is_refused()
    assert Client(serving).ask(b"m%x,1" % BASE) == b"00"


def test_the_machine_may_run_before_anyone_connects() -> None:
    serving = Serving(wait=False)
    serving.until_it_runs()
    probe = Client(serving)
    probe.send(b"GET / HTTP/1.1\r\n\r\n")
    assert probe.is_refused()
    client = Client(serving)
    assert client.ask(b"qC") == b"QC1"
    assert set(serving.target.resumed) == {(Go.CONTINUE, 0)}
    assert client.ask(b"D") == b"OK"
    assert serving.end() is Departure.DETACHED


def test_a_machine_that_ends_without_anyone() -> None:
    target = FakeTarget(ended=0)
    with GdbServer(target, gdb_registers(RISCV64)) as server:
        assert server.serve(wait=False) is Departure.ENDED


def test_the_machine_is_attended_while_it_stands(serving: Serving) -> None:
    client = Client(serving)
    assert client.ask(b"qC") == b"QC1"
    seen = serving.target.attended
    for _ in range(100):
        if serving.target.attended > seen + 1:
            break
        threading.Event().wait(0.1)
    else:
        pytest.fail("nobody attends to the machine")
    client.socket.close()


def test_it_listens_on_loopback_only(serving: Serving) -> None:
    assert serving.server._listener.getsockname()[0] == "127.0.0.1"


def test_ports_that_cannot_be() -> None:
    with pytest.raises(BadConfiguration, match="there is no port 70000"):
        GdbServer(FakeTarget(), {}, 70000)
    with GdbServer(FakeTarget(), {}) as server, pytest.raises(BadConfiguration, match="in use.*; give another, or 0"):
        GdbServer(FakeTarget(), {}, server.port)
