"""A stray from the recordings would be seen; and what the stand-in builds is as recorded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kube.binaries import kuberay_data
from kube.conformance.difference import difference
from kube.conformance.recordings import asked, changes, namespace, recorded
from kube.conformance.story import Asked, Change, story
from kube.kuberay import objects, pods

Object = dict[str, Any]
Changes = list[Change]
Alteration = Callable[[Changes], None]


@pytest.fixture(scope="module")
def traces() -> Path:
    data = kuberay_data()
    if data is None:
        pytest.skip("NOT RUN: KubeRay's recordings are not here: name their folder by KUBERAY_DATA")
    return data / "traces"


def first(found: Changes, kind: str, having: str = "metadata") -> Object:
    return next(one.object for one in found if one.kind == kind and having in one.object)


def _another_reason(found: Changes) -> None:
    for one in found:
        if one.kind == "RayJob" and one.object.get("status", {}).get("reason"):
            one.object["status"]["reason"] = "Other"


def _no_owner(found: Changes) -> None:
    del first(found, "Pod")["metadata"]["ownerReferences"]


def _another_variable(found: Changes) -> None:
    first(found, "Pod")["spec"]["containers"][0]["env"][0]["name"] = "OTHER"


def _a_service_left(found: Changes) -> None:
    found[:] = [one for one in found if not (one.type == "DELETED" and one.kind == "Service")]


def _no_event(found: Changes) -> None:
    found[:] = [one for one in found if one.object.get("reason") != "CreatedHeadPod"]


def _another_manager(found: Changes) -> None:
    for one in found:
        if one.kind == "RayJob":
            one.object["metadata"]["fieldManagers"] = ["somebody Apply"]


@pytest.mark.parametrize(
    "alter",
    [_another_reason, _no_owner, _another_variable, _a_service_left, _no_event, _another_manager],
)
def test_a_stray_from_the_recording_is_seen(traces: Path, alter: Alteration) -> None:
    folder = traces / "02-application-failure"
    found = copy.deepcopy(changes(folder))
    alter(found)
    assert difference(recorded(folder), story(found, asked(folder), namespace(folder)))


def test_a_request_too_many_or_another_body_is_seen(traces: Path) -> None:
    folder = traces / "01-success"
    found = asked(folder)
    twice = [*found[:2], found[1], *found[1:]]
    other = [Asked(**{**vars(one), "body": {"entrypoint": "x"}}) for one in found]
    for strays in (found[:-1], other, [*twice, found[0]]):
        assert difference(recorded(folder), story(changes(folder), strays, namespace(folder)))


@pytest.mark.thorough
def test_a_recording_is_like_itself_whatever_its_names(traces: Path) -> None:
    for folder in sorted(path.parent for path in traces.glob("*/trace.jsonl")):
        assert difference(recorded(folder), recorded(folder)) == []


def missing(built: Any, found: Any, path: str = "") -> list[str]:
    """Where what was built is not part of what was found: the API server adds defaults."""
    if isinstance(built, dict) and isinstance(found, dict):
        return [
            line
            for key, value in built.items()
            for line in missing(value, found.get(key), f"{path}.{key}")
        ]
    if isinstance(built, list) and isinstance(found, list) and len(built) <= len(found):
        pairs = zip(built, found, strict=False)
        return [
            line
            for index, (one, other) in enumerate(pairs)
            for line in missing(one, other, f"{path}[{index}]")
        ]
    return [] if built == found else [f"{path}: {built!r} is not {found!r}"]


@pytest.mark.parametrize(
    "name", ["01-success", "18c-head-without-dashboard-port", "22-autoscaler-v2", "23-auth-token"]
)
def test_pods_and_services_are_built_as_recorded(traces: Path, name: str) -> None:
    found = changes(traces / name)
    job, cluster = first(found, "RayJob", "status"), first(found, "RayCluster")
    made = [one.object for one in found if one.kind == "Pod" and one.type == "ADDED"]
    head = pods.head(cluster)
    head["metadata"]["annotations"].pop("ray.io/upgrade-strategy-recreate-hash")
    groups = cluster["spec"]["workerGroupSpecs"]
    workers = [pods.worker(cluster, group, 0) for group in groups]
    for built, real in zip([head, *workers], made, strict=False):
        assert missing(built, real) == []
    services = [one.object for one in found if one.kind == "Service" and one.type == "ADDED"]
    wanted = [objects.cluster_service(cluster), objects.job_service(job, cluster)]
    for service, real in zip(wanted, services, strict=False):
        assert missing(service, real) == []


def test_a_cluster_is_built_as_recorded(traces: Path) -> None:
    found = changes(traces / "01-success")
    job, cluster = first(found, "RayJob", "status"), first(found, "RayCluster")
    assert missing(objects.ray_cluster(job, cluster["metadata"]["name"]), cluster) == []
