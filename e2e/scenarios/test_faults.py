"""What goes wrong in pods, and what comes of it: every row once, in order."""

from __future__ import annotations

import pytest
from e2e import long_run
from e2e.install import OPERATOR, SYSTEM
from e2e.long_run import NAME
from e2e.tenant import Object, Tenant, condition

HEAD, WORKER = "ray.io/node-type=head", "ray.io/node-type=worker"


def kill(tenant: Tenant, *labels: str) -> str:
    """The first of these pods, at once; its name."""
    name: str = tenant.pods(*labels)[0]["metadata"]["name"]
    tenant.kubectl("delete", "pod", name, "--grace-period=0", "--force")
    return name


def run_of(pipeline: Object) -> str:
    return str(pipeline["status"]["currentRun"]["id"])


def must_have_ended_well(tenant: Tenant, run: str) -> Object:
    """The same run, not another one that did it all again."""
    last: Object = tenant.succeeded(NAME, minutes=12)["status"]["lastRun"]
    assert (last["id"], last["result"]) == (run, "Succeeded")
    long_run.must_be_right(tenant)
    return last


def test_a_run_survives_the_loss_of_its_worker(tenant: Tenant) -> None:
    run = run_of(long_run.started(tenant))
    kill(tenant, WORKER)
    must_have_ended_well(tenant, run)


def test_a_run_survives_the_loss_of_its_head(tenant: Tenant) -> None:
    run = run_of(long_run.started(tenant))
    kill(tenant, HEAD)
    must_have_ended_well(tenant, run)


def test_a_run_goes_on_while_the_operator_is_gone(tenant: Tenant) -> None:
    run = run_of(long_run.started(tenant))
    system = tenant.cluster.kubectl.at(SYSTEM)
    system("delete", "pods", "--all", "--grace-period=0", "--force")
    must_have_ended_well(tenant, run)
    system("rollout", "status", OPERATOR, "--timeout=2m")


@pytest.mark.needs("drain")
def test_a_run_survives_that_its_node_is_drained(tenant: Tenant) -> None:
    run = run_of(long_run.started(tenant))
    node = tenant.pods(HEAD)[0]["spec"]["nodeName"]
    kubectl = tenant.cluster.kubectl
    # The store keeps everything in memory: it is no part of what is tried.
    spared = ["--pod-selector=app!=s3", "--ignore-daemonsets", "--delete-emptydir-data", "--force"]
    try:
        kubectl("drain", node, *spared, "--timeout=3m", timeout=240)
        assert not [one for one in tenant.pods(HEAD) if "nodeName" in one["spec"]]
    finally:
        kubectl("uncordon", node)
    must_have_ended_well(tenant, run)


def test_a_run_that_was_suspended_goes_on_where_it_stopped(tenant: Tenant) -> None:
    run = run_of(long_run.started(tenant))
    suspend(tenant, True)
    tenant.wait(
        lambda one: condition(one, "Suspended") == "True" and not tenant.pods(HEAD),
        "suspended, without pods",
        name=NAME,
    )
    suspend(tenant, False)
    last = must_have_ended_well(tenant, run)
    assert last["attempts"] == 2


def suspend(tenant: Tenant, value: bool) -> None:
    patch = f'{{"spec": {{"run": {{"suspend": {str(value).lower()}}}}}}}'
    tenant.kubectl("patch", "mmp", NAME, "--type=merge", f"--patch={patch}")
