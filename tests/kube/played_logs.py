"""Pods and a kubelet that give out logs, and do nothing else: played nodes have no kubelet."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kube.addresses import PodAddresses
from kube.cli_stage import API, Object, Stage, pipeline
from kube.rest import resource
from kube.waiting import until


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
