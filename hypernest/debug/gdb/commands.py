"""The table of what gdb may ask, and the functions that answer (gdb's manual, appendix E)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hypernest.debug.gdb import host_files
from hypernest.debug.gdb.packets import LARGEST_PACKET
from hypernest.debug.gdb.registers import FIRST_CSR, PC, GdbRegister
from hypernest.debug.gdb.session import Departure, Session
from hypernest.debug.gdb.target import Go, Point, TargetError
from hypernest.errors import HypernestError

OK, UNKNOWN, MALFORMED, FAILED = b"OK", b"", b"E01", b"E02"
_LARGEST_READ = LARGEST_PACKET // 2 - 16
_UNREADABLE = "x"
_FEATURES = (
    f"PacketSize={LARGEST_PACKET:x}",
    *("qXfer:features:read+", "qXfer:exec-file:read+", "QStartNoAckMode+", "hwbreak+", "swbreak+", "vContSupported+"),
    *("ReverseStep+", "ReverseContinue+"),
)

# --- how requests are written --------------------------------------------------------------------------------------


def _hexadecimal(text: bytes) -> int:
    return int(text, 16)


_KINDS: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "address": ("[0-9a-fA-F]{1,16}", _hexadecimal),
    "number": ("[0-9a-fA-F]{1,8}", _hexadecimal),
    "signal": ("[0-9a-fA-F]{2}", _hexadecimal),
    "thread": ("-1|[0-9a-fA-F]{1,8}", _hexadecimal),
    "letter": ("[a-zA-Z]", bytes.decode),
    "digit": ("[0-9]", int),
    "word": ("[a-z0-9.-]{0,64}", bytes.decode),
    "hex": ("(?:[0-9a-fA-F]{2})*", lambda text: bytes.fromhex(text.decode())),
    "values": ("(?:[0-9a-fA-F]{16}|[xX]{16})*", bytes.decode),
    "rest": ("(?s:.*)", bytes),
}
"""What `{name}` stands for in the arguments of a request, and how that is read."""


@dataclass(frozen=True)
class Command:
    """A request: its name, its arguments as an expression over `_KINDS`, and who answers with these as values."""

    name: str
    arguments: str
    answer: Callable[..., bytes]

    @cached_property
    def _expression(self) -> re.Pattern[bytes]:
        text = re.sub(r"\{([a-z]+)\}", lambda kind: f"({_KINDS[kind[1]][0]})", self.arguments)
        return re.compile(text.encode())

    @cached_property
    def _readers(self) -> list[Callable[[bytes], Any]]:
        return [_KINDS[kind][1] for kind in re.findall(r"\{([a-z]+)\}", self.arguments)]

    def execute(self, session: Session, arguments: bytes) -> bytes:
        """The reply."""
        match = self._expression.fullmatch(arguments)
        if match is None:
            return MALFORMED
        pairs = zip(self._readers, match.groups(), strict=True)
        return self.answer(session, *(None if text is None else read(text) for read, text in pairs))


_NAME = re.compile(rb"vFile:[a-z]+|[qQv][A-Za-z]+\??|b[cs]|[^qQvb]", re.DOTALL)


def answer(session: Session, payload: bytes) -> bytes:
    """The reply to one packet; empty for what is not known. Errors a user can cause become error replies."""
    session.packets += 1
    name = _NAME.match(payload)
    command = _COMMANDS.get(name[0]) if name else None
    if name is None or command is None:
        return UNKNOWN
    try:
        return command.execute(session, payload[name.end() :])
    except TargetError as error:
        return b"E%02x" % error.code
    except HypernestError:
        return FAILED


# --- what was agreed -----------------------------------------------------------------------------------------------


def _supported(session: Session, features: bytes | None) -> bytes:
    offered = (features or b"").decode("ascii", "replace").split(";")
    session.features = frozenset(feature.removesuffix("+") for feature in offered if feature.endswith("+"))
    return ";".join(_FEATURES).encode()


def _stop_acknowledging(session: Session) -> bytes:
    session.acknowledges = False
    return OK


def _transfer(session: Session, what: str, annex: str, offset: int, count: int) -> bytes:
    """A piece of one of the documents that gdb may read."""
    match what:
        case "features" if annex == "target.xml":
            document: bytes | None = session.description
        case "exec-file":
            document = host_files.program_name(session)
        case _:
            document = None
    if document is None:
        return b"E00"
    piece = document[offset : offset + min(count, _LARGEST_READ)]
    return (b"m" if offset + len(piece) < len(document) else b"l") + piece


# --- threads -------------------------------------------------------------------------------------------------------


def _threads(session: Session) -> bytes:
    return b"m" + b",".join(b"%x" % (hart + 1) for hart in range(session.target.harts))


def _current_thread(session: Session) -> bytes:
    return b"QC%x" % (session.selected + 1)


def _select(session: Session, purpose: str, thread: int) -> bytes:
    hart = session.hart_of(thread)
    if purpose == "g":
        session.selected = session.selected if hart is None else hart
    elif purpose == "c":
        session.stepped = hart
    else:
        return MALFORMED
    return OK


def _is_alive(session: Session, thread: int) -> bytes:
    return MALFORMED if session.hart_of(thread) is None else OK


def _describe_thread(session: Session, thread: int) -> bytes:
    hart = session.hart_of(thread)
    return MALFORMED if hart is None else session.target.describe(hart).encode().hex().encode()


# --- registers and memory ------------------------------------------------------------------------------------------


def _value(session: Session, register: GdbRegister) -> str:
    value = session.target.read_register(session.selected, register)
    return _UNREADABLE * register.size * 2 if value is None else value.to_bytes(register.size, "little").hex()


def _general(session: Session) -> list[GdbRegister]:
    """The registers that packets g and G carry."""
    return [session.registers[number] for number in range(FIRST_CSR)]


def _read_registers(session: Session) -> bytes:
    return "".join(_value(session, register) for register in _general(session)).encode()


def _write_registers(session: Session, values: str) -> bytes:
    digits = session.registers[0].size * 2
    texts = [values[at : at + digits] for at in range(0, len(values), digits)]
    registers = _general(session)
    if not 0 < len(texts) <= len(registers):
        return MALFORMED
    for register, text in zip(registers, texts, strict=False):
        if _UNREADABLE not in text.lower():
            session.target.write_register(session.selected, register, _little(bytes.fromhex(text)))
    return OK


def _read_register(session: Session, number: int) -> bytes:
    register = session.registers.get(number)
    return MALFORMED if register is None else _value(session, register).encode()


def _write_register(session: Session, number: int, value: bytes) -> bytes:
    register = session.registers.get(number)
    if register is None or len(value) != register.size:
        return MALFORMED
    session.target.write_register(session.selected, register, _little(value))
    return OK


def _little(value: bytes) -> int:
    return int.from_bytes(value, "little")


def _read_memory(session: Session, address: int, count: int) -> bytes:
    if not count:
        return b""
    return session.target.read_memory(session.selected, address, min(count, _LARGEST_READ)).hex().encode()


def _write_memory(session: Session, address: int, count: int, data: bytes) -> bytes:
    if len(data) != count:
        return MALFORMED
    if data:
        session.target.write_memory(session.selected, address, data)
    return OK


# --- break- and watchpoints ----------------------------------------------------------------------------------------


def _insert(session: Session, kind: int, address: int, length: int) -> bytes:
    if kind not in list(Point):
        return UNKNOWN
    session.target.insert(Point(kind), address, length)
    return OK


def _remove(session: Session, kind: int, address: int, length: int) -> bytes:
    if kind not in list(Point):
        return UNKNOWN
    session.target.remove(Point(kind), address, length)
    return OK


# --- running -------------------------------------------------------------------------------------------------------


def _resumer(go: Go) -> Callable[..., bytes]:
    """Answers c, s, bc, bs, with the address to go on at if there is one."""

    def resume(session: Session, address: int | None = None) -> bytes:
        if address is not None:
            session.target.write_register(session.chosen, session.registers[PC], address)
        return session.resume(go)

    return resume


def _with_signal(go: Go) -> Callable[..., bytes]:
    """Answers C and S: there is nobody whom a signal could be given to."""
    resume = _resumer(go)
    return lambda session, signal, address: resume(session, address)


_ACTION = re.compile(
    rb"(?:c|C[0-9a-fA-F]{2}|(?P<step>s|S[0-9a-fA-F]{2}|r(?P<start>[0-9a-fA-F]{1,16}),(?P<end>[0-9a-fA-F]{1,16})))"
    rb"(?::(?P<thread>-1|[0-9a-fA-F]{1,8}))?"
)


def _resume_threads(session: Session, actions: bytes) -> bytes:
    """vCont. A step is done on one hart; the others run as the machine's own schedule says, whatever gdb wants."""
    steps: list[tuple[int | None, range]] = []
    for text in actions.split(b";"):
        action = _ACTION.fullmatch(text)
        if action is None:
            return MALFORMED
        hart = session.hart_of(int(action["thread"] or b"0", 16))
        if action["step"]:
            steps.append((hart, range(int(action["start"] or b"0", 16), int(action["end"] or b"0", 16))))
    return session.resume(Go.STEP, *steps[0]) if steps else session.resume(Go.CONTINUE)


# --- the rest ------------------------------------------------------------------------------------------------------


def _monitor(session: Session, command: bytes) -> bytes:
    try:
        session.say(session.target.monitor(command.decode("utf-8", "replace"), session.selected, session.poll))
    except HypernestError as error:
        session.say(f"{error}\n")
    return OK


def _detach(session: Session) -> bytes:
    session.departure = Departure.DETACHED
    return OK


def _kill(session: Session) -> bytes:
    session.departure = Departure.KILLED
    return OK


def _always(reply: bytes) -> Callable[..., bytes]:
    return lambda session: reply


_COMMANDS = {
    command.name.encode(): command
    for command in (
        Command("qSupported", "(?::{rest})?", _supported),
        Command("QStartNoAckMode", "", _stop_acknowledging),
        Command("qXfer", ":{word}:read:{word}:{number},{number}", _transfer),
        Command("vFile:setfs", ":{number}", host_files.set_file_system),
        Command("vFile:open", ":{hex},{number},{number}", host_files.open_file),
        Command("vFile:pread", ":{number},{number},{address}", host_files.read_file),
        Command("vFile:fstat", ":{number}", host_files.file_status),
        Command("vFile:close", ":{number}", host_files.close_file),
        Command("qSymbol", "::", _always(OK)),
        Command("qAttached", "(?::{rest})?", lambda session, process: b"1"),
        Command("?", "", Session.stop_reply),
        Command("qfThreadInfo", "", _threads),
        Command("qsThreadInfo", "", _always(b"l")),
        Command("qThreadExtraInfo", ",{thread}", _describe_thread),
        Command("qC", "", _current_thread),
        Command("H", "{letter}{thread}", _select),
        Command("T", "{thread}", _is_alive),
        Command("g", "", _read_registers),
        Command("G", "{values}", _write_registers),
        Command("p", "{number}", _read_register),
        Command("P", "{number}={hex}", _write_register),
        Command("m", "{address},{number}", _read_memory),
        Command("M", "{address},{number}:{hex}", _write_memory),
        Command("X", "{address},{number}:{rest}", _write_memory),
        Command("Z", "{digit},{address},{number}", _insert),
        Command("z", "{digit},{address},{number}", _remove),
        Command("c", "{address}?", _resumer(Go.CONTINUE)),
        Command("s", "{address}?", _resumer(Go.STEP)),
        Command("C", "{signal}(?:;{address})?", _with_signal(Go.CONTINUE)),
        Command("S", "{signal}(?:;{address})?", _with_signal(Go.STEP)),
        Command("vCont?", "", _always(b"vCont;c;C;s;S;r")),
        Command("vCont", ";{rest}", _resume_threads),
        Command("bs", "", _resumer(Go.STEP_BACK)),
        Command("bc", "", _resumer(Go.CONTINUE_BACK)),
        Command("qRcmd", ",{hex}", _monitor),
        Command("D", "(?:;{rest})?", lambda session, process: _detach(session)),
        Command("k", "", _kill),
        Command("vKill", "(?:;{rest})?", lambda session, process: _kill(session)),
    )
}
