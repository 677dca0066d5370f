"""Who follows a run in a cluster can leave at any moment."""

import signal
import sys
import time
from typing import Any

import pytest

from lancemill.cli.cluster import attending
from lancemill.cli.cluster.attending import attend
from lancemill.cli.cluster.outcome import Wanted


class _Interrupted:
    """The user presses Ctrl-C just as this one is let go."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


class _EndlessWatch:
    """Stands where `Api` does."""

    namespace = "photos"
    silent = False

    def find(self, path: str) -> dict[str, Any]:
        _Interrupted()
        self.silent = True
        until = time.monotonic() + 30
        while time.monotonic() < until:
            time.sleep(0.01)
        raise AssertionError("nobody has heard it")


def test_ctrl_c_is_heard_though_it_came_in_a_finaliser(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unheard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: unheard.append(one.exc_type))
    monkeypatch.setattr(attending, "AGAIN_S", 0.05)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
    watch = _EndlessWatch()

    assert attend(watch, "resize", Wanted(), "json") == 130  # type: ignore[arg-type]

    assert watch.silent
    assert unheard == [KeyboardInterrupt]
    assert "lancemill status resize -n photos --follow" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
