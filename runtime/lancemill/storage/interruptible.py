"""Waits for a store so that Ctrl-C can end the waiting.

obstore waits outside of Python, where no signal is heard: Ctrl-C would count once the store has
answered, or has been tried for minutes. Python runs the handlers of signals on the main thread
only, so that one never waits there itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def interruptibly(call: Callable[[], T]) -> T:
    """What `call` gives or raises.

    On the main thread it is made by another one. What the handler of a signal raises meanwhile is
    raised here at once; the call is left behind, and ends by itself, unheard.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    answer: Future[T] = Future()
    threading.Thread(target=_give, args=(call, answer), name="lancemill-store", daemon=True).start()
    return answer.result()


def each(make: Callable[[], Iterable[T]]) -> Iterator[T]:
    """The items of what `make` gives, each of them waited for interruptibly."""
    end = object()
    items = interruptibly(lambda: iter(make()))
    while (item := interruptibly(lambda: next(items, end))) is not end:
        yield item  # type: ignore[misc]


def _give(call: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:
        answer.set_exception(error)
