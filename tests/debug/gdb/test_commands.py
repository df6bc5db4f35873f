"""Every request that gdb can make, against a target of tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypernest.debug.gdb.commands import answer
from hypernest.debug.gdb.registers import PC, gdb_registers
from hypernest.debug.gdb.session import Departure, Session
from hypernest.debug.gdb.target import Cause, Go, Point, Stop
from hypernest.errors import HypernestError
from hypernest.isa.riscv.riscv64 import RISCV64
from tests.debug.gdb.fake_target import BASE, SIZE, FakeTarget

REGISTERS = gdb_registers(RISCV64)
MSTATUS = 65 + 0x300


class Conversation:
    """A session on a fake target, and what it showed the user."""

    def __init__(self) -> None:
        self.target = FakeTarget()
        self.shown = ""
        self.session = Session(self.target, REGISTERS, lambda: True, self._show)

    def _show(self, text: str) -> None:
        self.shown += text

    def ask(self, request: str | bytes) -> str:
        return answer(self.session, request.encode() if isinstance(request, str) else request).decode()


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def little(value: int) -> str:
    return value.to_bytes(8, "little").hex()


def test_what_is_supported(talk: Conversation) -> None:
    offered = talk.ask("qSupported:multiprocess+;swbreak+;xmlRegisters=i386").split(";")
    assert {"PacketSize=4000", "qXfer:features:read+", "QStartNoAckMode+", "vContSupported+"} <= set(offered)
    assert {"hwbreak+", "swbreak+", "ReverseStep+", "ReverseContinue+"} <= set(offered)
    assert talk.session.features == {"multiprocess", "swbreak"}


@pytest.mark.parametrize(
    "request_", ["vMustReplyEmpty", "qTStatus", "qOffsets", "!", "R00", "", "bz", "q", "v", "x0,0"]
)
def test_what_is_not_known_gets_the_empty_reply(talk: Conversation, request_: str) -> None:
    assert talk.ask(request_) == ""


def test_small_talk(talk: Conversation) -> None:
    assert talk.ask("qAttached") == "1"
    assert talk.ask("qSymbol::") == "OK"
    assert talk.ask("vCont?") == "vCont;c;C;s;S;r"
    assert talk.session.acknowledges
    assert talk.ask("QStartNoAckMode") == "OK"
    assert not talk.session.acknowledges


def test_the_description_in_pieces(talk: Conversation) -> None:
    text, piece = "", "m"
    while piece.startswith("m"):
        piece = talk.ask(f"qXfer:features:read:target.xml:{len(text):x},ffb")
        text += piece[1:]
    assert piece.startswith("l")
    assert text.encode() == talk.session.description
    assert talk.ask("qXfer:features:read:target.xml:ffffff,10") == "l"
    assert talk.ask("qXfer:features:read:other.xml:0,10") == "E00"


def test_threads_are_harts(talk: Conversation) -> None:
    assert talk.ask("qfThreadInfo") == "m1,2"
    assert talk.ask("qsThreadInfo") == "l"
    assert talk.ask("qC") == "QC1"
    assert talk.ask("Hg2") == "OK"
    assert talk.ask("qC") == "QC2"
    assert [talk.ask(f"T{thread}") for thread in ("1", "2", "3", "ff")] == ["OK", "OK", "E01", "E01"]
    assert [talk.ask(f"H{what}") for what in ("c-1", "c0", "g0", "g3", "x1", "g")] == ["OK"] * 3 + ["E01"] * 3
    assert bytes.fromhex(talk.ask("qThreadExtraInfo,2")).decode() == "hart 1, machine mode"


def test_registers_one_by_one(talk: Conversation) -> None:
    assert talk.ask(f"P{PC:x}={little(BASE)}") == "OK"
    assert talk.ask(f"p{PC:x}") == little(BASE)
    talk.ask("Hg2")
    assert talk.ask(f"p{PC:x}") == little(0)
    assert talk.ask(f"P{MSTATUS:x}={little(1 << 63)}") == "OK"
    assert talk.target.values[1, MSTATUS] == 1 << 63
    talk.target.unreadable.add(MSTATUS)
    assert talk.ask(f"p{MSTATUS:x}") == "x" * 16
    assert [talk.ask(wrong) for wrong in (f"P{MSTATUS:x}={little(0)}", "pffff", "p", "P20=00", "P20", "p-1")] == [
        "E01"
    ] * 6


def test_all_registers_at_once(talk: Conversation) -> None:
    values = "".join(map(little, range(100, 165)))
    assert talk.ask("G" + values) == "OK"
    assert talk.ask("g") == values
    assert talk.ask("G" + little(7) + "x" * 16 + little(9)) == "OK"
    assert talk.ask("g") == little(7) + little(101) + little(9) + values[48:]
    assert [talk.ask(wrong) for wrong in ("G", "G00", "G" + values + little(0), "Gzz")] == ["E01"] * 4


def test_memory(talk: Conversation) -> None:
    assert talk.ask(f"M{BASE:x},4:01020304") == "OK"
    assert talk.ask(b"X%x,3:\x00$\xff" % (BASE + 4)) == "OK"
    assert talk.ask(f"m{BASE:x},7") == "010203040024ff"
    assert talk.ask(f"m{BASE + SIZE - 2:x},8") == "0000"
    assert talk.ask(f"X{BASE:x},0:") == "OK"
    assert [talk.ask(bad) for bad in ("m0,4", "M0,1:00", "X0,1:a")] == ["E14"] * 3
    assert [talk.ask(bad) for bad in ("m", "m80000000", "m,4", f"M{BASE:x},4:00", "X80000000,2:a", "mg,1")] == [
        "E01"
    ] * 6
    assert len(talk.ask(f"m{BASE:x},ffffffff")) // 2 < 0x2000


def test_break_and_watchpoints(talk: Conversation) -> None:
    for kind in range(5):
        assert talk.ask(f"Z{kind},80000000,4") == "OK"
        assert talk.ask(f"Z{kind},80000000,4") == "OK"
    assert talk.target.points == {(point, BASE, 4) for point in Point}
    for kind in range(5):
        assert talk.ask(f"z{kind},80000000,4") == "OK"
        assert talk.ask(f"z{kind},80000000,4") == "OK"
    assert not talk.target.points
    assert talk.ask("Z5,0,0") == ""
    assert [talk.ask(bad) for bad in ("Z0", "Z0,0", "Z0,0,0;X1,00", "z", "Za,0,0")] == ["E01"] * 5


def test_running(talk: Conversation) -> None:
    assert talk.ask("c").startswith("T02thread:1;20:")
    assert talk.ask("vCont;s:2;c").startswith("T05thread:2;")
    assert talk.ask("vCont;c").startswith("T02")
    assert talk.ask("vCont;C05:1;s").startswith("T05")
    talk.ask("Hc2")
    talk.ask(f"s{BASE:x}")
    talk.ask("S05;80000010")
    talk.ask("C05")
    talk.ask("bs")
    talk.ask("bc")
    assert talk.target.resumed == [
        *((Go.CONTINUE, 0), (Go.STEP, 1), (Go.CONTINUE, 1), (Go.STEP, 0)),
        *((Go.STEP, 1), (Go.STEP, 1), (Go.CONTINUE, 1), (Go.STEP_BACK, 1), (Go.CONTINUE_BACK, 1)),
    ]
    assert talk.target.values[1, PC] == BASE + 0x10
    wrong = ("vCont", "vCont;", "vCont;t", "vCont;x:1", "vCont;s:9", "cx", "C", "S5", "bs1", "vCont;s:1;")
    assert [talk.ask(bad) for bad in wrong] == ["E01"] * len(wrong)
    assert len(talk.target.resumed) == 9


def test_stepping_through_a_range(talk: Conversation) -> None:
    talk.ask("vCont;r80000000,80000010:2;c")
    assert talk.target.resumed == [(Go.STEP, 1)]
    assert talk.target.within == range(0x8000_0000, 0x8000_0010)
    talk.ask("vCont;s:2;c")
    assert not talk.target.within
    assert [talk.ask(bad) for bad in ("vCont;r", "vCont;r1", "vCont;r1,", "vCont;rg,1")] == ["E01"] * 4


def test_the_program_as_a_file(talk: Conversation) -> None:
    name = b"/guest-program".hex()
    assert talk.ask("qXfer:exec-file:read::0,100") == "E00"
    assert talk.ask(f"vFile:open:{name},0,0") == "F-1,2"
    talk = Conversation()
    talk.target.file = b"\x7fELF and more"
    assert talk.ask("qXfer:exec-file:read:1:0,100") == "l/guest-program"
    assert talk.ask("vFile:setfs:0") == "F0"
    assert talk.ask(f"vFile:open:{name},0,1c0") == "F3"
    assert talk.ask("vFile:pread:3,100,2") == "Fb;LF and more"
    assert talk.ask("vFile:pread:3,100,ffffffff") == "F0;"
    assert answer(talk.session, b"vFile:fstat:3")[:4] == b"F40;"
    assert len(answer(talk.session, b"vFile:fstat:3")) == 4 + 64
    assert talk.ask("vFile:close:3") == "F0"
    assert [talk.ask(f"vFile:open:{other},0,0") for other in (b"/etc/passwd".hex(), b"".hex(), "ff")] == ["F-1,2"] * 3
    assert talk.ask(f"vFile:open:{name},1,0") == "F-1,2"
    assert [talk.ask(f"vFile:{what}") for what in ("pread:4,1,0", "fstat:4", "close:9")] == ["F-1,9"] * 3
    assert talk.ask("vFile:unlink:00") == ""


def test_stop_replies(talk: Conversation) -> None:
    talk.target.values[1, PC] = BASE

    def reply(*stop: object) -> str:
        talk.target.stops.append(Stop(*stop))  # type: ignore[arg-type]
        return talk.ask("c").partition("thread:")[0]

    assert reply(Cause.BREAKPOINT, 1, Point.SOFTWARE, BASE) == "T05"
    talk.ask("qSupported:swbreak+;hwbreak+")
    assert reply(Cause.BREAKPOINT, 1, Point.SOFTWARE, BASE) == "T05swbreak:;"
    assert reply(Cause.BREAKPOINT, 1, Point.HARDWARE, BASE) == "T05hwbreak:;"
    assert reply(Cause.WATCHPOINT, 1, Point.WRITE, BASE) == "T05watch:80000000;"
    assert reply(Cause.WATCHPOINT, 1, Point.READ, BASE) == "T05rwatch:80000000;"
    assert reply(Cause.WATCHPOINT, 1, Point.ACCESS, BASE) == "T05awatch:80000000;"
    assert reply(Cause.HISTORY_BEGIN, 0) == "T05replaylog:begin;"
    assert reply(Cause.HISTORY_END, 1) == "T05replaylog:end;"
    assert talk.ask("?") == f"T05replaylog:end;thread:2;20:{little(BASE)};2:{little(0)};8:{little(0)};"
    assert talk.ask("qC") == "QC2"


def test_what_there_is_to_say_about_a_stop(talk: Conversation) -> None:
    talk.target.stops.append(Stop(Cause.HISTORY_END, 0, message="the guest powered the machine off"))
    talk.ask("c")
    assert talk.shown == "the guest powered the machine off\n"


def test_trouble_of_the_machine_is_told_and_the_session_goes_on(talk: Conversation) -> None:
    talk.target.trouble = HypernestError("the disk is gone")
    assert talk.ask("c").startswith("T05thread:1;")
    assert talk.shown == "hypernest: the disk is gone\n"


def test_the_end_of_the_machine(talk: Conversation) -> None:
    talk.target.ended = 3
    assert talk.ask("bs").startswith("T05")
    assert talk.session.departure is None
    assert talk.ask("vCont;c") == "W03"
    assert talk.session.departure is Departure.DETACHED


def test_monitor(talk: Conversation) -> None:
    assert talk.ask("qRcmd," + b"goto 5".hex()) == "OK"
    assert talk.shown == "0: goto 5\n"
    assert talk.ask("qRcmd," + b"fail".hex()) == "OK"
    assert talk.shown.endswith("that failed\n")
    assert talk.ask("qRcmd,ff") == "OK"
    assert [talk.ask(bad) for bad in ("qRcmd", "qRcmd,6", "qRcmd,zz")] == ["E01"] * 3


@pytest.mark.parametrize(
    ("request_", "departure"),
    [("D", Departure.DETACHED), ("D;1", Departure.DETACHED), ("k", Departure.KILLED), ("vKill;1", Departure.KILLED)],
)
def test_the_end_of_the_conversation(talk: Conversation, request_: str, departure: Departure) -> None:
    assert talk.ask(request_) == "OK"
    assert talk.session.departure is departure


_NAMES = (
    "? g G p P m M X Z z c s C S bs bc H T D k q qC qRcmd, qXfer:features:read:target.xml: vCont; vCont qSupported:"
)


@given(st.sampled_from(_NAMES.split()), st.one_of(st.binary(max_size=40), st.from_regex(rb"\A[-0-9a-f,;:=]{0,40}\Z")))
def test_whatever_follows_a_name_is_answered(name: str, rest: bytes) -> None:
    reply = Conversation().ask(name.encode() + rest)
    assert len(reply) < 0x4000


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_garbage_is_answered(requests: list[bytes]) -> None:
    talk = Conversation()
    for request in requests:
        talk.ask(request)
    assert talk.ask("T1") == "OK"
