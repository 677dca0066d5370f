"""The driver's HTTP server by itself: what it answers, what it withstands, how long it stays."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lancemill.engine import serve
from lancemill.engine.serve import AT_ONCE, Door, Server, linger, serving
from lancemill.engine.telling import Telling
from lancemill.report.summary import RunSummary

SOON = 60.0


@pytest.fixture
def telling() -> Telling:
    return Telling("r1", 2)


@pytest.fixture
def server(telling: Telling) -> Iterator[Server]:
    opened = Server.open(Door("127.0.0.1", 0), telling, pytest.fail)
    assert opened is not None
    yield opened
    opened.close()


def get(server: Server, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=SOON) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def ended(**told: object) -> RunSummary:
    given = {"pipeline": "cats", "run": "r1", "result": "succeeded", "end": "committed", **told}
    return RunSummary(**given)  # type: ignore[arg-type]


def test_before_the_run_is_known_it_says_whose_driver_it_is(server: Server) -> None:
    status, answer = get(server, "/progress")
    assert status == 200
    assert json.loads(answer) == {"run": "r1", "attempt": 2, "progress": None, "outcome": None}
    assert get(server, "/healthz") == (200, b"ok\n")
    assert get(server, "/metrics") == (200, b"")


def test_what_is_not_there_is_told_with_what_is(server: Server) -> None:
    status, answer = get(server, "/")
    assert (status, answer) == (404, b"there are /progress, /metrics and /healthz\n")


def test_the_outcome_is_told_and_counts_as_heard_once_it_was_read(
    server: Server, telling: Telling
) -> None:
    get(server, "/progress")
    assert not telling.heard.is_set()
    telling.ended(ended(rows_out=5, version=3))
    get(server, "/metrics")
    get(server, "/healthz")
    assert not telling.heard.is_set(), "only its outcome is waited for"
    outcome = json.loads(get(server, "/progress")[1])["outcome"]
    assert (outcome["verdict"], outcome["rows"], outcome["datasetVersion"]) == ("Committed", 5, 3)
    assert telling.heard.wait(SOON)


def test_a_driver_that_cannot_know_what_came_of_it_has_no_outcome_and_does_not_stay(
    telling: Telling,
) -> None:
    telling.ended(ended(end="unknown", result="failed"))
    assert json.loads(telling.progress()[0])["outcome"] is None
    began = time.monotonic()
    linger(telling, 1000)
    assert time.monotonic() - began < SOON


def test_who_was_never_asked_and_has_no_operator_does_not_stay() -> None:
    alone = Telling("r1", 0)
    alone.ended(ended())
    began = time.monotonic()
    linger(alone, 1000)
    assert time.monotonic() - began < SOON


def test_a_driver_stays_no_longer_than_it_was_allowed(telling: Telling) -> None:
    telling.ended(ended())
    began = time.monotonic()
    linger(telling, 0.2)
    assert 0.2 <= time.monotonic() - began < SOON


def test_a_signal_ends_the_staying_and_not_the_process(telling: Telling) -> None:
    telling.ended(ended())
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    began = time.monotonic()
    linger(telling, 1000)
    timer.join()
    assert time.monotonic() - began < SOON
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_port_that_is_taken_costs_the_telling_and_one_line(telling: Telling) -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        door = Door("127.0.0.1", taken.getsockname()[1])
        with serving(door, telling, said.append):
            pass
    (line,) = said
    assert line.startswith(f"progress is not served on 127.0.0.1:{door.port}: ")
    assert line.endswith("the run goes on")


def test_every_address_is_one_of_them(telling: Telling) -> None:
    opened = Server.open(Door("", 0), telling, pytest.fail)
    assert opened is not None
    assert get(opened, "/healthz")[0] == 200
    opened.close()


def test_clients_that_say_nothing_do_not_hold_up_the_others(server: Server) -> None:
    with ExitStack() as silent:
        for _ in range(AT_ONCE // 2):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert get(server, "/healthz")[0] == 200


def test_more_clients_than_there_is_room_for_are_turned_away_until_there_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve._Handler, "timeout", SOON)
    with ExitStack() as silent:
        for _ in range(2 * AT_ONCE):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        end = time.monotonic() + SOON
        while sum(one.name.startswith("Thread-") for one in threading.enumerate()) < AT_ONCE:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(OSError):
            get(server, "/healthz")
    end = time.monotonic() + SOON
    while True:
        try:
            assert get(server, "/healthz")[0] == 200
            return
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_a_client_that_goes_away_in_the_middle_is_no_news(
    server: Server, telling: Telling, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.sendall(b"GET /progress HTTP/1.1\r\n")
    assert get(server, "/healthz")[0] == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "door"),
    [
        ("8787", Door("127.0.0.1", 8787)),
        ("0.0.0.0:1", Door("0.0.0.0", 1)),
        ("[::1]:8787", Door("::1", 8787)),
        (":8787", Door("", 8787)),
    ],
)
def test_a_door_is_a_port_or_a_host_and_a_port(text: str, door: Door) -> None:
    assert Door.of(text) == door


@pytest.mark.parametrize("text", ["", "http", "70000", "-1", "localhost", "8787:", "1.5"])
def test_what_is_no_port_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="expected a port such as 8787, or HOST:PORT"):
        Door.of(text)
