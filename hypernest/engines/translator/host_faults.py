"""The handler of SIGSEGV for regions that use host pages: generated, one for the process, and what it knows.

Faults that are not at an access of a region to its windows go to the handler that was there before.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import threading
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

MARK = b"\x0f\x1f\x80"  # nopl with a displacement of 32 bits
MOST = 64  # harts of the process
_SIGSEGV, _SA_SIGINFO, _SA_ONSTACK = 11, 4, 0x0800_0000
_WORDS = 7


class _Action(ctypes.Structure):
    """struct sigaction of Linux's C libraries on 64-bit hosts."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class HartWindows:
    """The windows of one hart and what is needed to answer a fault in them; all but the sizes are addresses."""

    start: int
    size: int
    hart: int
    ram: int
    map_page: int
    arena: int
    arena_size: int


class HostFaults:
    """The handler; it must live as long as the process. OSError where the host is not one that it was made for."""

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise OSError("host pages need Linux on x86-64")
        self._lock = threading.Lock()
        self._native = _load()
        self._handler = int(self._native.get_function_address("hypernest_on_fault"))
        table = self._native.get_global_value_address("hypernest_windows")
        self._table = (ctypes.c_uint64 * (MOST * _WORDS)).from_address(table)
        self._next = [
            ctypes.c_uint64.from_address(self._native.get_global_value_address(f"hypernest_next_{name}"))
            for name in ("handler", "takes_information", "was_asked")
        ]
        self._sigaction: Any = ctypes.CDLL(None, use_errno=True).sigaction

    def add(self, windows: HartWindows) -> int:
        """Answer faults in these windows from now on; the number to remove them by. OSError if there is no room."""
        with self._lock:
            for number in range(MOST):
                at = number * _WORDS
                if not self._table[at + 1]:
                    start, size, *rest = astuple(windows)
                    self._table[at + 2 : at + _WORDS] = rest
                    self._table[at], self._table[at + 1] = start, size  # the size last: other threads may look
                    return number
        raise OSError(f"host pages are for {MOST} harts in a process at most")

    def remove(self, number: int) -> None:
        """Faults in the windows are no business of ours any more."""
        with self._lock:
            self._table[number * _WORDS + 1] = 0

    def install(self) -> None:
        """Be the process's handler, if somebody has become it since."""
        self._next[-1].value = 0
        present = _Action()
        self._sigaction(_SIGSEGV, None, ctypes.byref(present))
        if present.handler == self._handler:
            return
        with self._lock:
            for word, value in zip(self._next, (present.handler or 0, present.flags & _SA_SIGINFO, 0), strict=True):
                word.value = value
            ours = _Action(handler=self._handler, flags=_SA_SIGINFO | _SA_ONSTACK)
            if self._sigaction(_SIGSEGV, ctypes.byref(ours), None):
                raise OSError(ctypes.get_errno(), "the host refuses a handler of SIGSEGV")


@cache
def host_faults() -> HostFaults:
    """The one of this process."""
    return HostFaults()


def _load() -> Any:
    import llvmlite.binding as llvm

    from hypernest.engines.interpreter.object_code import target_machine

    source = Path(__file__).parent / "native" / "host_faults.ll"
    values = {"MOST": MOST, "MARK": int.from_bytes(MARK, "little")}
    module = llvm.parse_assembly(Template(source.read_text()).substitute(values))
    engine = llvm.create_mcjit_compiler(module, target_machine(), use_lmm=True)
    engine.finalize_object()
    return engine
