"""Reads a recording of the real KubeRay: its manifests, and its story."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from kube.conformance.story import Asked, Change, Story, story

Object = dict[str, Any]


def manifests(folder: Path) -> list[Object]:
    return list(yaml.safe_load_all((folder / "manifest.yaml").read_text()))


def namespace(folder: Path) -> str:
    """The recordings call their namespaces t01, t14b …: the number in the folder's name."""
    return "t" + folder.name.partition("-")[0]


def seconds(folder: Path) -> float:
    """How long it took."""
    last = (folder / "trace.jsonl").read_text().splitlines()[-1]
    return float(json.loads(last)["t"])


def changes(folder: Path) -> list[Change]:
    lines = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
    for line in lines:
        spec = line["object"].get("spec", {})
        if "same_spec_as" in spec:
            line["object"]["spec"] = lines[spec["same_spec_as"] - 1]["object"]["spec"]
    return [Change(line["type"], line["kind"], line["object"]) for line in lines]


def asked(folder: Path) -> list[Asked]:
    summary = json.loads((folder / "summary.json").read_text())
    return [
        Asked(
            head=one["head"],
            method=one["method"],
            path=one["path"],
            body=one["body"],
            token="X-Ray-Authorization" in one["headers"],
            status=one["answer"][0],
            answer=one["answer"][1],
        )
        for one in summary["dashboard_requests"]
    ]


def recorded(folder: Path) -> Story:
    return story(changes(folder), asked(folder), namespace(folder))
