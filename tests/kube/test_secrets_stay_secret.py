"""Canaries in every place for secrets: after two lives they are nowhere that anybody may read.

Two sorts: values of Secrets, which nobody but the pods may see, and credentials that a driver says
itself, which are not said again. Whoever may read a Secret, or the driver's own pod, sees them.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from kube import played_job
from kube.control_plane import ControlPlane
from kube.fake_nodes import Ending
from kube.kubectl import Kubectl
from kube.namespaces import fresh_namespace
from kube.operator_process import OperatorProcess, operator
from kube.played import played
from kube.probe_answers import DATASET
from kube.rest import Object, resource
from lancemill_operator import names

pytestmark = pytest.mark.usefixtures("kuberay_crds", "controllers")

API = "lancemill.dev/v1alpha1"
SECONDS = 180
SECRETS = (
    *("source", "fetching", "model", "lake", "variable", "variables", "registry", "files"),
    *("publishing", "optional"),
)
"""Each referred to by another field."""
GOOD, BAD = "seconds-1", "seconds-1.end-FAILED"
"""What the played Ray jobs do."""
READABLE = (
    *(("v1", "events"), ("events.k8s.io/v1", "events"), ("v1", "configmaps"), ("v1", "services")),
    *((API, "multimodalpipelines"), (API, "lancedatasets"), ("v1", "serviceaccounts")),
    *(("ray.io/v1", "rayjobs"), ("ray.io/v1", "rayclusters"), ("batch/v1", "jobs")),
    *(("networking.k8s.io/v1", "networkpolicies"), ("v1", "pods")),
)


@dataclass(frozen=True)
class Canaries:
    """Texts that are nowhere else in the world."""

    stored: dict[str, str] = field(
        default_factory=lambda: {name: f"canary-{secrets.token_hex(12)}" for name in SECRETS}
    )
    spoken: str = field(default_factory=lambda: f"canary{secrets.token_hex(12)}")

    @property
    def words(self) -> str:
        """What a careless driver says."""
        return (
            f"403 for https://b.example/a?X-Amz-Credential={self.spoken}&X-Amz-Signature="
            f"{self.spoken}; aws_secret_access_key={self.spoken} postgres://me:{self.spoken}@db/x"
        )

    def encoded(self) -> set[str]:
        """All forms in which a value might turn up."""
        plain = {*self.stored.values(), self.spoken}
        return plain | {base64.b64encode(one.encode()).decode().rstrip("=") for one in plain}


def store(name: str) -> Object:
    return {"secretRef": {"name": name}}


def pipeline(name: str, play: str) -> Object:
    """One that refers to a Secret wherever it may."""
    volumes = [
        {"name": "files", "secret": {"secretName": "files"}},
        {
            "name": "vault",
            "csi": {"driver": "vault.example", "nodePublishSecretRef": {"name": "publishing"}},
        },
    ]
    model = {"uri": "s3://models/x.onnx", "storage": store("model")}
    stages = [
        {"name": "bytes", "fetch": {"into": "image", "storage": store("fetching")}},
        {"name": "pixels", "decode": {"column": "image"}},
        {"name": "small", "resize": {"column": "image", "width": 8, "height": 8}},
        {
            "name": "embed",
            "infer": {"model": model, "inputs": {"image": "x"}, "outputs": {"y": "vector"}},
        },
    ]
    runtime = {
        "image": f"registry.example/lancemill:play.{play}",
        "env": [
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "variable", "key": "value"}}},
            {
                "name": "OTHER",
                "valueFrom": {
                    "secretKeyRef": {"name": "optional", "key": "value", "optional": True}
                },
            },
        ],
        "envFrom": [{"prefix": "A_", "secretRef": {"name": "variables"}}],
        "imagePullSecrets": [{"name": "registry"}],
    }
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://photos/", "storage": store("source")}},
            "stages": stages,
            "sink": {"lance": {"dataset": "lake"}},
            "runtime": runtime,
            "cluster": {
                "workerGroups": [
                    {
                        "name": "cpu",
                        "volumes": volumes,
                        "volumeMounts": [
                            {"name": one["name"], "mountPath": f"/{one['name']}"} for one in volumes
                        ],
                    }
                ]
            },
            "run": {"retries": 0, "keepClusterOnFailure": "1h", "ttlAfterFinished": "1h"},
        },
    }


def manifest(canaries: Canaries) -> Object:
    secret_objects = [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": {"value": value, "aws_secret_access_key": value},
        }
        for name, value in canaries.stored.items()
    ]
    dataset = {
        "apiVersion": API,
        "kind": "LanceDataset",
        "metadata": {"name": "lake"},
        "spec": {
            "uri": "s3://lake/x.lance",
            "storage": store("lake"),
            "runtime": {"imagePullSecrets": [{"name": "registry"}]},
        },
    }
    items = [*secret_objects, dataset, pipeline("good", GOOD), pipeline("bad", BAD)]
    return {"apiVersion": "v1", "kind": "List", "items": items}


@dataclass(frozen=True)
class Lived:
    """Two pipelines at their ends."""

    canaries: Canaries
    kubectl: Kubectl
    process: OperatorProcess

    def all_of(self, api: str, plural: str) -> list[Object]:
        found: list[Object] = self.kubectl.plane.rest().get(
            resource(api, plural, self.kubectl.namespace)
        )["items"]
        return found


@pytest.fixture(scope="module")
def lived(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    canaries = Canaries()
    folder = tmp_path_factory.mktemp("operator")
    with (
        pytest.MonkeyPatch.context() as patch,
        played(control_plane, partial(_said, canaries=canaries)),
        fresh_namespace(control_plane, "canaries") as namespace,
        operator(control_plane, folder, namespaces=(namespace,), log_level="debug") as process,
    ):
        patch.setitem(played_job._MESSAGES, "FAILED", f"logs:\nValueError: {canaries.words}")
        kubectl = Kubectl(control_plane, namespace)
        kubectl("apply", "--server-side", "-f", "-", input=manifest(canaries))
        found = Lived(canaries, kubectl, process)
        deadline = time.monotonic() + SECONDS
        while ends(found) != {"good": "Succeeded", "bad": "Failed"}:
            process.must_run()
            assert time.monotonic() < deadline, f"{ends(found)}\n{process.program.tail()}"
            time.sleep(0.2)
        yield found


def ends(lived: Lived) -> dict[str, str | None]:
    found = lived.all_of(API, "multimodalpipelines")
    return {
        one["metadata"]["name"]: one.get("status", {}).get("lastRun", {}).get("result")
        for one in found
    }


def test_nothing_that_can_be_read_holds_the_value_of_a_secret(lived: Lived) -> None:
    for api, plural in READABLE:
        found = lived.all_of(api, plural)
        if plural in ("events", "configmaps", "multimodalpipelines", "jobs", "rayjobs"):
            assert found, f"no {plural} to look at"
        text = json.dumps(found)
        for name, value in lived.canaries.stored.items():
            assert value not in text, f"{name} in {plural}"
            assert base64.b64encode(value.encode()).decode().rstrip("=") not in text, plural


def test_what_a_driver_says_of_credentials_is_not_said_again(lived: Lived) -> None:
    ours = ("multimodalpipelines", "lancedatasets", "configmaps", "events")
    for api, plural in READABLE:
        if plural in ours:
            assert lived.canaries.spoken not in json.dumps(lived.all_of(api, plural)), plural
    (bad,) = (
        one for one in lived.all_of(API, "multimodalpipelines") if one["metadata"]["name"] == "bad"
    )
    assert "403 for https://b.example/a?X-Amz-Credential=***" in bad["status"]["lastRun"]["message"]
    assert "aws_secret_access_key=***" in bad["status"]["lastRun"]["message"]
    jobs = json.dumps(lived.all_of("ray.io/v1", "rayjobs"))
    assert lived.canaries.spoken in jobs, "KubeRay copied what the driver wrote, and we saw it"


def test_logs_and_metrics_hold_neither(lived: Lived) -> None:
    log = lived.process.log.read_text(encoding="utf-8")
    assert '"level": "debug"' in log, "the log tells all there is"
    metrics = repr(lived.process.metrics())
    for value in lived.canaries.encoded():
        assert value not in log
        assert value not in metrics


def test_every_secret_was_referred_to_by_a_pod(lived: Lived) -> None:
    """Else their absence would mean nothing."""
    text = json.dumps([lived.all_of("ray.io/v1", "rayjobs"), lived.all_of("batch/v1", "jobs")])
    assert [name for name in SECRETS if f'"{name}"' not in text] == []


def _said(pod: Object, canaries: Canaries) -> Ending:
    labels: dict[str, Any] = pod["metadata"]["labels"]
    if labels[names.PURPOSE] == "dataset":
        return Ending(message=json.dumps(DATASET))
    command = pod["spec"]["containers"][0]["command"]
    told = {"run": command[command.index("--run-id") + 1], "message": canaries.words}
    if labels[names.PIPELINE] == "bad":
        return Ending(message=json.dumps({**told, "verdict": "Failed"}))
    summary = [{"name": "who", "columns": ["a"], "rows": [{"a": canaries.words}]}]
    return Ending(
        message=json.dumps({**told, "verdict": "Committed", "rows": 9, "summary": summary})
    )
