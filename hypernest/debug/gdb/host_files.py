"""gdb's requests to read files on the target (vFile, its manual, section E.7): there is one, the program that runs.

No file of the host can be reached by them.
"""

from __future__ import annotations

from struct import Struct

from hypernest.debug.gdb.packets import LARGEST_PACKET
from hypernest.debug.gdb.session import Session

NAME = "/guest-program"
"""What gdb is told that the file is called."""

_DESCRIPTOR = 3
_NO_SUCH_FILE, _BAD_DESCRIPTOR = b"F-1,2", b"F-1,9"
_STATUS = Struct(">7I3Q3I")  # all in the order of struct stat, as section E.13.9.2 has it
_REGULAR_FILE = 0o100444
_LARGEST_READ = LARGEST_PACKET // 2 - 32  # each byte may need an escape


def program_name(session: Session) -> bytes | None:
    """The name under which gdb finds the program; None if there is none that has names."""
    return None if session.program is None else NAME.encode()


def set_file_system(session: Session, process: int) -> bytes:
    """There is one, for all processes."""
    return b"F0"


def open_file(session: Session, name: bytes, flags: int, mode: int) -> bytes:
    """The program only, and only to read."""
    if name.decode("utf-8", "replace") != NAME or flags or session.program is None:
        return _NO_SUCH_FILE
    return b"F%x" % _DESCRIPTOR


def read_file(session: Session, descriptor: int, count: int, offset: int) -> bytes:
    """Bytes of the program."""
    if descriptor != _DESCRIPTOR or session.program is None:
        return _BAD_DESCRIPTOR
    data = session.program.read(offset, min(count, _LARGEST_READ))
    return b"F%x;%b" % (len(data), data)


def file_status(session: Session, descriptor: int) -> bytes:
    """How large the program is."""
    if descriptor != _DESCRIPTOR or session.program is None:
        return _BAD_DESCRIPTOR
    data = _STATUS.pack(0, 0, _REGULAR_FILE, 1, 0, 0, 0, session.program.size, 512, 0, 0, 0, 0)
    return b"F%x;%b" % (len(data), data)


def close_file(session: Session, descriptor: int) -> bytes:
    """Nothing has to be done for it."""
    return b"F0" if descriptor == _DESCRIPTOR else _BAD_DESCRIPTOR
