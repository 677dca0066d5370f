"""Who is put on the queue by which news."""

from __future__ import annotations

import asyncio
from typing import Any

from lancemill_operator.keys import Key
from lancemill_operator.kinds import DATASET, PIPELINE, Kind
from lancemill_operator.picture import Picture
from lancemill_operator.queue import WorkQueue
from lancemill_operator.store import Store

Object = dict[str, Any]


def body(kind: Kind, name: str, version: int, spec: Object, status: Object) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": name,
            "generation": 1,
            "resourceVersion": str(version),
        },
        "spec": spec,
        "status": status,
    }


def dataset(version: int, holds: int) -> Object:
    return body(DATASET, "lake", version, {"uri": "s3://lake/x.lance"}, {"version": holds})


def feeder(version: int, *runs: Object) -> Object:
    spec = {"sink": {"lance": {"dataset": "lake"}}}
    return body(PIPELINE, "feeder", version, spec, {"runs": list(runs)})


def taken(queue: WorkQueue[Key]) -> set[str]:
    async def take() -> set[str]:
        found = set()
        while queue.depth:
            key = await queue.get()
            assert key is not None
            queue.done(key)
            found.add(key.name)
        return found

    return asyncio.run(take())


def test_whom_our_own_write_concerns_is_told_when_its_echo_comes():
    store, queue = Store(), WorkQueue[Key]()
    picture = Picture(store, queue)
    reader = {"run": {"triggers": [{"dataset": "lake"}]}, "sink": {"lance": {"uri": "s3://x/y"}}}
    picture.saw(PIPELINE, body(PIPELINE, "reader", 1, reader, {}))
    picture.saw(DATASET, dataset(2, holds=1))
    taken(queue)
    store.wrote(DATASET, dataset(3, holds=2))
    picture.saw(DATASET, dataset(3, holds=2))
    assert taken(queue) == {"lake", "reader"}


def test_a_dataset_is_told_of_a_commit_that_we_wrote_down_ourselves():
    store, queue = Store(), WorkQueue[Key]()
    picture = Picture(store, queue)
    picture.saw(PIPELINE, feeder(1))
    taken(queue)
    store.wrote(PIPELINE, feeder(2, {"datasetVersion": 7}))
    picture.saw(PIPELINE, feeder(2, {"datasetVersion": 7}))
    assert taken(queue) == {"feeder", "lake"}
