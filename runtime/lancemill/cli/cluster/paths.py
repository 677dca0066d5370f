"""Where things lie on an API server. Pure."""

from __future__ import annotations

from urllib.parse import quote

from lancemill_api.pipeline import API_VERSION

PIPELINE = "MultimodalPipeline"
DATASET = "LanceDataset"
PLURALS = {PIPELINE: "multimodalpipelines", DATASET: "lancedatasets"}


def ours(kind: str, namespace: str | None, name: str = "") -> str:
    """One of our objects, or all of a namespace, or of all namespaces."""
    return _path(f"/apis/{API_VERSION}", namespace, PLURALS[kind], name)


def core(plural: str, namespace: str, name: str = "", part: str = "") -> str:
    """Something of Kubernetes' own first group, such as a pod's log."""
    path = _path("/api/v1", namespace, plural, name)
    return f"{path}/{part}" if part else path


def _path(api: str, namespace: str | None, plural: str, name: str) -> str:
    within = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{api}{within}/{plural}" + (f"/{quote(name, safe='')}" if name else "")
