"""Signals while a run goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lancemill.engine.signals import interruptible
from lancemill.errors import Interrupted, LancemillError


@dataclass
class Run:
    """A run that lets itself be stopped."""

    beginning: bool = True
    interrupted: bool = False
    stopped_by: LancemillError = field(default_factory=lambda: Interrupted("stopped"))

    def interrupt(self) -> None:
        self.interrupted = True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_begins_is_left_where_it_stands(number: signal.Signals) -> None:
    run = Run()
    with pytest.raises(Interrupted), interruptible(run):
        signal.raise_signal(number)
        time.sleep(60)
    assert run.interrupted


def test_a_run_that_has_rows_is_only_told() -> None:
    run = Run(beginning=False)
    with interruptible(run):
        signal.raise_signal(signal.SIGINT)
    assert run.interrupted


def test_the_second_signal_ends_the_process() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible(Run(beginning=False)):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_handlers_are_as_they_were_behind_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(Run()):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_thread_takes_the_main_one_out_of_waiting() -> None:
    with pytest.raises(Interrupted), interruptible(Run()) as wake:
        threading.Timer(0.1, wake).start()
        threading.Event().wait(60)


def test_a_wake_that_comes_too_late_does_nothing() -> None:
    with interruptible(Run()) as wake:
        pass
    wake()


def test_a_thread_that_is_just_starting_starts_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that raises amid Thread.start leaves a thread that dies with a traceback."""
    lost: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lost.append)
    monkeypatch.setattr(threading, "excepthook", lost.append)
    name = next(
        one for one in ("_start_joinable_thread", "_start_new_thread") if hasattr(threading, one)
    )
    start: Callable[..., Any] = getattr(threading, name)
    amid = threading.Event()
    done = threading.Event()

    def interrupted(*what: Any, **how: Any) -> Any:
        ident = start(*what, **how)
        if not amid.is_set():
            amid.set()
            signal.raise_signal(signal.SIGINT)
        return ident

    monkeypatch.setattr(threading, name, interrupted)
    with pytest.raises(Interrupted), interruptible(Run()):
        threading.Thread(target=done.set).start()
        time.sleep(60)
    assert amid.is_set()
    assert done.wait(60)
    assert lost == []
