"""`kubectl explain` tells what every field is for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kube.control_plane import ControlPlane
from kube.kubectl import Kubectl
from kube.rest import Object

API = "lancemill.dev/v1alpha1"
KINDS = {"mmp": "MultimodalPipeline", "lds": "LanceDataset"}
by_kind = pytest.mark.parametrize("short", KINDS)
by_part = pytest.mark.parametrize("part", ["spec", "status"])


def schema(plane: ControlPlane, kind: str) -> Object:
    """What the API server says of a kind, as kubectl asks it."""
    schemas = plane.rest().get(f"/openapi/v3/apis/{API}")["components"]["schemas"]
    found: Object = schemas[f"dev.lancemill.v1alpha1.{kind}"]
    return found


def fields(node: Object, path: str) -> Iterator[tuple[str, Object]]:
    """Every field below, with its path."""
    for name, one in node.get("properties", {}).items():
        yield f"{path}.{name}", one
        yield from fields(one, f"{path}.{name}")
    for inside in ("items", "additionalProperties"):
        if isinstance(node.get(inside), dict):
            yield from fields(node[inside], path)


@by_kind
@by_part
def test_every_field_that_the_api_server_serves_has_a_description(
    short: str, part: str, control_plane: ControlPlane
) -> None:
    found = dict(fields(schema(control_plane, KINDS[short])["properties"][part], part))
    assert len(found) > 20
    assert [path for path, one in found.items() if not one.get("description", "").strip()] == []


@by_kind
@by_part
def test_kubectl_explain_tells_the_whole_tree(short: str, part: str, kubectl: Kubectl) -> None:
    told = kubectl("explain", f"{short}.{part}", "--recursive").stdout
    names = {line.split()[0] for line in told.splitlines() if "\t<" in line}
    found = dict(fields(schema(kubectl.plane, KINDS[short])["properties"][part], part))
    assert {path.rpartition(".")[2] for path in found} == names
    assert sum("\t<" in line for line in told.splitlines()) == len(found)


def test_kubectl_explain_tells_what_a_field_is_for_and_what_it_may_be(kubectl: Kubectl) -> None:
    told = " ".join(kubectl("explain", "mmp.spec.stages.resize.fit").stdout.split())
    assert "FIELD: fit <string>" in told
    assert "How the picture meets the size" in told
    assert "Default: contain" in told
    refused = kubectl("explain", "mmp.spec.stagez", check=False)
    assert refused.returncode != 0 and "does not exist" in refused.stderr
