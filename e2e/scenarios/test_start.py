"""What the operator adds to the time until the first row, beside a RayJob without it.

Measured and told, not judged: how long Ray takes to start depends on what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from e2e.cache import say
from e2e.tenant import PIPELINE, Object, Tenant, TookTooLong, result

MINUTES = 8.0


def bare(tenant: Tenant, made: Object, run: str) -> Object:
    """The RayJob that the operator made, as somebody would write it who has no operator."""
    spec = {key: value for key, value in made["spec"].items() if key != "managedBy"}
    spec["entrypoint"] = made["spec"]["entrypoint"].replace(made_run(made), run)
    group = spec["rayClusterSpec"]
    for one in (group["headGroupSpec"], *group["workerGroupSpecs"]):
        one["template"]["metadata"] = {}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": "bare"},
        "spec": spec,
    }


def made_run(made: Object) -> str:
    return str(made["metadata"]["labels"]["lancemill.dev/run"])


def seconds_until(holds: Callable[[], bool], what: str) -> float:
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > MINUTES * 60:
            raise TookTooLong(f"{what}: not within {MINUTES} minutes")
        time.sleep(0.5)
    return time.monotonic() - started


def test_how_long_a_run_takes_beside_a_bare_rayjob(
    tenant: Tenant, pictures: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    tenant.put("pictures", pictures)
    pipeline, dataset = tenant.documents()
    pipeline["spec"]["sink"]["lance"]["mode"] = "overwrite"
    tenant.kubectl.apply(dataset)
    tenant.kubectl("wait", f"lds/{PIPELINE}", "--for=condition=Ready", "--timeout=5m", timeout=400)
    tenant.kubectl.apply(pipeline)
    ours = seconds_until(lambda: result(tenant.pipeline()) == "Succeeded", "the run")
    made = tenant.kubectl.json("get", "rayjobs")["items"][0]
    tenant.wait(lambda _: not tenant.pods("ray.io/is-ray-node=yes"), "rid of its pods")
    tenant.kubectl.apply(bare(tenant, made, run="bare"))

    def done() -> bool:
        found = tenant.kubectl.json("get", "rayjob", "bare").get("status", {})
        assert found.get("jobDeploymentStatus") != "Failed", found
        return bool(found.get("jobDeploymentStatus") == "Complete")

    theirs = seconds_until(done, "the bare RayJob")
    with capsys.disabled():
        say(f"from apply to the end: {ours:.1f} s; a bare RayJob: {theirs:.1f} s")
