"""Signals that end a run, Ctrl-C first, never strike while a device answers native code.

Python runs signal handlers between any two of its instructions. One that raises inside a function that native code has
called would lose its exception there, and the guest would go on as if nothing had happened.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def deferred_signals(busy: Callable[[], bool], stop: Callable[[], None]) -> Iterator[list[int]]:
    """A `with` block in which a signal that comes while `busy()` calls `stop`, and is handled at the block's end.

    Any other is handled at once, as without. Only handlers written in Python are concerned, and only the main thread
    can have them; elsewhere the block does nothing. Gives the list that will hold the signals that came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    waiting: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if busy():
            waiting.append(number)
            stop()
        else:
            before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield waiting
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for each in waiting:
        before[signal.Signals(each)](each, None)
