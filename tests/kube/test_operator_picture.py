"""The picture against a real API server: what watches have missed, and watches that are dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from kube import loops
from kube.control_plane import ControlPlane
from kube.fault_proxy import FaultProxy, fault_proxy
from kube.faults import refuse
from kube.rest import resource
from lancemill_operator.api import Api, ApiError, Forbidden, Unreachable, configure
from lancemill_operator.keys import Key
from lancemill_operator.kinds import DATASET, JOB, NODE, PIPELINE
from lancemill_operator.metrics import Metrics
from lancemill_operator.picture import Picture, Resync
from lancemill_operator.queue import WorkQueue
from lancemill_operator.store import Store
from lancemill_operator.watchdog import Watchdog
from lancemill_operator.watches import Ages

Object = dict[str, Any]
API = "lancemill.dev/v1alpha1"


def pipeline(name: str) -> Object:
    return {
        "apiVersion": API,
        "kind": "MultimodalPipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"objects": {"uri": "s3://b/x/"}},
            "sink": {"lance": {"uri": "s3://lake/cats.lance"}},
            "run": {"suspend": True},
        },
    }


def job(name: str, ours: bool) -> Object:
    labels = {"app.kubernetes.io/managed-by": "lancemill-operator"} if ours else {}
    container = {"name": "c", "image": "x", "command": ["true"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


@dataclass
class Table:
    api: Api
    store: Store
    queue: WorkQueue[Key]
    metrics: Metrics
    resync: Resync

    async def queued(self) -> set[str]:
        """Names of all that is on the queue, which is empty then."""
        found = set()
        while self.queue.depth:
            key = await self.queue.get()
            assert key is not None
            found.add(key.name)
            self.queue.done(key)
        return found


@contextlib.asynccontextmanager
async def table(plane: ControlPlane, namespace: str, **where: Any) -> AsyncIterator[Table]:
    metrics, store, queue = Metrics(), Store(), WorkQueue[Key]()
    api = Api(await configure(str(plane.kubeconfig(**where))), metrics, timeout=20)
    picture = Picture(store, queue)
    resync = Resync(api, picture, (namespace,), metrics, structlog.get_logger(), 300)
    try:
        yield Table(api, store, queue, metrics, resync)
    finally:
        queue.close()
        await api.close()


def test_a_listing_makes_up_for_what_a_watch_has_missed(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str
) -> None:
    rest = control_plane.rest()
    pipelines = resource(API, "multimodalpipelines", namespace)

    async def play() -> None:
        async with table(control_plane, namespace) as here:
            for name in ("kept", "gone"):
                rest.create(pipelines, pipeline(name))
            assert await here.resync.once() == 2
            assert await here.queued() == {"kept", "gone"}
            rest.delete(f"{pipelines}/gone")
            rest.create(pipelines, pipeline("new"))
            rest.merge(f"{pipelines}/kept", {"metadata": {"labels": {"a": "b"}}})
            assert await here.resync.once() == 3
            assert here.store.places(PIPELINE) == {(namespace, "kept"), (namespace, "new")}
            assert await here.queued() == {"kept", "gone", "new"}, "the one that is gone as well"
            kept = here.store.get(PIPELINE, namespace, "kept")
            assert kept is not None
            assert kept["metadata"]["labels"] == {"a": "b"}
            assert await here.resync.once() == 0
            assert await here.queued() == {"kept", "new"}, "all are looked at each time"

    loops.run(play())


def test_of_foreign_kinds_only_our_own_objects_are_listed(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str
) -> None:
    jobs = resource("batch/v1", "jobs", namespace)

    async def play() -> None:
        async with table(control_plane, namespace) as here:
            for name, ours in (("ours", True), ("theirs", False)):
                control_plane.rest().create(jobs, job(name, ours))
            await here.resync.once()
            assert here.store.places(JOB) == {(namespace, "ours")}

    loops.run(play())


def test_a_long_list_is_read_in_pages(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str
) -> None:
    async def play() -> None:
        async with table(control_plane, namespace) as here:
            path = resource(API, "multimodalpipelines", namespace)
            for name in "abcde":
                control_plane.rest().create(path, pipeline(name))
            found = [one async for one in here.api.pages(PIPELINE, namespace, page=2)]
            assert [one["metadata"]["name"] for one in found] == list("abcde")
            assert {one["kind"] for one in found} == {"MultimodalPipeline"}

    loops.run(play())


def test_a_listing_that_fails_takes_nothing_away(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str
) -> None:
    async def play(proxy: FaultProxy) -> None:
        async with table(control_plane, namespace, server=proxy.url) as here:
            path = resource(API, "multimodalpipelines", namespace)
            control_plane.rest().create(path, pipeline("kept"))
            await here.resync.once()
            proxy.inject(lambda call: call.verb == "list", refuse(500), times=1)
            with pytest.raises(ApiError):
                await here.resync.once()
            assert here.store.places(PIPELINE) == {(namespace, "kept")}

    with fault_proxy(control_plane) as proxy:
        loops.run(play(proxy))


def test_who_may_not_is_told_so(control_plane: ControlPlane, namespace: str) -> None:
    async def play() -> None:
        async with table(control_plane, namespace, user="alice") as here:
            with pytest.raises(Forbidden, match="nodes is forbidden"):
                await here.api.list(NODE, None)

    loops.run(play())


def test_a_silent_watch_is_dead_if_the_api_server_answers(
    control_plane: ControlPlane, kuberay_crds: None, namespace: str
) -> None:
    async def play() -> None:
        async with table(control_plane, namespace) as here:
            ages = Ages((PIPELINE, JOB))
            dog = Watchdog(here.api, ages, namespace, 0.2, lambda: "")
            async with asyncio.timeout(60):
                assert "has been silent for" in await dog.run()
            assert dog.problem

    loops.run(play())


def test_a_silent_watch_is_left_alone_while_the_api_server_is_away(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with table(control_plane, namespace, server="https://127.0.0.1:1") as here:
            with pytest.raises(Unreachable):
                await here.api.list(PIPELINE, namespace)
            dog = Watchdog(here.api, Ages((PIPELINE,)), namespace, 0.1, lambda: "")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dog.run(), 2)
            assert dog.problem == ""

    loops.run(play())


def test_who_is_stuck_is_dead_too(control_plane: ControlPlane, namespace: str) -> None:
    async def play() -> None:
        async with table(control_plane, namespace) as here:
            dog = Watchdog(here.api, Ages((PIPELINE,)), namespace, 0.1, lambda: "stuck")
            async with asyncio.timeout(60):
                assert await dog.run() == "stuck"

    loops.run(play())


def test_what_we_write_is_told_to_those_whom_it_concerns() -> None:
    def dataset(version: str, ready: str) -> Object:
        metadata = {"name": "lake", "namespace": "n", "uid": "d", "resourceVersion": version}
        return {
            "metadata": metadata,
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }

    async def play() -> None:
        picture = Picture(Store(), WorkQueue[Key]())
        spec = {"sink": {"lance": {"dataset": "lake"}}}
        metadata = {"name": "cats", "namespace": "n", "uid": "p", "resourceVersion": "1"}
        picture.saw(PIPELINE, {"metadata": metadata, "spec": spec})
        picture.saw(DATASET, dataset("2", "Unknown"))
        while picture.queue.depth:
            key = await picture.queue.get()
            assert key is not None
            picture.queue.done(key)
        picture.wrote(DATASET, dataset("3", "True"))
        assert await picture.queue.get() == Key(PIPELINE, "n", "cats")
        assert picture.queue.depth == 0, "not the dataset itself"
        picture.queue.close()

    loops.run(play())
