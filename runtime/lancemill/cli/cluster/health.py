"""What `lancemill doctor` says of the cluster: asked briefly, and never a reason to fail where the
cluster is only out of reach, or not the reader's to look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lancemill.cli.cluster.connection import connect, has_extra, in_cluster, kubeconfig
from lancemill.cli.cluster.errors import ClusterError, Refused
from lancemill.engine.health import Check
from lancemill_api.pipeline import API_VERSION

if TYPE_CHECKING:
    from lancemill.cli.cluster.api import Api

SECONDS = 3.0
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OPERATORS = "app.kubernetes.io/part-of=lancemill,app.kubernetes.io/component=operator"
_SHOWN = 3


def checks() -> list[Check]:
    """The cluster of the current context, and what of ours is in it."""
    if not has_extra():
        return []
    if kubeconfig() is None and not in_cluster():
        return [Check("cluster", None, "optional: there is no kubeconfig")]
    try:
        with connect(timeout=SECONDS) as api:
            version = api.get("/version").get("gitVersion", "")
            return [
                Check("cluster", True, f"Kubernetes {version} at {api.host}"),
                *_parts(api),
            ]
    except ClusterError as error:
        return [Check("cluster", None, str(error))]


def missing_fields(ours: Mapping[str, Any], theirs: Mapping[str, Any], at: str = "") -> list[str]:
    """Fields of one schema that another does not have."""
    found = []
    known = theirs.get("properties") or {}
    for name, schema in (ours.get("properties") or {}).items():
        path = f"{at}.{name}" if at else name
        if name not in known:
            found.append(path)
        else:
            found += missing_fields(schema, known[name], path)
    for inner in ("items", "additionalProperties"):
        mine, other = ours.get(inner), theirs.get(inner)
        if isinstance(mine, Mapping) and isinstance(other, Mapping):
            found += missing_fields(mine, other, f"{at}[]" if inner == "items" else at)
    return found


def _parts(api: Api) -> Iterator[Check]:
    yield _crds(api)
    yield _operator(api)
    yield _kuberay(api)


def _crds(api: Api) -> Check:
    from lancemill_api.crds import RESOURCES, root_schema

    name = "lancemill CRDs"
    if not _serves(api, API_VERSION, {one.plural for one in RESOURCES}):
        return Check(name, None, "not installed in this cluster")
    missing = []
    for resource in RESOURCES:
        try:
            body = api.get(f"{_CRDS}/{resource.plural}.{API_VERSION.partition('/')[0]}")
        except Refused:
            return Check(name, True, f"{API_VERSION}; their fields are not yours to look at")
        missing += missing_fields(root_schema(resource.model), _schema(body))
    if not missing:
        return Check(name, True, f"{API_VERSION}, with every field that this version knows")
    shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
    return Check(name, False, f"do not know {shown}: upgrade the chart")


def _schema(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = API_VERSION.partition("/")[2]
    for version in definition["spec"]["versions"]:
        if version["name"] == wanted:
            schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
            return schema
    return {}


def _operator(api: Api) -> Check:
    try:
        answer = api.get("/apis/apps/v1/deployments", query={"labelSelector": _OPERATORS})
    except Refused:
        return Check("operator", None, "not yours to look at")
    found = answer.get("items") or ()
    if not found:
        return Check("operator", None, f"no deployment with labels {_OPERATORS}")
    ready = [one for one in found if (one.get("status") or {}).get("readyReplicas")]
    names = ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in found)
    return Check("operator", bool(ready), names if ready else f"{names}: no replica is ready")


def _kuberay(api: Api) -> Check:
    if _serves(api, "ray.io/v1", {"rayjobs", "rayclusters"}):
        return Check("kuberay", True, "RayJob and RayCluster are served")
    return Check("kuberay", None, "not installed in this cluster")


def _serves(api: Any, version: str, plurals: set[str]) -> bool:
    try:
        served = api.get(f"/apis/{version}").get("resources") or ()
    except Refused:
        return False
    return plurals <= {one.get("name") for one in served}
