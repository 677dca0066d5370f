"""One reconcile on a real API server: what is written, in which order, and when nothing is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from kube import loops
from kube.control_plane import ControlPlane
from kube.fault_proxy import FaultProxy, fault_proxy
from kube.faults import refuse
from kube.rest import resource
from lancemill_api.status import CurrentRun, DatasetStatus, PipelineStatus
from lancemill_operator import names
from lancemill_operator.act import Hand, NameTaken
from lancemill_operator.actions import Action, Apply, Create, Decision, Delete, Emit, Want
from lancemill_operator.api import Api, Conflict, configure
from lancemill_operator.facts import DatasetFacts, Identity, PipelineFacts
from lancemill_operator.keys import Key
from lancemill_operator.kinds import CONFIG_MAP, PIPELINE, POD, SECRET
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.metrics import Metrics
from lancemill_operator.picture import Picture
from lancemill_operator.preflight import Preflight
from lancemill_operator.progress import ByProxy, Poller
from lancemill_operator.queue import WorkQueue
from lancemill_operator.reconcile import NeverContent, Reconciler, Stale
from lancemill_operator.store import Store
from lancemill_operator.world import World

Object = dict[str, Any]
NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PIPELINE_BODY: Object = {
    "apiVersion": "lancemill.dev/v1alpha1",
    "kind": "MultimodalPipeline",
    "metadata": {"name": "cats"},
    "spec": {
        "source": {
            "objects": {"uri": "s3://b/x/", "storage": {"secretRef": {"name": "credentials"}}}
        },
        "sink": {"lance": {"uri": "s3://lake/cats.lance"}},
    },
}


@dataclass
class Script:
    """A decision that a test writes."""

    decision: Decision[PipelineStatus]
    seen: list[PipelineFacts] = field(default_factory=list)
    wants: frozenset[Want] = frozenset()

    def __call__(
        self, facts: PipelineFacts, now: datetime, defaults: Defaults
    ) -> Decision[PipelineStatus]:
        self.seen.append(facts)
        missing = self.wants - facts.looked
        return Decision(facts.status, wants=missing) if missing else self.decision


def no_dataset(facts: DatasetFacts, now: datetime, defaults: Defaults) -> Decision[DatasetStatus]:
    return Decision(facts.status)


@dataclass
class Bench:
    """A reconciler whose picture a test paints."""

    namespace: str
    api: Api
    store: Store
    metrics: Metrics
    script: Script
    reconciler: Reconciler

    @property
    def key(self) -> Key:
        return Key(PIPELINE, self.namespace, "cats")

    async def live(self) -> Object:
        return await self.api.get(PIPELINE, self.namespace, "cats")

    async def see(self) -> Object:
        """The watch has come to now."""
        body = await self.live()
        self.store.saw(PIPELINE, body)
        return body

    def decide(self, *actions: Action, **more: Any) -> None:
        status = more.pop("status", None) or PipelineStatus()
        self.script.decision = Decision(status, actions=actions, **more)

    async def reconcile(self) -> timedelta | None:
        return await self.reconciler.reconcile(self.key)

    def calls(self, verb: str, kind: str) -> float:
        return sum(
            sample.value
            for family in self.metrics.calls.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
            and (sample.labels["verb"], sample.labels["kind"]) == (verb, kind)
        )

    def all_calls(self) -> float:
        return sum(
            sample.value
            for family in self.metrics.calls.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )


@contextlib.asynccontextmanager
async def bench(
    plane: ControlPlane, namespace: str, server: str | None = None
) -> AsyncIterator[Bench]:
    metrics, store, script = Metrics(), Store(), Script(Decision(PipelineStatus()))
    api = Api(await configure(str(plane.kubeconfig(server=server))), metrics)
    poller = Poller(ByProxy(api, 8787, 2.0), 5.0)
    picture = Picture(store, WorkQueue())
    reconciler = Reconciler(
        api=api,
        picture=picture,
        world=World(api, store, Preflight(api, Defaults()), poller),
        hand=Hand(api, picture),
        metrics=metrics,
        log=structlog.get_logger(),
        defaults=Defaults(),
        decide_pipeline=script,
        decide_dataset=no_dataset,
        again=lambda key: None,
        clock=lambda: NOW,
    )
    made = Bench(namespace, api, store, metrics, script, reconciler)
    await api.create(PIPELINE, namespace, PIPELINE_BODY)
    await made.see()
    try:
        yield made
    finally:
        await poller.close()
        await api.close()


def config_map(name: str = "made", uid: str | None = None) -> Object:
    owners = [
        {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "MultimodalPipeline",
            "name": "cats",
            "uid": uid,
            "controller": True,
        }
    ]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "data": {"a": "b"},
        "metadata": {"name": name} | ({"ownerReferences": owners} if uid else {}),
    }


def test_the_status_is_written_before_anything_is_done(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            wrong = config_map("Not a name")
            table.decide(Create(wrong), status=PipelineStatus(phase="Starting"))
            with pytest.raises(Exception, match="Not a name"):
                await table.reconcile()
            assert (await table.live())["status"]["phase"] == "Starting"

    loops.run(play())


def test_what_we_wrote_is_known_before_the_watch_tells_of_it(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.decide(status=PipelineStatus(phase="Starting"))
            await table.reconcile()
            before = table.all_calls()
            await table.reconcile()
            assert table.script.seen[-1].status.phase == "Starting"
            await table.see()
            await table.reconcile()
            assert table.all_calls() - before == 1, "only the test's own GET"

    loops.run(play())


def test_a_status_onto_what_has_changed_is_refused_and_nothing_is_done(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            control_plane.rest().merge(
                resource("lancemill.dev/v1alpha1", "multimodalpipelines", namespace, "cats"),
                {"metadata": {"labels": {"changed": "yes"}}},
            )
            table.decide(Create(config_map()), status=PipelineStatus(phase="Starting"))
            with pytest.raises(Conflict):
                await table.reconcile()
            assert "phase" not in (await table.live()).get("status", {})
            assert not await table.api.exists(CONFIG_MAP, namespace, "made")
            await table.see()
            await table.reconcile()
            assert await table.api.exists(CONFIG_MAP, namespace, "made")

    loops.run(play())


def test_a_picture_that_lags_behind_makes_nothing(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            old = await table.live()
            path = resource("lancemill.dev/v1alpha1", "multimodalpipelines", namespace, "cats")
            control_plane.rest().merge(path, {"metadata": {"labels": {"changed": "yes"}}})
            table.decide(Create(config_map()), status=table.script.decision.status)
            with pytest.raises(Stale):
                await table.reconcile()
            assert not await table.api.exists(CONFIG_MAP, namespace, "made")
            await table.reconcile()
            seen = table.script.seen[-1].identity.labels
            assert seen == {"changed": "yes"}, "it was read live"
            assert await table.api.exists(CONFIG_MAP, namespace, "made")
            control_plane.rest().delete(path)
            table.store.saw(PIPELINE, old)
            table.decide(Create(config_map("late")))
            with pytest.raises(Stale):
                await table.reconcile()
            assert await table.reconcile() is None
            assert not await table.api.exists(CONFIG_MAP, namespace, "late")

    loops.run(play())


def test_where_nothing_changes_nothing_is_called(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.decide(look_again=timedelta(seconds=7))
            before = table.all_calls()
            assert await table.reconcile() == timedelta(seconds=7)
            assert table.all_calls() == before

    loops.run(play())


def test_what_is_made_twice_is_there_once_and_what_others_made_is_left_alone(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            uid = (await table.live())["metadata"]["uid"]
            table.decide(Create(config_map("ours", uid)))
            await table.reconcile()
            await table.reconcile()
            await table.api.create(CONFIG_MAP, namespace, config_map("theirs"))
            table.decide(Create(config_map("theirs", uid)))
            with pytest.raises(NameTaken, match="ConfigMap theirs exists and is not of cats"):
                await table.reconcile()

    loops.run(play())


def test_of_what_is_deleted_the_uid_must_be_right(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            made = await table.api.create(CONFIG_MAP, namespace, config_map("made"))
            table.decide(Delete("v1", "ConfigMap", "made", "another-uid"))
            await table.reconcile()
            assert await table.api.exists(CONFIG_MAP, namespace, "made")
            table.decide(Delete("v1", "ConfigMap", "made", made["metadata"]["uid"]))
            await table.reconcile()
            await table.reconcile()
            assert not await table.api.exists(CONFIG_MAP, namespace, "made")

    loops.run(play())


def test_a_conflict_does_not_pass_for_the_end_of_what_is_to_be_deleted(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play(proxy: FaultProxy) -> None:
        async with bench(control_plane, namespace, proxy.url) as table:
            made = await table.api.create(CONFIG_MAP, namespace, config_map("made"))
            table.decide(Delete("v1", "ConfigMap", "made", made["metadata"]["uid"]))
            proxy.inject(lambda call: call.verb == "delete", refuse(409))
            with pytest.raises(Conflict):
                await table.reconcile()
            await table.reconcile()
            assert not await table.api.exists(CONFIG_MAP, namespace, "made")

    with fault_proxy(control_plane) as proxy:
        loops.run(play(proxy))


def test_before_a_status_forgets_something_it_is_removed(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            await table.api.create(CONFIG_MAP, namespace, config_map("made"))
            path = resource("lancemill.dev/v1alpha1", "multimodalpipelines", namespace, "cats")
            table.decide(
                before=(Delete("v1", "ConfigMap", "made"),), status=PipelineStatus(phase="Done")
            )
            control_plane.rest().merge(path, {"metadata": {"labels": {"changed": "yes"}}})
            with pytest.raises(Stale):
                await table.reconcile()
            assert await table.api.exists(CONFIG_MAP, namespace, "made"), "decided on an old state"
            await table.reconcile()
            assert not await table.api.exists(CONFIG_MAP, namespace, "made")
            assert (await table.live())["status"]["phase"] == "Done"

    loops.run(play())


def test_an_event_is_told_once_for_each_token(control_plane: ControlPlane, namespace: str) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.decide(Emit("Normal", "RunStarted", "x" * 5000, "r1"))
            await table.reconcile()
            await table.reconcile()
            table.decide(Emit("Normal", "RunStarted", "again", "r2"))
            await table.reconcile()
            events = control_plane.rest().get(resource("v1", "events", namespace))["items"]
            assert sorted(len(one["message"]) for one in events) == [5, 1024]
            assert {one["involvedObject"]["name"] for one in events} == {"cats"}
            assert {one["reportingComponent"] for one in events} == {
                "lancemill.dev/lancemill-operator"
            }

    loops.run(play())


def test_what_is_applied_belongs_to_our_manager(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.decide(Apply(config_map("applied")), status=PipelineStatus(phase="Starting"))
            await table.reconcile()
            for kind, name in ((CONFIG_MAP, "applied"), (PIPELINE, "cats")):
                body = await table.api.get(kind, namespace, name)
                managers = {
                    (one["manager"], one["operation"], one.get("subresource"))
                    for one in body["metadata"]["managedFields"]
                }
                sub = "status" if kind is PIPELINE else None
                assert ("lancemill-operator", "Apply", sub) in managers

    loops.run(play())


def test_secrets_are_looked_for_and_never_read(control_plane: ControlPlane, namespace: str) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.script.wants = frozenset({Want.PREFLIGHT})
            table.decide()
            await table.reconcile()
            missing = table.script.seen[-1].missing
            assert missing is not None
            assert [(one.path, one.kind, one.name) for one in missing] == [
                ("spec.source.objects.storage.secretRef.name", "Secret", "credentials")
            ]
            secret = {"metadata": {"name": "credentials"}, "stringData": {"key": "hunter2"}}
            await table.api.create(SECRET, namespace, secret)
            await table.reconcile()
            assert table.script.seen[-1].missing == ()
            looked = table.calls("get", "Secret")
            await table.reconcile()
            assert table.calls("get", "Secret") == looked, "that it exists is remembered"

    loops.run(play())


def test_of_a_secret_the_api_server_sends_metadata_only(
    control_plane: ControlPlane, namespace: str
) -> None:
    class Listening(Api):
        answers: list[Object]

        async def _json(self, *arguments: Any, **more: Any) -> Object:
            found = await super()._json(*arguments, **more)
            self.answers.append(found)
            return found

    async def play() -> None:
        api = Listening(await configure(str(control_plane.kubeconfig())))
        api.answers = []
        try:
            secret = {"metadata": {"name": "credentials"}, "stringData": {"key": "hunter2"}}
            await api.create(SECRET, namespace, secret)
            api.answers.clear()
            assert await api.exists(SECRET, namespace, "credentials")
        finally:
            await api.close()
        assert [one["kind"] for one in api.answers] == ["PartialObjectMetadata"]
        assert "data" not in api.answers[0]

    loops.run(play())


def test_a_decision_that_is_never_content_is_an_error_and_no_loop(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            table.script.decision = Decision(PipelineStatus(), wants=frozenset({Want.PODS}))
            with pytest.raises(NeverContent, match="pods"):
                await table.reconcile()

    loops.run(play())


def test_ends_of_runs_are_counted_once_when_they_are_written(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            run = {"id": "r", "result": "Succeeded", "endTime": "2026-11-21T10:00:00Z"}
            table.decide(status=PipelineStatus.model_validate({"lastRun": run}))
            await table.reconcile()
            await table.reconcile()
            assert table.metrics.ends() == {(namespace, "cats"): {"Succeeded": 1}}

    loops.run(play())


def test_one_look_at_a_namespaces_pods_serves_all_who_wait_in_it(
    control_plane: ControlPlane, namespace: str
) -> None:
    async def play() -> None:
        async with bench(control_plane, namespace) as table:
            world = World(
                table.api, table.store, Preflight(table.api, Defaults()), Poller(Nobody(), 5.0)
            )
            for uid in ("one", "two"):
                meta = {"name": uid, "labels": {names.PIPELINE_UID: uid}}
                spec = {"containers": [{"name": "a", "image": "b"}]}
                await table.api.create(POD, namespace, {"metadata": meta, "spec": spec})
            waits = waiting(namespace, "one"), waiting(namespace, "two")
            seen = [
                await world.look_at_pipeline(facts, Want.PODS, NOW, lambda: None)
                for facts in (*waits, *waits)
            ]
            assert [[pod.name for pod in facts.pods or ()] for facts in seen] == [
                *(["one"], ["two"]),
                *(["one"], ["two"]),
            ]
            assert table.calls("list", "Pod") == 1
            assert all(facts.clusters is None for facts in seen), "they were not looked at"

            gone = replace(waits[0], status=PipelineStatus(phase="Stopping"))
            found = await world.look_at_pipeline(gone, Want.PODS, NOW, lambda: None)
            assert table.calls("list", "Pod") == 2, "what is to be gone is looked at live"
            assert found.clusters == ()

    loops.run(play())


def waiting(namespace: str, uid: str) -> PipelineFacts:
    current = CurrentRun(id="0123456789", attempt=1, state="Starting")
    identity = Identity(namespace=namespace, name=uid, uid=uid, generation=1)
    return PipelineFacts(
        identity=identity,
        pipeline=None,
        document={},
        status=PipelineStatus(phase="Starting", current_run=current),
    )


class Nobody:
    """Heads that nobody asks."""

    async def ask(self, namespace: str, cluster: str) -> bytes:
        raise AssertionError(cluster)

    async def close(self) -> None: ...
