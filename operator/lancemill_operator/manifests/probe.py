"""Short Jobs in the tenant's namespace that look at a store and tell by their last words.

The operator itself never touches data nor reads a Secret: a pod with the tenant's credentials does,
and hands a JSON text back in its termination message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lancemill_api.cluster import Head, Placed
from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.runtime import Runtime
from lancemill_operator import names
from lancemill_operator.actions import Body
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import access, pods, volumes
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.environment import environment
from lancemill_operator.manifests.frozen import config_map, text
from lancemill_operator.manifests.metadata import Kind, metadata, owner_labels
from lancemill_operator.manifests.references import storage_secrets
from lancemill_operator.manifests.volumes import Mounts

SETTLE = "settle"
DATASET = "dataset"


def settle_token(run: str, attempt: int, number: int = 0) -> str:
    """The question that a settle probe answers; `number` counts the times it got no answer."""
    asked = f"{run}/{attempt}"
    return f"{asked}/{number}" if number else asked


def settle_probe(
    identity: Identity,
    pipeline: MultimodalPipeline,
    datasets: Sequence[LanceDataset],
    *,
    run: str,
    attempt: int,
    number: int = 0,
    defaults: Defaults,
) -> Body:
    """The Job that asks the ledger what came of a run, and closes it to all attempts up to
    `attempt`. It runs beside the head's data: with its volumes and on nodes like its."""
    spec = pipeline.spec
    head = spec.cluster.head if spec.cluster else Head()
    words = ["run", volumes.MANIFEST, "--pipeline", identity.name]
    return _job(
        identity,
        "MultimodalPipeline",
        SETTLE,
        settle_token(run, attempt, number),
        [*words, "--run-id", run, "--epoch", str(attempt + 1)],
        volumes.manifest(names.config_map(identity.name, run))
        + volumes.credentials(storage_secrets(pipeline, *datasets)),
        spec.runtime,
        head,
        access.account_of(identity, spec.runtime),
        defaults,
    )


def dataset_probe(
    identity: Identity, dataset: LanceDataset, *, token: str, defaults: Defaults
) -> Body:
    """The Job that makes, checks and describes a dataset; `token` is the question's name."""
    runtime = dataset.spec.runtime
    return _job(
        identity,
        "LanceDataset",
        DATASET,
        token,
        ["dataset", volumes.MANIFEST, "--dataset", identity.name],
        volumes.manifest(dataset_manifest_name(identity))
        + volumes.credentials(storage_secrets(dataset)),
        runtime,
        Placed(),
        runtime.service_account_name or "default",
        defaults,
    )


def dataset_manifest(identity: Identity, document: Mapping[str, Any]) -> Body:
    """The ConfigMap that a dataset's probes read: one for each generation, which never changes."""
    return config_map(
        identity, "LanceDataset", dataset_manifest_name(identity), {}, text(document, ())
    )


def dataset_manifest_name(identity: Identity, generation: int | None = None) -> str:
    """Name of that ConfigMap, for this or another generation."""
    number = identity.generation if generation is None else generation
    return f"{names.cut(identity.name, 40)}-dataset-{names.digest([identity.uid, number], 8)}"


def _job(
    identity: Identity,
    kind: Kind,
    purpose: str,
    token: str,
    arguments: Sequence[str],
    mounts: Mounts,
    runtime: Runtime,
    placed: Placed,
    service_account: str,
    defaults: Defaults,
) -> Body:
    labels = {names.PURPOSE: purpose, names.TOKEN: names.digest(token)}
    everything = mounts + volumes.own(placed)
    main = pods.container("probe", runtime, defaults.probe, everything, defaults)
    main |= environment(runtime, {}) | {
        "command": ["lancemill", "probe", *arguments],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(
            identity,
            kind,
            names.probe(identity.name, purpose, f"{identity.uid}/{token}"),
            owner_labels(identity, kind) | labels,
        ),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": defaults.probe_deadline_seconds,
            "ttlSecondsAfterFinished": defaults.probe_ttl_seconds,
            "template": {
                "metadata": {"labels": names.labels(_pod_labels(identity, kind) | labels)},
                "spec": pods.spec(main, runtime, placed, everything, service_account, defaults),
            },
        },
    }


def _pod_labels(identity: Identity, kind: Kind) -> dict[str, Any]:
    """Without the owner's uid: pods that carry the pipeline's are those of its attempts."""
    return {names.PIPELINE if kind == "MultimodalPipeline" else names.DATASET: identity.name}
