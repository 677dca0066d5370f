"""A request's path, method and headers tell which verb it is, on which object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kube.calls import Call, Target, parsed_call, parsed_path


def call(method: str, path: str, body: Any = None, kind: str = "", **query: str) -> Call:
    text = b"" if body is None else json.dumps(body).encode()
    return parsed_call(0, method, path, query, {"Content-Type": kind}, text)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target("v1", "pods")),
        ("/api/v1/namespaces", Target("v1", "namespaces")),
        ("/api/v1/namespaces/a", Target("v1", "namespaces", "", "a")),
        ("/api/v1/namespaces/a/finalize", Target("v1", "namespaces", "", "a", "finalize")),
        ("/api/v1/namespaces/a/pods", Target("v1", "pods", "a")),
        ("/api/v1/namespaces/a/pods/b/log", Target("v1", "pods", "a", "b", "log")),
        ("/apis/ray.io/v1/rayjobs", Target("ray.io/v1", "rayjobs")),
        ("/apis/ray.io/v1/namespaces/a/rayjobs/b", Target("ray.io/v1", "rayjobs", "a", "b")),
        (
            "/apis/ray.io/v1/namespaces/a/rayjobs/b/status",
            Target("ray.io/v1", "rayjobs", "a", "b", "status"),
        ),
        (
            "/api/v1/namespaces/a/services/head:8265/proxy/api/jobs/",
            Target("v1", "services", "a", "head:8265", "proxy"),
        ),
        ("/api/v1/nodes/n/status", Target("v1", "nodes", "", "n", "status")),
        ("/apis", Target()),
        ("/apis/ray.io/v1", Target()),
        ("/api/v1", Target()),
        ("/readyz", Target()),
        ("/", Target()),
    ],
)
def test_a_path_names_its_object(path: str, target: Target) -> None:
    assert parsed_path(path) == target


OBJECT = "/apis/ray.io/v1/namespaces/a/rayjobs/b"
LIST = "/apis/ray.io/v1/namespaces/a/rayjobs"


@pytest.mark.parametrize(
    ("found", "text", "writes"),
    [
        (call("GET", OBJECT), "get rayjobs b", False),
        (call("GET", LIST), "list rayjobs", False),
        (call("GET", LIST, watch="true"), "watch rayjobs", False),
        (call("POST", LIST, {"metadata": {"name": "b"}}), "create rayjobs b", True),
        (call("POST", LIST, {"metadata": {"generateName": "b-"}}), "create rayjobs b-", True),
        (call("PUT", OBJECT, {}), "update rayjobs b", True),
        (call("PATCH", OBJECT, {}, "application/merge-patch+json"), "patch rayjobs b", True),
        (
            call("PATCH", f"{OBJECT}/status", {}, "application/apply-patch+yaml"),
            "apply rayjobs/status b",
            True,
        ),
        (call("PATCH", OBJECT, {}, "application/json-patch+json"), "patch rayjobs b", True),
        (call("DELETE", OBJECT), "delete rayjobs b", True),
        (call("DELETE", LIST), "deletecollection rayjobs", True),
        (call("GET", "/version"), "other /version", False),
    ],
)
def test_a_call_reads_as_its_verb_resource_and_name(found: Call, text: str, writes: bool) -> None:
    assert (str(found), found.writes) == (text, writes)


def test_a_dry_run_is_no_write() -> None:
    assert not call("POST", LIST, {}, dryRun="All").writes


def test_a_body_that_is_no_json_object_is_left_out() -> None:
    yaml = parsed_call(0, "POST", LIST, {}, {}, b"metadata: {name: b}")

    assert yaml.body is None
    assert str(yaml) == "create rayjobs"
