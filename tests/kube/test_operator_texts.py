"""Whatever a status says can be written, and whatever it no longer says is taken out."""

from __future__ import annotations

from typing import Any

from kube import loops
from kube.control_plane import ControlPlane
from kube.rest import resource
from lancemill_api.status import DatasetStatus, Handled, PipelineStatus
from lancemill_operator.api import Api, configure
from lancemill_operator.kinds import DATASET, PIPELINE, Kind
from lancemill_operator.parse.documents import dumped

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

    loops.run(write())
    (found,) = control_plane.rest().get(f"{path}/odd")["status"]["conditions"]
    assert found["message"] == ODD


def test_a_mapping_whose_last_entry_goes_is_taken_out(
    control_plane: ControlPlane, namespace: str
) -> None:
    """A pipeline without its last trigger, a dataset without its last tag."""
    written: list[tuple[Kind, Any, Any]] = [
        (
            PIPELINE,
            PipelineStatus(handled=Handled(spec="a", triggers={"other": 1})),
            PipelineStatus(handled=Handled(spec="a")),
        ),
        (DATASET, DatasetStatus(version=3, tags={"first": 1}), DatasetStatus(version=3)),
    ]
    specs: dict[str, object] = {"MultimodalPipeline": SPEC, "LanceDataset": {"uri": "s3://a.lance"}}

    async def write() -> None:
        api = Api(await configure(str(control_plane.kubeconfig())))
        try:
            for kind, before, after in written:
                body = {"apiVersion": API, "kind": kind.name, "metadata": {"name": "cats"}}
                await api.create(kind, namespace, {**body, "spec": specs[kind.name]})
                for said in (before, after):
                    status = {**body, "status": dumped(said)}
                    found = await api.apply(kind, namespace, status, "status")
                    assert type(said).model_validate(found["status"]) == said
        finally:
            await api.close()

    loops.run(write())
