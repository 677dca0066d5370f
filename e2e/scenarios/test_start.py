"""What the operator adds to the time until the first row, beside a RayJob without it.

Measured and told, not judged: how long Ray takes to start depends on what else the machine does.
The bare RayJob is the operator's own, with the same pods and the same manifest, so the difference
is what the operator does and nothing else.
"""

from __future__ import annotations

import copy
import os
from http.client import HTTPConnection

import pytest
from e2e.cache import say
from e2e.first_row import Took, Watch, api_server, compared, in_words
from e2e.tenant import PIPELINE, Object, Tenant

ROUNDS = int(os.environ.get("E2E_ROUNDS", "3"))


def numbered(pipeline: Object, number: int) -> Object:
    """Another pipeline that does the same into the same dataset."""
    made = copy.deepcopy(pipeline)
    made["metadata"]["name"] = f"{PIPELINE}-{number}"
    return made


def bare(made: Object, number: int) -> Object:
    """The RayJob that the operator made, as somebody would write it who has no operator.

    Its run has an id of its own; the ConfigMap with the manifest is the one that is there.
    """
    spec = {key: value for key, value in made["spec"].items() if key != "managedBy"}
    run = made["metadata"]["labels"]["lancemill.dev/run"]
    spec["entrypoint"] = spec["entrypoint"].replace(run, f"bare-{number}")
    group = spec["rayClusterSpec"] = copy.deepcopy(spec["rayClusterSpec"])
    for one in (group["headGroupSpec"], *group["workerGroupSpecs"]):
        one["template"]["metadata"] = {}
    metadata = {"name": f"bare-{number}"}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": metadata, "spec": spec}


def by_operator(
    tenant: Tenant, api: HTTPConnection, pipeline: Object, number: int
) -> tuple[Took, Object]:
    """The operator's run, of which no pod is left, and the RayJob that it made."""
    one = numbered(pipeline, number)
    watch = Watch(tenant, api)
    took = watch.start(lambda: tenant.kubectl.apply(one))
    assert watch.rayjob is not None
    tenant.succeeded(one["metadata"]["name"])
    gone(tenant)
    return took, watch.rayjob


def by_itself(tenant: Tenant, api: HTTPConnection, rayjob: Object, number: int) -> Took:
    """A bare RayJob that does the same, of which nothing is left."""
    other = bare(rayjob, number)
    took = Watch(tenant, api).start(lambda: tenant.kubectl.apply(other))
    committed(tenant, f"bare-{number}")
    tenant.kubectl("delete", "rayjob", f"bare-{number}")
    gone(tenant)
    return took


def gone(tenant: Tenant) -> None:
    pods = "ray.io/is-ray-node=yes"
    tenant.wait(lambda _: not tenant.pods(pods), "rid of its pods", name=f"{PIPELINE}-0")


def committed(tenant: Tenant, run: str) -> None:
    """Waits for it: a RayJob that is deleted before would leave the dataset to be taken over."""
    key = f"{PIPELINE}.lance.runs/{run}/committed.json"
    listed = tenant.s3.client.list_objects_v2
    tenant.wait(
        lambda _: listed(Bucket=tenant.bucket, Prefix=key).get("KeyCount"),
        f"beside {run}, which is to commit",
        name=f"{PIPELINE}-0",
    )


def test_how_soon_the_first_row_is_there_beside_a_bare_rayjob(
    tenant: Tenant, pictures: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    tenant.put("pictures", pictures)
    pipeline, dataset = tenant.documents()
    pipeline["spec"]["sink"]["lance"]["mode"] = "overwrite"
    pipeline["spec"]["run"]["ttlAfterFinished"] = "0s"
    # A dataset that is new to the operator is looked at by a pod, once, before any run of it.
    tenant.kubectl.apply(dataset)
    tenant.kubectl("wait", f"lds/{PIPELINE}", "--for=condition=Ready", "--timeout=5m", timeout=400)
    ours, theirs = [], []
    made: Object = {}
    with api_server(tenant.kubectl) as api, capsys.disabled():
        # The first of each counts for nobody: then all that they read from disks is in memory.
        for number in range(ROUNDS + 1):
            # In turn: what goes second finds warm what the first has used.
            if number % 2:
                other = by_itself(tenant, api, made, number)
                one, made = by_operator(tenant, api, pipeline, number)
            else:
                one, made = by_operator(tenant, api, pipeline, number)
                other = by_itself(tenant, api, made, number)
            ours.append(one)
            theirs.append(other)
            for who, took in (("the operator's", one), ("a bare RayJob", other)):
                say(f"round {number}, {who}: {in_words(took)}")
        say(compared(ours[1:], theirs[1:]))
