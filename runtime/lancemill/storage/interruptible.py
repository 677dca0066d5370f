"""Waits for a store so that Ctrl-C can end the waiting.

obstore waits outside of Python, where no signal is heard: Ctrl-C would count once the store has
answered, or has been tried for minutes. Python runs the handlers of signals on the main thread
only, so that one never waits there itself.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
HEARD_WITHIN_S = 0.2
"""A signal in the instant before a wait begins does not end that: it is heard between two waits."""


def interruptibly(call: Callable[[], T]) -> T:
    """What `call` gives or raises.

    On the main thread it is made by another one, which keeps no process alive. What the handler of
    a signal raises meanwhile is raised here at once; the call is left behind, and ends by itself,
    unheard.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    # A bare thread and a bare lock: threading's own are written in Python, and a handler that
    # raises amid their steps leaves them broken, with tracebacks of their own.
    given: list[tuple[T | None, BaseException | None]] = []
    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(_give, (call, given, done))
    while not done.acquire(timeout=HEARD_WITHIN_S):
        pass
    value, error = given[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def each(make: Callable[[], Iterable[T]]) -> Iterator[T]:
    """The items of what `make` gives, each of them waited for interruptibly."""
    end = object()
    items = interruptibly(lambda: iter(make()))
    while (item := interruptibly(lambda: next(items, end))) is not end:
        yield item  # type: ignore[misc]


def _give(
    call: Callable[[], T],
    given: list[tuple[T | None, BaseException | None]],
    done: _thread.LockType,
) -> None:
    try:
        given.append((call(), None))
    except BaseException as error:
        given.append((None, error))
    finally:
        done.release()
