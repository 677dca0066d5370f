"""`lancemill submit | status | logs | cancel | rerun` as a user runs them, against a real cluster.

Real: API server, scheduler, controllers, our operator. Played: nodes, pods, KubeRay. One stage for
all tests of this file, in a namespace of its own; each test has its own pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kube.addresses import PodAddresses
from kube.control_plane import ControlPlane
from kube.control_plane import control_plane as bare_control_plane
from kube.credentials import ADMIN
from kube.fake_nodes import Ending, FakeNodes, Timing, played_nodes
from kube.fault_proxy import fault_proxy
from kube.faults import break_stream, refuse
from kube.kuberay.controller import Options, running
from kube.kuberay.rayjob import Settings
from kube.namespaces import fresh_namespace
from kube.operator_process import operator
from kube.rest import Rest, resource

Object = dict[str, Any]

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")
API = "lancemill.dev/v1alpha1"
DEADLINE = 120.0
ROOMY = {"cpu": "1000", "memory": "4Ti"}
"""Clusters of runs that are over stay for a while."""
LANCEMILL = Path(sys.executable).parent / "lancemill"


@dataclass(frozen=True)
class Cli:
    """`lancemill` as a user of the cluster runs it."""

    plane: ControlPlane
    namespace: str
    user: str = ADMIN
    server: str | None = None

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(LANCEMILL), *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(LANCEMILL), *words],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        kubeconfig = self.plane.kubeconfig(self.user, server=self.server, namespace=self.namespace)
        return {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(self.plane.folder)}


@dataclass
class Stage:
    """What the tests of this file share."""

    plane: ControlPlane
    namespace: str
    nodes: FakeNodes
    folder: Path

    @property
    def rest(self) -> Rest:
        return self.plane.rest()

    @property
    def cli(self) -> Cli:
        return Cli(self.plane, self.namespace)

    def manifest(self, name: str, play: str = "seconds-1", **run: object) -> Path:
        """A pipeline whose Ray job does what `play` says."""
        document = pipeline(name, play, **run)
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document))
        return path

    def object(self, name: str) -> Object:
        return self.rest.get(resource(API, "multimodalpipelines", self.namespace, name))

    def phase(self, name: str) -> str:
        return str((self.object(name).get("status") or {}).get("phase", ""))


def pipeline(name: str, play: str = "seconds-1", **run: object) -> Object:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://b/x/"}},
            "sink": {"lance": {"uri": f"s3://lake/{name}.lance"}},
            "runtime": {"image": f"lancemill:play.{play}"},
            "run": run,
        },
    }


def until(what: str, holds: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)
    return found


def lines(text: str) -> list[Object]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cli")
    with (
        fresh_namespace(control_plane) as namespace,
        _played(control_plane) as nodes,
        operator(control_plane, folder, namespaces=(namespace,)),
    ):
        yield Stage(control_plane, namespace, nodes, folder)


class _played:  # noqa: N801 - used as `with _played(plane) as nodes`
    """Nodes and KubeRay, played by a thread with a loop of its own."""

    def __init__(self, plane: ControlPlane) -> None:
        self._kubeconfig = str(plane.kubeconfig())
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._play()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._nodes: FakeNodes | None = None

    def __enter__(self) -> FakeNodes:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        assert self._nodes is not None, "the play could not begin"
        return self._nodes

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._over is not None:
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE)

    async def _play(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        settings = Settings(poll=0.2, status_check_timeout=300, after_ttl=0)
        try:
            async with AsyncExitStack() as stack:
                self._nodes = await stack.enter_async_context(
                    played_nodes(
                        self._kubeconfig,
                        nodes=[ROOMY],
                        timing=Timing.fast(),
                        job_ending=_settled,
                    )
                )
                play = running(self._kubeconfig, Options(settings, (), events=True))
                await stack.enter_async_context(play)
                self._ready.set()
                await self._over.wait()
        finally:
            self._ready.set()


def _settled(pod: Object) -> Ending:
    """A settle probe's pod: what its pipeline's name says came of the run."""
    container = pod["spec"]["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    run = words[words.index("--run-id") + 1] if "--run-id" in words else ""
    name = pod["metadata"]["labels"]["lancemill.dev/pipeline"]
    verdict = "NotCommitted" if name.startswith("not-committed") else "Committed"
    answer = {"run": run, "verdict": verdict, "rows": 10, "datasetVersion": 3}
    return Ending(exit=0, message=json.dumps(answer))


# -- submit


@pytest.fixture(scope="module")
def cats(stage: Stage) -> subprocess.CompletedProcess[str]:
    """A pipeline that was submitted and followed to its end."""
    return stage.cli("submit", str(stage.manifest("cats")), "--follow")


def test_a_manifest_is_applied_and_its_run_followed_to_its_end(
    cats: subprocess.CompletedProcess[str],
) -> None:
    assert cats.returncode == 0, cats.stderr
    assert "MultimodalPipeline cats created" in cats.stderr
    events = lines(cats.stdout)
    assert {one["event"] for one in events} == {"status", "finished"}
    last = events[-1]
    assert (last["run"]["result"], last["exitStatus"]) == ("Succeeded", 0)
    assert "✓ cats · run " in cats.stderr


@pytest.mark.usefixtures("cats")
def test_the_same_manifest_again_changes_nothing_and_tells_the_last_run(stage: Stage) -> None:
    before = stage.object("cats")["metadata"]
    again = stage.cli("submit", str(stage.manifest("cats")), "--wait")
    assert again.returncode == 0
    assert "cats unchanged" in again.stderr
    assert "✓ cats · run " in again.stdout
    after = stage.object("cats")["metadata"]
    assert [after[key] for key in ("generation", "resourceVersion")] == [
        before[key] for key in ("generation", "resourceVersion")
    ]


def test_a_run_that_fails_is_told_with_its_reason_and_exit_status_1(stage: Stage) -> None:
    name = "not-committed-fails"
    done = stage.cli("submit", str(stage.manifest(name, "seconds-1.end-FAILED", retries=0)), "-f")
    assert done.returncode == 1, done.stderr
    assert lines(done.stdout)[-1]["run"]["result"] == "Failed"
    assert f"✗ {name} · run " in done.stderr
    assert f"lancemill rerun {name} -n {stage.namespace}" in done.stderr


@pytest.mark.usefixtures("cats")
def test_an_edit_that_starts_no_run_is_followed_to_the_run_before_it(stage: Stage) -> None:
    number = stage.object("cats")["spec"]["run"]["retries"] + 1
    done = stage.cli("submit", str(stage.manifest("cats", retries=number)), "--wait")
    assert done.returncode == 0, done.stderr
    assert "cats configured" in done.stderr
    assert "nothing new to run; the last run:" in done.stdout


def test_a_wrong_manifest_is_refused_here_and_nothing_is_sent(stage: Stage) -> None:
    path = stage.manifest("wrong")
    done = stage.cli("submit", str(path), "--set", "spec.run.retries=many")
    assert done.returncode == 2
    assert "spec.run.retries" in done.stderr
    assert stage.rest.find(resource(API, "multimodalpipelines", stage.namespace, "wrong")) is None


def test_what_only_the_api_server_refuses_is_told_by_field_and_nothing_is_applied(
    stage: Stage,
) -> None:
    right, wrong = pipeline("right"), pipeline("wrong")
    wrong["metadata"]["labels"] = {"team": "not a label!"}
    path = stage.folder / "two.yaml"
    path.write_text("\n---\n".join(json.dumps(one) for one in (right, wrong)))
    done = stage.cli("submit", str(path))
    assert done.returncode == 2
    assert "metadata.labels" in done.stderr
    assert "MultimodalPipeline/wrong" in done.stderr or "not a label!" in done.stderr
    assert stage.rest.find(resource(API, "multimodalpipelines", stage.namespace, "right")) is None


def test_who_may_not_apply_is_told_what_to_ask_for(stage: Stage) -> None:
    cli = Cli(stage.plane, stage.namespace, user="alice")
    done = cli("submit", str(stage.manifest("hers")))
    assert done.returncode == 1
    first, remedy = done.stderr.splitlines()
    assert "alice may not patch resource" in first
    assert "role" in remedy


def test_a_namespace_that_is_not_there_is_named(stage: Stage) -> None:
    done = stage.cli("submit", str(stage.manifest("lost")), "-n", "nowhere")
    assert done.returncode == 1
    assert "there is no namespace nowhere" in done.stderr


def test_fields_of_another_manager_are_not_taken_over_unasked(stage: Stage) -> None:
    path = resource(API, "multimodalpipelines", stage.namespace, "theirs")
    body = pipeline("theirs", suspend=True, retries=1)
    stage.rest.apply(path, body, fieldManager="argocd-controller")
    manifest = str(stage.manifest("theirs", suspend=True, retries=2))
    done = stage.cli("submit", manifest)
    assert done.returncode == 1
    assert "spec.run.retries belong to argocd-controller" in done.stderr
    assert stage.cli("submit", manifest, "--force-conflicts").returncode == 0
    assert stage.object("theirs")["spec"]["run"]["retries"] == 2


@pytest.mark.timeout(300)
def test_a_cluster_without_our_crds_is_told_apart(
    tmp_path: Path, control_plane: ControlPlane
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(json.dumps(pipeline("cats")))
    with bare_control_plane(control_plane.binaries, crds=(), controllers=False) as plane:
        cli = Cli(plane, "default")
        for words in (("submit", str(path)), ("status",)):
            done = cli(*words)
            assert done.returncode == 1
            assert "Lancemill is not installed in this cluster" in done.stderr
            assert "helm install" in done.stderr


# -- status


@pytest.mark.usefixtures("cats")
def test_the_table_and_the_page_of_one_pipeline(stage: Stage) -> None:
    table = stage.cli("status")
    row = next(line for line in table.stdout.splitlines() if line.startswith("cats "))
    assert row.split()[1:4] == ["True", "Succeeded", "100%"]
    everywhere = stage.cli("status", "-A")
    assert f"{stage.namespace}   cats" in everywhere.stdout
    page = stage.cli("status", "cats")
    assert page.stdout.startswith("✓ cats · run ")
    found = json.loads(stage.cli("status", "cats", "--json").stdout)
    assert (found["phase"], found["status"]["lastRun"]["result"]) == ("Succeeded", "Succeeded")


def test_why_a_pipeline_waits_is_said_with_what_to_do(stage: Stage) -> None:
    body = pipeline("waits")
    body["spec"]["sink"] = {"lance": {"dataset": "nobodys"}}
    path = stage.folder / "waits.yaml"
    path.write_text(json.dumps(body))
    assert stage.cli("submit", str(path)).returncode == 0
    until("it waits", lambda: stage.phase("waits") == "Waiting")
    page = stage.cli("status", "waits")
    assert "LanceDatasetNotFound" in page.stdout
    assert "create it, or give uri" in " ".join(page.stdout.split())


def test_a_name_that_is_not_there_is_told(stage: Stage) -> None:
    done = stage.cli("status", "nobody")
    assert done.returncode == 1
    assert f"no MultimodalPipeline nobody in namespace {stage.namespace}" in done.stderr


def test_a_run_is_followed_through_broken_watches_and_lost_history(stage: Stage) -> None:
    with fault_proxy(stage.plane) as proxy:
        watches = lambda call: call.verb == "watch"  # noqa: E731
        proxy.inject(watches, break_stream(410, after=1), times=2)
        proxy.inject(watches, break_stream(None, after=1), skip=2, times=1)
        proxy.inject(lambda call: call.verb == "get", refuse(500), skip=1, times=1)
        cli = Cli(stage.plane, stage.namespace, server=proxy.url)
        assert stage.cli("submit", str(stage.manifest("broken", "seconds-4"))).returncode == 0
        done = cli("status", "broken", "--follow")
        assert done.returncode == 0, done.stderr
        assert lines(done.stdout)[-1]["run"]["result"] == "Succeeded"
        assert any(call.fault for call in proxy.calls)


def test_who_stops_following_stops_nothing(stage: Stage) -> None:
    stage.cli("submit", str(stage.manifest("long", "seconds-600")))
    following = stage.cli.start("status", "long", "--follow")
    assert following.stdout is not None
    first = json.loads(following.stdout.readline())
    assert first["name"] == "long"
    following.send_signal(signal.SIGINT)
    _, told = following.communicate(timeout=DEADLINE)
    assert following.returncode == 130
    assert "the run goes on in the cluster" in told
    assert f"lancemill cancel long -n {stage.namespace}" in told
    assert stage.object("long")["status"]["currentRun"]["id"]


# -- cancel, rerun


def test_a_run_is_cancelled_and_that_is_waited_for(stage: Stage) -> None:
    name = "not-committed-cancelled"
    stage.cli("submit", str(stage.manifest(name, "seconds-600")))
    until("it runs", lambda: stage.phase(name) == "Running")
    done = stage.cli("cancel", name)
    assert done.returncode == 0, done.stderr
    assert "is cancelled; nothing was committed" in done.stderr
    last = stage.object(name)["status"]["lastRun"]
    assert (last["result"], last["reason"]) == ("Cancelled", "Cancelled")
    again = stage.cli("cancel", name)
    assert again.returncode == 1
    assert f"no run of {name} goes on; the last one, {last['id']}, has ended" in again.stderr


def test_a_run_that_committed_before_it_could_be_cancelled_is_told_so(stage: Stage) -> None:
    stage.cli("submit", str(stage.manifest("quick", "seconds-600")))
    until("it runs", lambda: stage.phase("quick") == "Running")
    done = stage.cli("cancel", "quick")
    assert done.returncode == 1
    assert "was committed as version 3 before it could be cancelled" in done.stderr


@pytest.mark.usefixtures("cats")
def test_a_rerun_is_one_more_run_of_the_same_manifest(stage: Stage) -> None:
    before = stage.object("cats")
    first = before["status"]["lastRun"]["id"]
    done = stage.cli("rerun", "cats", "--follow")
    assert done.returncode == 0, done.stderr
    after = stage.object("cats")
    last = after["status"]["lastRun"]
    assert last["id"] != first
    assert last["id"] == lines(done.stdout)[-1]["run"]["id"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert last["cause"].startswith("request 2")


# -- logs


def test_the_drivers_log_is_followed_to_its_end_and_told_gone_with_its_cluster(
    stage: Stage, addresses: PodAddresses
) -> None:
    if addresses.shared:
        pytest.skip("NOT RUN: the API server's proxy reaches no played head without CAP_NET_ADMIN")
    stage.cli("submit", str(stage.manifest("talks", "seconds-5", ttlAfterFinished="15s")))
    until("its driver has begun", lambda: stage.cli("logs", "talks").returncode == 0)
    log = stage.cli("logs", "talks", "--follow")
    assert log.returncode == 0, log.stderr
    said = log.stdout.splitlines()
    assert said[0].startswith("lancemill run /etc/lancemill/run/manifest.yaml --pipeline talks")
    assert said[-1] == "SUCCEEDED"
    assert len(said) == len(set(said)), "no line twice"
    until("its pods are gone", lambda: not _pods(stage, "talks"))
    gone = stage.cli("logs", "talks")
    assert gone.returncode == 1
    assert "is gone, and its logs with it" in gone.stderr
    assert "ttlAfterFinished" in gone.stderr


def test_who_may_not_use_the_proxy_is_told_another_way(
    stage: Stage, addresses: PodAddresses
) -> None:
    pod = played_pod(stage, "kept-from", head=True, node=None)
    user = stage.plane.service_account(stage.namespace, "looker")
    bound = {
        "metadata": {"name": "looker"},
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "looker"},
        "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": stage.namespace}],
    }
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["lancemill.dev"], "resources": ["multimodalpipelines"], "verbs": ["get"]},
    ]
    role = {"metadata": {"name": "looker"}, "rules": rules}
    stage.rest.create(resource(f"{RBAC}/v1", "roles", stage.namespace), role)
    stage.rest.create(resource(f"{RBAC}/v1", "rolebindings", stage.namespace), bound)
    done = Cli(stage.plane, stage.namespace, user=user)("logs", "kept-from")
    assert done.returncode == 1
    assert "through services/proxy, which you may not use" in done.stderr
    assert f"kubectl exec -n {stage.namespace} {pod}" in done.stderr


def test_a_groups_log_is_that_of_its_pods(stage: Stage, addresses: PodAddresses) -> None:
    if addresses.shared:
        pytest.skip("NOT RUN: the API server calls no kubelet on loopback")
    with kubelet(stage, addresses) as node:
        pod = played_pod(stage, "grouped", head=False, node=node)
        done = stage.cli("logs", "grouped", "--group", "gpu")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"hello from {pod}\nof ray-worker\n"
        before = stage.cli("logs", "grouped", "--group", "gpu", "--previous")
        assert before.stdout.splitlines()[-1] == "of ray-worker before its restart"
        other = stage.cli("logs", "grouped", "--group", "cpu")
        assert other.returncode == 1
        assert "no pod of group 'cpu' now; there are: gpu" in other.stderr


RBAC = "rbac.authorization.k8s.io"


def played_pod(stage: Stage, name: str, *, head: bool, node: str | None) -> str:
    """A pod of a suspended pipeline's run, written by hand: the operator makes none for it."""
    made = stage.rest.create(
        resource(API, "multimodalpipelines", stage.namespace), pipeline(name, suspend=True)
    )
    until("the operator has seen it", lambda: stage.phase(name) == "Suspended")
    run = {"id": "0123456789", "result": "Failed", "reason": "Played", "attempts": 1}
    path = resource(API, "multimodalpipelines", stage.namespace, name, "status")
    stage.rest.merge(path, {"status": {"lastRun": run}})
    labels = {
        "lancemill.dev/pipeline-uid": made["metadata"]["uid"],
        "lancemill.dev/run": run["id"],
        "lancemill.dev/attempt": "1",
        "ray.io/cluster": name,
        "ray.io/group": "headgroup" if head else "gpu",
        "ray.io/node-type": "head" if head else "worker",
    }
    container = "ray-head" if head else "ray-worker"
    spec: Object = {"containers": [{"name": container, "image": "x"}]}
    if node is not None:
        spec["nodeName"] = node
    pods = resource("v1", "pods", stage.namespace)
    pod = {"metadata": {"name": f"{name}-0", "labels": labels}, "spec": spec}
    stage.rest.create(pods, pod)
    started = {"name": container, "ready": True, "restartCount": 0, "image": "x", "imageID": "x"}
    status = {
        "phase": "Running",
        "containerStatuses": [{**started, "state": {"running": {}}, "lastState": {}}],
    }
    stage.rest.merge(f"{pods}/{name}-0/status", {"status": status})
    return f"{name}-0"


@contextlib.contextmanager
def kubelet(stage: Stage, addresses: PodAddresses) -> Iterator[str]:
    """A node whose kubelet gives out logs, and does nothing else. Its name."""
    address = addresses.take()
    server = ThreadingHTTPServer((address, 0), _Kubelet)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pki = stage.plane.authority.parent
    context.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    nodes, name = resource("v1", "nodes", None), f"logs-{stage.namespace}"
    stage.rest.create(nodes, {"metadata": {"name": name}, "spec": {"unschedulable": True}})
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
    }
    stage.rest.merge(f"{nodes}/{name}/status", {"status": status})
    try:
        yield name
    finally:
        stage.rest.delete(f"{nodes}/{name}")
        server.shutdown()
        thread.join()
        server.server_close()
        addresses.give_back(address)


class _Kubelet(BaseHTTPRequestHandler):
    """GET /containerLogs/NAMESPACE/POD/CONTAINER"""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        pod, container = path.split("/")[-2:]
        when = " before its restart" if "previous=true" in query else ""
        body = (
            f"2026-11-21T12:00:00.1Z hello from {pod}\n"
            f"2026-11-21T12:00:00.12Z of {container}{when}\n"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def _pods(stage: Stage, name: str) -> list[Object]:
    pods = resource("v1", "pods", stage.namespace)
    found = stage.rest.get(pods, labelSelector=f"lancemill.dev/pipeline={name}")
    return [one for one in found["items"] if "lancemill.dev/run" in one["metadata"]["labels"]]
