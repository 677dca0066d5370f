"""Waiting for a store that a signal can end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lancemill.storage import each, interruptibly


class Stop(Exception):
    """Raised by the handler of a signal."""


@pytest.fixture
def stopping() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_ends_the_waiting_and_the_call_ends_by_itself(stopping: None) -> None:
    answer, ended = threading.Event(), threading.Event()

    def call() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        answer.wait(60)
        ended.set()

    with pytest.raises(Stop):
        interruptibly(call)
    assert not ended.is_set()
    answer.set()
    assert ended.wait(60)


def test_what_a_call_gives_or_raises_comes_through() -> None:
    assert interruptibly(lambda: 7) == 7
    with pytest.raises(FileNotFoundError, match="gone"):
        interruptibly(lambda: (_ for _ in ()).throw(FileNotFoundError("gone")))


def test_the_main_thread_never_makes_the_call_itself_and_other_threads_do() -> None:
    assert interruptibly(threading.current_thread) is not threading.main_thread()
    with ThreadPoolExecutor(1) as pool:
        own, made = pool.submit(
            lambda: (threading.current_thread(), interruptibly(threading.current_thread))
        ).result(60)
    assert own is made


def test_items_come_in_order_and_a_failure_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from (1, 0, 2)
        raise ConnectionError("broke off")

    found: list[int] = []
    with pytest.raises(ConnectionError, match="broke off"):
        found.extend(each(items))
    assert found == [1, 0, 2]
    assert list(each(lambda: [None, ""])) == [None, ""]


def test_a_signal_at_any_moment_of_a_call_ends_that_call_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)

    def stop(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        for step in range(400):
            with pytest.raises(Stop):
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + step * 5e-7)
                while True:
                    interruptibly(lambda: None)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert lost == []
