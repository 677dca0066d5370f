"""Any text that a driver or a user writes can be said in a status."""

from __future__ import annotations

import asyncio

from kube.control_plane import ControlPlane
from kube.rest import resource
from lancemill_operator.api import Api, configure
from lancemill_operator.kinds import PIPELINE

API = "lancemill.dev/v1alpha1"
SPEC = {"source": {"objects": {"uri": "s3://a/"}}, "sink": {"lance": {"uri": "s3://b.lance"}}}
ODD = "😀 \U0010fffd \x00 \x7f \x85 \u2028 \ufeff \ufffe - 'a': \"b\" \\ud83d {{ }} # x"


def test_a_status_holds_any_text(control_plane: ControlPlane, namespace: str) -> None:
    body = {"apiVersion": API, "kind": "MultimodalPipeline", "metadata": {"name": "odd"}}
    path = resource(API, "multimodalpipelines", namespace)
    control_plane.rest().create(path, {**body, "spec": SPEC})
    condition = {
        "type": "Ready",
        "status": "False",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-21T10:00:00Z",
        "reason": "RunFailed",
        "message": ODD,
    }

    async def write() -> None:
        api = Api(await configure(str(control_plane.kubeconfig())))
        try:
            said = {**body, "status": {"conditions": [condition]}}
            await api.apply(PIPELINE, namespace, said, "status")
        finally:
            await api.close()

    asyncio.run(write())
    (found,) = control_plane.rest().get(f"{path}/odd")["status"]["conditions"]
    assert found["message"] == ODD
