"""The server: a socket on loopback at which one gdb at a time takes the machine over."""

from __future__ import annotations

import select
import socket

from hypernest.debug.gdb.commands import answer
from hypernest.debug.gdb.connection import Connection, ConnectionLost
from hypernest.debug.gdb.packets import Mark
from hypernest.debug.gdb.registers import GdbRegister
from hypernest.debug.gdb.session import Departure, Session
from hypernest.debug.gdb.target import Go, Target
from hypernest.errors import BadConfiguration

_LOOPBACK = "127.0.0.1"
_IDLE_SECONDS = 0.1
_TOO_LONG = b"E03"


class GdbServer:
    """Listens on `port` of 127.0.0.1 (0: any that is free) for gdb to debug `target`. Close it, or use `with`.

    Raises `BadConfiguration` if the port cannot be had.
    """

    def __init__(self, target: Target, registers: dict[int, GdbRegister], port: int = 0) -> None:
        if not 0 <= port < 1 << 16:
            raise BadConfiguration(f"there is no port {port}: give 1 to 65535, or 0 for any that is free")
        self._target, self._registers = target, registers
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind((_LOOPBACK, port))
            self._listener.listen(1)
        except OSError as error:
            self._listener.close()
            raise BadConfiguration(f"port {port} cannot be used: {error.strerror}; give another, or 0") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def serve(self, wait: bool = True) -> Departure:
        """Let gdb connect and do what it says until it detaches or kills, or the machine stops for good without it.

        With `wait` the machine stands still until gdb has connected, without it runs. When the connection is lost, the
        machine stands still until gdb comes again. Exceptions of the machine's console pass.
        """
        while True:
            if not (self._await_client() if wait else self._run_until_client()):
                return Departure.ENDED
            connection = Connection(self._listener.accept()[0])
            session = self._session(connection)
            try:
                while session.departure is None:
                    self._converse(connection, session)
                return session.departure
            except ConnectionLost:
                wait |= session.packets > 0  # who said nothing was no gdb
            finally:
                self._target.remove_all()
                connection.close()

    def _session(self, connection: Connection) -> Session:
        def poll() -> bool:
            someone = self._someone_is_there(0)
            if connection.wants_attention():
                return True
            if someone:  # and the client was still here when that one came
                self._refuse()
            return False

        return Session(self._target, self._registers, poll, connection.say)

    def _converse(self, connection: Connection, session: Session) -> None:
        """Answer what has arrived, or wait for it."""
        event = connection.next_packet()
        if event is None:
            sockets = [connection.fileno(), self._listener.fileno()]
            ready = select.select(sockets, [], [], _IDLE_SECONDS)[0]
            if connection.fileno() in ready:
                connection.receive()
            elif ready:
                self._refuse()
            else:
                self._target.attend()
        elif isinstance(event, Mark):  # there is nothing to interrupt
            if event is Mark.OVERSIZED:
                connection.send(_TOO_LONG)
        else:
            reply = answer(session, event.payload)
            if session.departure is not Departure.KILLED:
                connection.send(reply)
            connection.acknowledges = session.acknowledges

    # --- without a client ------------------------------------------------------------------------------------------

    def _await_client(self) -> bool:
        while not self._someone_is_there(_IDLE_SECONDS):
            self._target.attend()
        return True

    def _run_until_client(self) -> bool:
        """False if the machine has ended before."""
        while not self._someone_is_there(0):
            if self._target.ended is not None:
                return False
            self._target.resume(Go.CONTINUE, self._target.current, lambda: self._someone_is_there(0))
        return True

    def _someone_is_there(self, seconds: float) -> bool:
        return bool(select.select([self._listener], [], [], seconds)[0])

    def _refuse(self) -> None:
        self._listener.accept()[0].close()

    # --- the end ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Listen no more; harmless when repeated."""
        self._listener.close()

    def __enter__(self) -> GdbServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
