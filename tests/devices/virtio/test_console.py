"""The virtio console: bytes both ways, input that waits for buffers, and the window's size."""

from __future__ import annotations

from hypernest.devices.virtio import VirtioConsole
from tests.devices.virtio.driver import BUFFERS, NEXT, WRITE, Driver

RECEIVE, TRANSMIT = 0, 1


class Terminal(Driver):
    def __init__(self) -> None:
        self.sent = bytearray()
        self.console = VirtioConsole(self.sent.extend)
        super().__init__(self.console)

    def lend(self, slot: int, count: int) -> None:
        """Give the device a buffer to put input in."""
        self.describe(slot, BUFFERS + 0x100 * slot, count, WRITE)
        self.offer(slot, RECEIVE)
        self.notify(RECEIVE)

    def got(self) -> list[bytes]:
        return [self.memory.read(BUFFERS + 0x100 * slot, count) for slot, count in self.used(RECEIVE)]


def test_output() -> None:
    terminal = Terminal()
    terminal.start()
    assert terminal.get("device_id") == 3
    assert terminal.request([b"hello ", b"world"], [], queue=TRANSMIT) == ([], 0)
    assert terminal.sent == b"hello world"


def test_input_goes_into_the_buffers_as_they_come() -> None:
    terminal = Terminal()
    terminal.start()
    terminal.lend(0, 4)
    assert terminal.got() == []
    terminal.console.receive(b"abcdefgh-ij")
    assert terminal.got() == [b"abcd"]
    assert terminal.line.level
    terminal.lend(1, 5)
    terminal.lend(2, 8)
    assert terminal.got() == [b"efgh-", b"ij"]
    terminal.console.receive(b"next")
    assert terminal.got() == []
    terminal.lend(3, 8)
    assert terminal.got() == [b"next"]


def test_input_before_the_driver_is_up_is_kept() -> None:
    terminal = Terminal()
    terminal.console.receive(b"early")
    terminal.start()
    terminal.lend(0, 8)
    assert terminal.got() == [b"early"]


def test_input_into_several_buffers_of_one_chain() -> None:
    terminal = Terminal()
    terminal.start()
    terminal.describe(0, BUFFERS, 3, WRITE | NEXT, 1)
    terminal.describe(1, BUFFERS + 3, 3, WRITE)
    terminal.offer(0, RECEIVE)
    terminal.console.receive(b"abcdefg")
    assert terminal.used(RECEIVE) == [(0, 6)]
    assert terminal.memory.read(BUFFERS, 7) == b"abcdef\0"
    assert terminal.console.state.input == b"g"


def test_buffers_without_room_do_not_stop_the_input() -> None:
    terminal = Terminal()
    terminal.start()
    terminal.lend(0, 0)
    terminal.lend(1, 4)
    terminal.console.receive(b"ab")
    assert terminal.got() == [b"", b"ab"]


def test_window_size() -> None:
    terminal = Terminal()
    assert terminal.offered() & 1
    assert (terminal.configuration(0, 2), terminal.configuration(2, 2)) == (80, 25)
    terminal.console.resize(132, 43)
    assert not terminal.line.level
    terminal.start()
    assert (terminal.configuration(0, 2), terminal.configuration(2, 2)) == (132, 43)
    generation = terminal.get("generation")
    terminal.console.resize(100, 50)
    assert terminal.line.level
    assert terminal.get("interrupt_status") == 2
    assert terminal.get("generation") != generation
    assert (terminal.configuration(0, 2), terminal.configuration(2, 2)) == (100, 50)
    terminal.set("interrupt_acknowledge", 2)
    terminal.console.resize(100, 50)
    assert not terminal.line.level
    terminal.console.resize(1 << 20, -3)
    assert (terminal.configuration(0, 2), terminal.configuration(2, 2)) == (0xFFFF, 0)


def test_a_broken_receive_queue_does_not_hurt_the_caller() -> None:
    terminal = Terminal()
    terminal.start()
    terminal.describe(0, 0x1000, 16, WRITE)
    terminal.offer(0, RECEIVE)
    terminal.console.receive(b"abc")
    assert terminal.broken()
    terminal.console.receive(b"def")
    terminal.start()
    terminal.lend(0, 16)
    assert terminal.got() == [b"abcdef"]
