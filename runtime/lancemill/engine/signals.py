"""SIGINT and SIGTERM while a run goes on: it stops soon, keeps what it has, and says so."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from lancemill.errors import LancemillError

STARTED_WITHIN_S = 0.01
"""In which a thread has started that was starting as a signal came."""


class Stoppable(Protocol):
    """A run, as far as signals know it."""

    @property
    def beginning(self) -> bool:
        """Whether whoever stops it may leave it wherever it stands."""

    @property
    def stopped_by(self) -> LancemillError:
        """What it then ends with."""

    def interrupt(self) -> None: ...


@contextmanager
def interruptible(run: Stoppable) -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM stop the run at the next rows; a second one ends the process at once.

    Gives what another thread calls to take the main one out of waiting for a store.
    """
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield lambda: None
        return
    asked = woken = over = False
    lock = threading.Lock()

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked, woken
        if asked and not woken:
            raise KeyboardInterrupt
        asked, woken = asked or not woken, False
        run.interrupt()
        if not run.beginning:
            return
        if _starts_a_thread(frame):
            _thread.start_new_thread(wake_later, ())
            return
        raise run.stopped_by

    def wake() -> None:
        nonlocal woken
        with lock:
            if not over:
                woken = True
                signal.pthread_kill(main.ident or 0, signal.SIGTERM)

    def wake_later() -> None:
        time.sleep(STARTED_WITHIN_S)
        wake()

    with handled_by(stop):
        try:
            yield wake
        finally:
            with lock:
                over = True


@contextmanager
def handled_by(
    handler: Callable[[int, FrameType | None], None],
    numbers: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM),
) -> Iterator[None]:
    """These signals go there while inside; on the main thread, which alone may ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, handler) for one in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _starts_a_thread(frame: FrameType | None) -> bool:
    """Whether that is in the middle of `Thread.start`: what is raised there leaves a thread that
    begins, finds itself unknown, and dies with a traceback."""
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False
