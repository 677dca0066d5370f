"""The RayJob of one attempt: made once, never changed.

KubeRay runs it, and we keep what is ours to decide: it neither retries (`backoffLimit: 0`, since an
attempt is made only when the one before is settled) nor keeps a run's truth (the ledger does). The
cluster goes some time after the end; where a failed one is kept for a look, that time is the longer
of the two, and `decide` deletes the RayJob of a run that went well before it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from lancemill_api import handed
from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.prices import VARIABLE
from lancemill_api.run import Run
from lancemill_operator import names
from lancemill_operator.actions import Body
from lancemill_operator.facts import Identity
from lancemill_operator.manifests import access, groups, volumes
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.metadata import metadata, run_labels
from lancemill_operator.manifests.references import storage_secrets

API_VERSION = "ray.io/v1"
QUEUE = "kueue.x-k8s.io/queue-name"


def rayjob(
    identity: Identity,
    pipeline: MultimodalPipeline,
    datasets: Sequence[LanceDataset],
    *,
    run: str,
    attempt: int,
    remaining: float,
    defaults: Defaults,
) -> Body:
    """The RayJob of attempt `attempt` of run `run`, which may take `remaining` seconds more.

    `datasets` are those that the run's frozen specification holds: their stores' Secrets are
    mounted too.
    """
    labels = run_labels(identity, run, attempt)
    queue = pipeline.spec.run.queue_name
    return {
        "apiVersion": API_VERSION,
        "kind": "RayJob",
        "metadata": metadata(
            identity,
            "MultimodalPipeline",
            names.rayjob(identity.name, run, attempt),
            labels | ({QUEUE: queue} if queue else {}),
        ),
        "spec": {
            "submissionMode": "HTTPMode",
            "entrypoint": entrypoint(identity.name, run, attempt),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": _time_to_live(pipeline.spec.run),
            "backoffLimit": 0,
            "activeDeadlineSeconds": groups.whole_seconds(remaining, least=1),
            "preRunningDeadlineSeconds": groups.whole_seconds(
                pipeline.spec.run.start_timeout, least=1
            ),
            "rayClusterSpec": _cluster(
                identity, pipeline, datasets, run, attempt, remaining, defaults
            ),
        },
    }


def entrypoint(pipeline: str, run: str, attempt: int) -> str:
    """The command that Ray's job server runs in a shell: fixed but for names, which are quoted."""
    words = ["lancemill", "run", volumes.MANIFEST, "--pipeline", pipeline]
    return shlex.join([*words, "--run-id", run, "--epoch", str(attempt), "--engine", "ray"])


def _time_to_live(run: Run) -> int:
    return max(
        groups.whole_seconds(run.ttl_after_finished),
        groups.whole_seconds(run.keep_cluster_on_failure),
    )


def _cluster(
    identity: Identity,
    pipeline: MultimodalPipeline,
    datasets: Sequence[LanceDataset],
    run: str,
    attempt: int,
    remaining: float,
    defaults: Defaults,
) -> dict[str, Any]:
    spec = pipeline.spec
    workers = groups.worker_groups(spec.cluster)
    autoscaled = groups.is_autoscaled(workers, spec.run.queue_name)
    version = (spec.cluster.ray_version if spec.cluster else None) or defaults.ray_version
    mounts = (
        volumes.manifest(names.config_map(identity.name, run))
        + volumes.credentials(storage_secrets(pipeline, *datasets))
        + volumes.code(spec.code)
    )
    shared = groups.Shared(
        runtime=spec.runtime,
        mounts=mounts,
        variables=variables(run, attempt, remaining, defaults),
        labels=run_labels(identity, run, attempt),
        service_account=access.account_of(identity, spec.runtime),
        ray_version=version,
        autoscaled=autoscaled,
        defaults=defaults,
    )
    made: dict[str, Any] = {
        "rayVersion": version,
        "authOptions": {"mode": "token"},
        "enableInTreeAutoscaling": autoscaled,
        "headGroupSpec": groups.head_group(groups.head_of(spec.cluster, defaults), shared),
        "workerGroupSpecs": [groups.worker_group(one, shared) for one in workers],
    }
    options = {"autoscalerOptions": groups.autoscaler(spec.runtime, defaults)}
    return made | (options if autoscaled else {})


def variables(run: str, attempt: int, remaining: float, defaults: Defaults) -> dict[str, str]:
    """What head and workers know of the attempt.

    The driver keeps its own deadline: KubeRay ends an attempt that is late without telling it to
    stop (recording 05).
    """
    prices = defaults.prices.to_text()
    return {
        handed.RUN: run,
        handed.ATTEMPT: str(attempt),
        handed.DEADLINE_SECONDS: str(groups.whole_seconds(remaining, least=1)),
        handed.PROGRESS_PORT: str(defaults.progress_port),
        # Counters as Prometheus knows them: rate() of what claims to be a gauge is refused by some.
        "RAY_EXPORT_COUNTER_AS_GAUGE": "0",
        **handed.TASK_OOM_RETRIES,
        **({VARIABLE: prices} if prices else {}),
    }
