"""Executable memory for regions, mapped twice: to write to, and to run. No page is ever both."""

from __future__ import annotations

import ctypes
import mmap
import os

_ALIGNMENT = 64


class ArenaFull(Exception):
    """There is no room for more code."""


class Arena:
    """`size` bytes of host memory for native code. OSError or AttributeError where the host has no such memory."""

    def __init__(self, size: int) -> None:
        self.size, self.used, self.address = size, 0, 0
        if not size:
            return
        file = os.memfd_create("hypernest-regions", os.MFD_CLOEXEC)
        try:
            os.ftruncate(file, size)
            self._writable = mmap.mmap(file, size)
            self._executable = mmap.mmap(file, size, prot=mmap.PROT_READ | mmap.PROT_EXEC)
        finally:
            os.close(file)
        self.address = _address(self._executable)

    def add(self, code: bytes) -> int:
        """Copy code into the arena; the address to run it at. ArenaFull if it does not fit."""
        start = -(-self.used // _ALIGNMENT) * _ALIGNMENT
        if start + len(code) > self.size:
            raise ArenaFull
        self._writable[start : start + len(code)] = code
        self.used = start + len(code)
        return self.address + start

    def clear(self) -> None:
        """Make room: nothing in the arena will be run any more."""
        self.used = 0


def _address(mapping: mmap.mmap) -> int:
    # A mapping for reading only lends no buffer that ctypes takes.
    view = ctypes.py_object(mapping)
    buffer = (ctypes.c_ssize_t * 16)()
    get, release = ctypes.pythonapi.PyObject_GetBuffer, ctypes.pythonapi.PyBuffer_Release
    if get(view, ctypes.byref(buffer), 0):
        raise OSError("no address")
    address = buffer[0] % (1 << 64)
    release(ctypes.byref(buffer))
    return int(address)
