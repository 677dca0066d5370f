"""The fault proxy is transparent without rules, and each fault is what it says it is."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import CustomObjectsApi

from kube import loops
from kube.calls import Call
from kube.control_plane import ControlPlane
from kube.fault_proxy import FaultProxy, fault_proxy
from kube.faults import (
    about,
    break_stream,
    events,
    killing_after,
    killing_before,
    killing_unanswered,
    lost_answer,
    refuse,
    reset,
    slow,
    stall,
    stall_stream,
)
from kube.kubectl import Kubectl
from kube.processes import Program
from kube.rest import Refused, Rest, resource

API = "lancemill.dev/v1alpha1"
BROKEN = (ConnectionResetError, http.client.RemoteDisconnected, ssl.SSLError)


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with fault_proxy(control_plane) as running:
        yield running


@pytest.fixture
def direct(control_plane: ControlPlane) -> Rest:
    return control_plane.rest()


@pytest.fixture
def through(control_plane: ControlPlane, proxy: FaultProxy, direct: Rest) -> Rest:
    return Rest(proxy.url, direct.token, control_plane.authority)


def dataset(name: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "LanceDataset",
        "metadata": {"name": name},
        "spec": {"uri": f"s3://lake/{name}.lance"},
    }


def writes(call: Call) -> bool:
    return call.writes


def watches(call: Call) -> bool:
    return call.verb == "watch"


def lists(call: Call) -> bool:
    return call.verb == "list"


def datasets(namespace: str, name: str = "", sub: str = "") -> str:
    return resource(API, "lancedatasets", namespace, name, sub)


def names(rest: Rest, namespace: str) -> list[str]:
    return [one["metadata"]["name"] for one in rest.get(datasets(namespace))["items"]]


class Watch:
    """A watch through the proxy, read in a thread of its own; `seen` fills up."""

    def __init__(self, rest: Rest, namespace: str) -> None:
        version = rest.get(datasets(namespace))["metadata"]["resourceVersion"]
        self._rest = rest
        self._query = f"?watch=true&timeoutSeconds=60&resourceVersion={version}"
        self._path = datasets(namespace) + self._query
        self.seen: list[tuple[str, str]] = []
        self.times: list[float] = []
        self.problem: Exception | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Watch:
        context = ssl.create_default_context(cafile=self._rest.authority)
        host = self._rest.server.removeprefix("https://")
        self._connection = http.client.HTTPSConnection(host, context=context, timeout=60)
        headers = {"Authorization": f"Bearer {self._rest.token}"}
        self._connection.request("GET", self._path, headers=headers)
        self._socket: socket.socket = self._connection.sock
        self._response = self._connection.getresponse()
        self._thread.start()
        return self

    def _read(self) -> None:
        try:
            rest = b""
            while chunk := self._response.read1(1 << 20):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._note(json.loads(line))
        except (OSError, http.client.HTTPException) as problem:
            self.problem = problem

    def _note(self, event: dict[str, Any]) -> None:
        found = event["object"]
        self.times.append(time.monotonic())
        said = found.get("code") or found["metadata"]["name"]
        self.seen.append((event["type"], str(said)))

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # wakes the reader, where closing alone would not
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=60)
        self._response.close()
        self._connection.close()

    def wait(self, count: int) -> list[tuple[str, str]]:
        _wait(lambda: len(self.seen) >= count)
        return self.seen

    @property
    def open(self) -> bool:
        return self._thread.is_alive()

    def ended(self) -> bool:
        self._thread.join(timeout=60)
        return not self._thread.is_alive()


def _wait(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


def test_without_rules_kubectl_sees_no_difference(
    control_plane: ControlPlane, proxy: FaultProxy, namespace: str
) -> None:
    plain = Kubectl(control_plane, namespace)
    proxied = Kubectl(control_plane, namespace, server=proxy.url)
    proxied("apply", "-f", "-", input=dataset("photos"))

    assert proxied.json("get", "lds", "photos") == plain.json("get", "lds", "photos")
    assert proxied("auth", "whoami").stdout == plain("auth", "whoami").stdout


def test_without_rules_the_operators_client_library_sees_no_difference(
    proxy: FaultProxy, direct: Rest, api: Any, namespace: str
) -> None:
    place = ("lancemill.dev", "v1alpha1", namespace, "lancedatasets")

    async def scenario() -> dict[str, Any]:
        async with api(server=proxy.url) as client:
            objects = CustomObjectsApi(client)
            await objects.create_namespaced_custom_object(*place, dataset("photos"))
            found: dict[str, Any] = await objects.get_namespaced_custom_object(*place, "photos")
            return found

    assert loops.run(scenario()) == direct.get(datasets(namespace, "photos"))


def test_every_write_is_recorded_in_its_order_with_what_came_of_it(
    proxy: FaultProxy, through: Rest, namespace: str
) -> None:
    through.create(datasets(namespace), dataset("a"))
    through.apply(datasets(namespace, "b"), dataset("b"))
    through.get(datasets(namespace, "a"))
    through.merge(datasets(namespace, "a", "status"), {"status": {"observedGeneration": 1}})
    with pytest.raises(Refused):
        through.create(datasets(namespace), dataset("a"))
    through.delete(datasets(namespace, "b"))

    assert [(str(call), call.status) for call in proxy.writes()] == [
        ("create lancedatasets a", 201),
        ("apply lancedatasets b", 201),
        ("patch lancedatasets/status a", 200),
        ("create lancedatasets a", 409),
        ("delete lancedatasets b", 200),
    ]
    assert all(call.target.namespace == namespace for call in proxy.writes())


@pytest.mark.parametrize("code", [409, 429, 500, 504])
def test_a_refused_write_is_an_error_of_that_code_and_was_not_done(
    code: int, proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, refuse(code))

    with pytest.raises(Refused) as refusal:
        through.create(datasets(namespace), dataset("a"))

    assert refusal.value.code == code
    assert names(direct, namespace) == []
    through.create(datasets(namespace), dataset("a"))
    assert names(direct, namespace) == ["a"]


def test_a_429_tells_when_to_come_again(
    proxy: FaultProxy, control_plane: ControlPlane, direct: Rest, namespace: str
) -> None:
    proxy.inject(lists, refuse(429, retry_after=7))

    async def scenario() -> str:
        context = ssl.create_default_context(cafile=control_plane.authority)
        headers = {"Authorization": f"Bearer {direct.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(proxy.url + datasets(namespace), ssl=context) as answer,
        ):
            return answer.headers["Retry-After"]

    assert loops.run(scenario()) == "7"


def test_a_504_may_come_although_the_write_was_done(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, refuse(504, committed=True))

    with pytest.raises(Refused, match="504"):
        through.create(datasets(namespace), dataset("a"))

    assert names(direct, namespace) == ["a"]


def test_a_reset_breaks_the_connection_and_nothing_was_done(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, reset())

    with pytest.raises(BROKEN):
        through.create(datasets(namespace), dataset("a"))

    assert names(direct, namespace) == []
    assert (proxy.calls[-1].forwarded, proxy.calls[-1].status) == (False, None)


def test_a_lost_answer_breaks_the_connection_though_the_write_was_done(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, lost_answer())

    with pytest.raises(BROKEN):
        through.create(datasets(namespace), dataset("a"))

    assert names(direct, namespace) == ["a"]
    assert (proxy.calls[-1].committed, proxy.calls[-1].status) == (201, None)


def test_a_stalled_request_gets_nothing_until_the_client_gives_up(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, stall(600))

    with pytest.raises(TimeoutError):
        through.request("POST", datasets(namespace), dataset("a"), timeout=0.5)

    assert names(direct, namespace) == []


def test_a_stalled_write_may_have_been_done(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(writes, stall(0.3, committed=True))
    started = time.monotonic()

    with pytest.raises(BROKEN):
        through.create(datasets(namespace), dataset("a"))

    assert time.monotonic() - started >= 0.3
    assert names(direct, namespace) == ["a"]


def test_a_slow_request_succeeds_in_the_end(
    proxy: FaultProxy, through: Rest, namespace: str
) -> None:
    proxy.inject(writes, slow(0.3))
    started = time.monotonic()

    through.create(datasets(namespace), dataset("a"))

    assert time.monotonic() - started >= 0.3


def test_a_fault_befalls_the_nth_request_that_matches_and_no_other(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    rule = proxy.inject(writes, refuse(500), skip=1, times=1)
    through.create(datasets(namespace), dataset("a"))
    with pytest.raises(Refused):
        through.create(datasets(namespace), dataset("b"))
    through.create(datasets(namespace), dataset("c"))

    assert names(direct, namespace) == ["a", "c"]
    assert rule.done == 1
    assert [call.fault for call in proxy.writes()] == ["", "refuse 500", ""]


def test_a_list_and_a_watch_may_be_told_that_their_version_is_gone(
    proxy: FaultProxy, through: Rest, namespace: str
) -> None:
    proxy.inject(lambda call: call.verb in ("list", "watch"), refuse(410), times=2)

    for query in ({}, {"watch": "true"}):
        with pytest.raises(Refused) as refusal:
            through.get(datasets(namespace), **query)
        assert refusal.value.code == 410
        assert refusal.value.body["reason"] == "Expired"


def test_a_watch_passes_events_as_they_happen(through: Rest, direct: Rest, namespace: str) -> None:
    with Watch(through, namespace) as watch:
        direct.create(datasets(namespace), dataset("a"))
        assert watch.wait(1) == [("ADDED", "a")]
        direct.delete(datasets(namespace, "a"))
        assert watch.wait(2)[1] == ("DELETED", "a")


@pytest.mark.parametrize("code", [410, 500])
def test_a_watch_may_end_with_an_error_in_it(
    code: int, proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(watches, break_stream(code, after=1))
    with Watch(through, namespace) as watch:
        direct.create(datasets(namespace), dataset("a"))

        assert watch.ended()

    assert watch.seen == [("ADDED", "a"), ("ERROR", str(code))]


def test_a_watch_may_break_off(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(watches, break_stream(after=1))
    with Watch(through, namespace) as watch:
        direct.create(datasets(namespace), dataset("a"))

        assert watch.ended()

    assert watch.seen == [("ADDED", "a")]
    assert watch.problem is not None


def test_a_watch_may_fall_silent_and_stay_open(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(watches, stall_stream(600, after=1))
    with Watch(through, namespace) as silent, Watch(through, namespace) as healthy:
        direct.create(datasets(namespace), dataset("a"))
        direct.create(datasets(namespace), dataset("b"))
        healthy.wait(2)
        silent.wait(1)

        assert silent.seen == [("ADDED", "a")]
        assert silent.open


@pytest.mark.parametrize(
    ("copies", "seen"),
    [
        (0, [("ADDED", "b")]),
        (2, [("ADDED", "a"), ("ADDED", "a"), ("ADDED", "b")]),
    ],
)
def test_an_event_may_be_dropped_or_doubled(
    copies: int,
    seen: list[tuple[str, str]],
    proxy: FaultProxy,
    through: Rest,
    direct: Rest,
    namespace: str,
) -> None:
    proxy.inject(watches, events(about("a", "ADDED"), copies=copies, times=1))
    with Watch(through, namespace) as watch:
        direct.create(datasets(namespace), dataset("a"))
        direct.create(datasets(namespace), dataset("b"))
        watch.wait(len(seen))

    assert watch.seen == seen


def test_an_event_may_be_held_back_with_all_that_follow(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    held = threading.Event()
    proxy.inject(watches, events(about("b"), held=held))
    with Watch(through, namespace) as watch:
        for name in ("a", "b", "c"):
            direct.create(datasets(namespace), dataset(name))
        watch.wait(1)
        assert names(through, namespace) == ["a", "b", "c"]
        assert watch.seen == [("ADDED", "a")]

        held.set()

        assert watch.wait(3) == [("ADDED", name) for name in ("a", "b", "c")]


def test_an_event_may_come_late(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.inject(watches, events(about("a"), late=0.5))
    with Watch(through, namespace) as watch:
        created = time.monotonic()
        direct.create(datasets(namespace), dataset("a"))
        watch.wait(1)

        assert watch.times[0] - created >= 0.5


def test_a_watch_behind_the_proxy_ends_when_its_client_hangs_up(
    proxy: FaultProxy, through: Rest, namespace: str
) -> None:
    with Watch(through, namespace):
        _wait(lambda: any(call.status for call in proxy.calls if call.verb == "watch"))

    _wait(lambda: proxy.under_way == 0)


# A client that creates four datasets one after another, and another one at each start.
_CLIENT = """
import sys
from pathlib import Path
from kube.rest import Refused, Rest
server, token, authority, path, names = sys.argv[1:]
rest = Rest(server, token, Path(authority))
for name in names.split(","):
    body = {"apiVersion": "lancemill.dev/v1alpha1", "kind": "LanceDataset",
            "metadata": {"name": name}, "spec": {"uri": "s3://lake/x.lance"}}
    rest.create(path, body)
"""


@pytest.mark.parametrize(
    ("killing", "done"),
    [
        (killing_before, ["a"]),
        (killing_after, ["a", "b"]),
        (killing_unanswered, ["a", "b"]),
    ],
)
def test_a_client_is_killed_around_its_second_write_and_nothing_of_it_follows(
    killing: Any,
    done: list[str],
    proxy: FaultProxy,
    through: Rest,
    direct: Rest,
    namespace: str,
    tmp_path: Path,
) -> None:
    arguments = [proxy.url, direct.token, str(through.authority), datasets(namespace), "a,b,c,d"]
    client = Program(
        [sys.executable, "-c", _CLIENT, *arguments],
        tmp_path / "log",
        {"PYTHONPATH": ":".join(sys.path)},
    )
    proxy.inject(writes, killing(client.kill), skip=1)

    client.start()
    _wait(lambda: proxy.frozen)
    _wait(lambda: not client.running)
    proxy.thaw()
    through.create(datasets(namespace), dataset("successor"))

    assert names(direct, namespace) == [*done, "successor"]


def test_a_frozen_proxy_forwards_nothing_until_it_is_thawed(
    proxy: FaultProxy, through: Rest, direct: Rest, namespace: str
) -> None:
    proxy.freeze()
    with pytest.raises(TimeoutError):
        through.request("POST", datasets(namespace), dataset("a"), timeout=0.5)
    proxy.thaw()

    through.create(datasets(namespace), dataset("b"))

    assert names(direct, namespace) == ["b"]


@pytest.mark.thorough
def test_the_proxy_goes_on_when_the_api_server_was_away(
    control_plane: ControlPlane, proxy: FaultProxy, through: Rest, namespace: str
) -> None:
    through.create(datasets(namespace), dataset("a"))
    control_plane.restart("kube-apiserver")

    through.waited(datasets(namespace, "a"), lambda found: found is not None)


def test_kubectl_meets_the_faults_too(
    control_plane: ControlPlane, proxy: FaultProxy, namespace: str
) -> None:
    kubectl = Kubectl(control_plane, namespace, server=proxy.url)
    proxy.inject(lambda call: call.resource == "lancedatasets", refuse(500), times=None)

    refused: subprocess.CompletedProcess[str] = kubectl("get", "lds", check=False)

    assert refused.returncode != 0
    assert "injected by the test" in refused.stderr
