"""Many small requests at once: one after another, each would wait a round trip for the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lancemill.storage.interruptible import interruptibly

Asked = TypeVar("Asked")

AT_ONCE = 32


def together(
    call: Callable[[Asked], object], items: Sequence[Asked], at_once: int = AT_ONCE
) -> None:
    """`call` with each of `items`, `at_once` at a time; raises the first error of any of them."""
    interruptibly(lambda: _Together(call, items).do(min(at_once, len(items))))


class _Together(Generic[Asked]):
    """Threads that take items until there are none or one failed. They keep no process alive: a
    store that never answers must not hold up who was told to stop."""

    def __init__(self, call: Callable[[Asked], object], items: Sequence[Asked]) -> None:
        self._call = call
        self._items = items
        self._next = iter(range(len(items)))
        self._taking = threading.Lock()
        self._errors: list[BaseException] = []

    def do(self, at_once: int) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(at_once)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        try:
            while not self._errors and (at := self._take()) is not None:
                self._call(self._items[at])
        except BaseException as error:
            self._errors.append(error)

    def _take(self) -> int | None:
        with self._taking:
            return next(self._next, None)
