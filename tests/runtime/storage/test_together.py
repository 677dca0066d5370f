"""Many requests at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lancemill.storage import together


class Stop(Exception):
    """Raised by the handler of a signal."""


@pytest.fixture
def heard() -> Iterator[threading.Event]:
    """Set by the first signal, which raises Stop; those after it do nothing."""
    said = threading.Event()

    def stop(*_: Any) -> None:
        if not said.is_set():
            said.set()
            raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    yield said
    signal.signal(signal.SIGUSR1, before)


def test_every_item_is_asked_for_once() -> None:
    asked: list[int] = []
    together(asked.append, range(100), at_once=7)
    assert sorted(asked) == list(range(100))


def test_nothing_to_ask_is_no_error() -> None:
    together(int, [])


def test_so_many_are_under_way_at_once() -> None:
    meet = threading.Barrier(4)
    together(lambda _: meet.wait(60), range(8), at_once=4)


def test_the_first_error_ends_it_and_is_raised() -> None:
    asked: list[int] = []

    def ask(item: int) -> None:
        asked.append(item)
        raise FileNotFoundError(f"item {item}")

    with pytest.raises(FileNotFoundError, match="item 0"):
        together(ask, range(1000), at_once=1)
    assert asked == [0]


def test_a_signal_ends_the_waiting_for_a_store_that_never_answers(heard: threading.Event) -> None:
    answer, ended = threading.Event(), threading.Event()

    def ask(item: int) -> None:
        # A signal in the very moment in which a thread begins to wait is heard with the next one.
        while item == 0 and not heard.wait(0.05):
            os.kill(os.getpid(), signal.SIGUSR1)
        answer.wait(60)
        if item == 0:
            ended.set()

    with pytest.raises(Stop):
        together(ask, range(3), at_once=3)
    assert not ended.is_set()
    answer.set()
    assert ended.wait(60)
