"""Sets a dataset's tags as its LanceDataset gives them, and deletes those it gives no more.

Only tags that were set from there are deleted. Which those are is remembered beside the dataset,
before they are set: whoever died in between has left no tag that nobody owns up to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lancemill.storage import Location

SET = "tags.json"


def tags(dataset: Any) -> dict[str, int]:
    """Every tag and the version that it names."""
    return {name: int(one["version"]) for name, one in dataset.tags.list().items()}


def set_tags(dataset: Any, wanted: Mapping[str, int], folder: Location) -> list[str]:
    """Make the tags `wanted`; what keeps some of them from being set, in words.

    `folder` is the dataset's own for ledgers (`<dataset>.runs`).
    """
    there = tags(dataset)
    before = set(json.loads(folder.get(SET) or b"[]"))
    ours = before | {name for name, version in wanted.items() if there.get(name) != version}
    _remember(folder, before, ours)
    wrong = [
        text
        for name, version in wanted.items()
        if there.get(name) != version
        and (text := _set(dataset, name, version, name in there)) is not None
    ]
    for name in before - set(wanted):
        if name in there:
            dataset.tags.delete(name)
    _remember(folder, ours, ours & set(wanted))
    return wrong


def _set(dataset: Any, name: str, version: int, exists: bool) -> str | None:
    put = dataset.tags.update if exists else dataset.tags.create
    try:
        put(name, version)
    except ValueError as error:
        if "ersion not found" not in str(error):
            raise
        return f"tag '{name}' names version {version}, which is not there"
    return None


def _remember(folder: Location, before: set[str], now: set[str]) -> None:
    if now != before:
        folder.put(SET, json.dumps(sorted(now)).encode())
