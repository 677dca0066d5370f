"""The picture of watched objects: never older than what we wrote, never fuller than the world."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB
from lancemill_operator.parse.slim import LAST_APPLIED, slimmed
from lancemill_operator.store import Store

Object = dict[str, Any]


def body(name: str = "a", version: int = 1, uid: str = "u", **more: Any) -> Object:
    metadata = {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, **more.pop("metadata", {})}, **more}


def version(store: Store, name: str = "a") -> str | None:
    found = store.get(PIPELINE, "n", name)
    return found["metadata"]["resourceVersion"] if found else None


def child(name: str, owner: str, **more: Any) -> Object:
    owners = [{"uid": owner, "controller": True, "kind": "MultimodalPipeline", "name": "a"}]
    return body(name, uid=name, metadata={"ownerReferences": owners}, **more)


def test_what_we_wrote_stands_until_the_watch_has_come_that_far() -> None:
    store = Store()
    store.saw(PIPELINE, body(version=1))
    store.wrote(PIPELINE, body(version=5))
    assert version(store) == "5"
    store.saw(PIPELINE, body(version=3))
    assert version(store) == "5"
    store.saw(PIPELINE, body(version=5))
    store.saw(PIPELINE, body(version=6))
    assert version(store) == "6"


def test_an_answer_that_comes_after_its_own_event_changes_nothing() -> None:
    store = Store()
    for number in (1, 5, 6):
        store.saw(PIPELINE, body(version=number))
    store.wrote(PIPELINE, body(version=5))
    assert version(store) == "6"


def test_a_new_generation_is_newer_than_what_we_wrote() -> None:
    store = Store()
    store.saw(PIPELINE, body(version=1, metadata={"generation": 1}))
    store.wrote(PIPELINE, body(version=5, metadata={"generation": 1}))
    store.saw(PIPELINE, body(version=9, metadata={"generation": 2}))
    assert version(store) == "9"


def test_what_we_wrote_is_given_up_when_it_proves_old() -> None:
    store = Store()
    store.saw(PIPELINE, body(version=1))
    store.wrote(PIPELINE, body(version=5))
    store.distrust(PIPELINE, "n", "a")
    assert version(store) == "1"


def test_what_is_gone_stays_gone_whatever_comes_late() -> None:
    store = Store()
    store.saw(PIPELINE, body(version=1))
    store.lost(PIPELINE, "n", "a", "u")
    store.wrote(PIPELINE, body(version=2))
    store.saw(PIPELINE, body(version=1))
    store.listed(PIPELINE, body(version=1), store.moment)
    assert version(store) is None
    assert store.count(PIPELINE) == 0


def test_an_object_of_the_same_name_is_another_one() -> None:
    store = Store()
    store.saw(PIPELINE, body(version=1, uid="old"))
    store.wrote(PIPELINE, body(version=2, uid="old"))
    store.saw(PIPELINE, body(version=9, uid="new"))
    assert version(store) == "9"
    store.lost(PIPELINE, "n", "a", "old")
    assert version(store) == "9"


def test_children_are_found_by_their_controller() -> None:
    store = Store()
    store.saw(RAY_JOB, child("b", "u"))
    store.saw(RAY_JOB, child("a", "u"))
    store.saw(RAY_JOB, child("c", "other"))
    store.saw(JOB, child("j", "u"))
    assert [one["metadata"]["name"] for one in store.children(RAY_JOB, "u")] == ["a", "b"]
    assert [one["metadata"]["name"] for one in store.children(JOB, "u")] == ["j"]
    store.lost(RAY_JOB, "n", "a", "a")
    assert [one["metadata"]["name"] for one in store.children(RAY_JOB, "u")] == ["b"]


def test_a_child_that_we_made_is_there_before_the_watch_tells_of_it() -> None:
    store = Store()
    store.wrote(RAY_JOB, child("a", "u"))
    assert len(list(store.children(RAY_JOB, "u"))) == 1


def test_a_listing_finds_what_a_watch_has_missed() -> None:
    store = Store()
    store.saw(PIPELINE, body("kept", 1, "k"))
    store.saw(PIPELINE, body("gone", 1, "g"))
    since = store.moment
    candidates = store.places(PIPELINE)
    assert not store.listed(PIPELINE, body("kept", 1, "k"), since)
    assert store.listed(PIPELINE, body("new", 3, "n"), since)
    gone = store.purge(PIPELINE, {("n", "kept"), ("n", "new")}, candidates, since)
    assert [one["metadata"]["name"] for one in gone] == ["gone"]
    assert store.places(PIPELINE) == {("n", "kept"), ("n", "new")}


def test_a_listing_does_not_undo_what_happened_since_it_began() -> None:
    store = Store()
    store.saw(PIPELINE, body("changed", 1, "c"))
    since, candidates = store.moment, store.places(PIPELINE)
    store.saw(PIPELINE, body("changed", 2, "c"))
    store.saw(PIPELINE, body("made", 3, "m"))
    assert not store.listed(PIPELINE, body("changed", 1, "c"), since)
    assert version(store, "changed") == "2"
    assert store.purge(PIPELINE, {("n", "changed")}, candidates | {("n", "made")}, since) == []
    assert version(store, "made") == "3"


def test_pipelines_are_found_by_the_datasets_they_name() -> None:
    def naming(sink: str, *triggers: str) -> Object:
        run = {"triggers": [{"dataset": one} for one in triggers]}
        return {"sink": {"lance": {"dataset": sink}}, "run": run}

    store = Store()
    store.saw(PIPELINE, body("a", uid="a", spec=naming("lake", "raw")))
    store.saw(PIPELINE, body("b", uid="b", spec=naming("other", "lake")))
    assert store.users("n", "lake") == ["a", "b"]
    assert store.users("n", "raw") == ["a"]
    store.saw(PIPELINE, body("a", 2, uid="a", spec=naming("other")))
    assert store.users("n", "lake") == ["b"]
    assert store.users("n", "raw") == []
    store.lost(PIPELINE, "n", "b")
    assert store.users("n", "lake") == []
    assert store.users("n", "other") == ["a"]


def test_versions_are_committed_by_those_that_write() -> None:
    status = {"lastRun": {"datasetVersion": 3}, "runs": [{"datasetVersion": 7}, {}]}
    store = Store()
    store.saw(
        PIPELINE, body("a", uid="a", spec={"sink": {"lance": {"dataset": "x"}}}, status=status)
    )
    reader = {"run": {"triggers": [{"dataset": "x"}]}, "sink": {"lance": {"dataset": "y"}}}
    store.saw(PIPELINE, body("b", uid="b", spec=reader, status=status))
    assert store.committed("n", "x") == {"a": 7}


def test_of_objects_only_what_decisions_need_is_kept() -> None:
    annotations = {LAST_APPLIED: "{…}", "mine": "1"}
    whole = body(
        metadata={"managedFields": [{}], "annotations": annotations, "labels": {"a": "b"}},
        spec={"rayClusterSpec": {}},
        status={
            "jobStatus": "RUNNING",
            "rayClusterStatus": {"conditions": [{"type": "x"}], "endpoints": {}},
        },
    )
    slim = slimmed(RAY_JOB, whole)
    assert "spec" not in slim
    assert "managedFields" not in slim["metadata"]
    assert slim["metadata"]["annotations"] == {"mine": "1"}
    assert slim["status"]["rayClusterStatus"] == {"conditions": [{"type": "x"}]}
    assert slimmed(DATASET, whole)["spec"] == {"rayClusterSpec": {}}
    assert LAST_APPLIED in whole["metadata"]["annotations"], "the original is not touched"


class WatchThatLags(RuleBasedStateMachine):
    """A world whose news reaches the store late, in order, and sometimes not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.clock = 0
        self.life = 0
        self.truth: Object | None = None
        self.news: list[tuple[str, Object]] = []
        self.proven = 0
        """The newest version that we have been told of by an answer to ourselves."""

    def change(self, kind: str) -> None:
        assert self.truth is not None
        self.news.append((kind, self.truth))

    @rule()
    def somebody_writes(self) -> None:
        self.clock += 1
        kind = "MODIFIED" if self.truth else "ADDED"
        self.life += 0 if self.truth else 1
        self.truth = body(version=self.clock, uid=f"u{self.life}")
        self.change(kind)

    @precondition(lambda self: self.truth is not None)
    @rule()
    def somebody_deletes(self) -> None:
        self.change("DELETED")
        self.truth = None
        self.proven = 0

    @precondition(lambda self: self.store.get(PIPELINE, "n", "a") is not None)
    @rule(told_before=st.booleans())
    def we_write(self, told_before: bool) -> None:
        if self.truth is None or self.truth["metadata"] != self.known()["metadata"]:
            self.store.distrust(PIPELINE, "n", "a")
            self.proven = 0
            return
        self.clock += 1
        self.truth = body(version=self.clock, uid=f"u{self.life}")
        self.change("MODIFIED")
        if told_before:
            self.all_is_told()
        self.store.wrote(PIPELINE, self.truth)
        self.proven = self.clock

    @precondition(lambda self: self.truth is None)
    @rule(told_before=st.booleans())
    def we_create(self, told_before: bool) -> None:
        self.clock += 1
        self.life += 1
        self.truth = body(version=self.clock, uid=f"u{self.life}")
        self.change("ADDED")
        if told_before:
            self.all_is_told()
        self.store.wrote(PIPELINE, self.truth)

    def known(self) -> Object:
        found = self.store.get(PIPELINE, "n", "a")
        assert found is not None
        return found

    @precondition(lambda self: self.news)
    @rule()
    def the_watch_tells(self) -> None:
        kind, what = self.news.pop(0)
        if kind == "DELETED":
            self.store.lost(PIPELINE, "n", "a", what["metadata"]["uid"])
        else:
            self.store.saw(PIPELINE, what)

    @precondition(lambda self: self.news)
    @rule()
    def the_watch_tells_twice(self) -> None:
        kind, what = self.news[0]
        self.the_watch_tells()
        if kind != "DELETED" and (not self.news or self.news[0][0] != "DELETED"):
            self.store.saw(PIPELINE, what)

    @rule()
    def the_watch_is_cut_off_and_begins_anew(self) -> None:
        self.news.clear()
        if self.truth is not None:
            self.store.saw(PIPELINE, self.truth)
            self.store.relisted(PIPELINE, self.truth)
            assert version(self.store) == self.truth["metadata"]["resourceVersion"]
        self.all_is_listed()

    @rule()
    def all_is_listed(self) -> None:
        since, candidates = self.store.moment, self.store.places(PIPELINE)
        if self.truth is not None:
            self.store.listed(PIPELINE, self.truth, since)
        there = {("n", "a")} if self.truth else set()
        self.store.purge(PIPELINE, there, candidates, since)
        if self.truth is None:
            assert version(self.store) is None

    def all_is_told(self) -> None:
        while self.news:
            self.the_watch_tells()

    @invariant()
    def never_older_than_what_we_wrote(self) -> None:
        found = version(self.store)
        if self.proven and found is not None:
            assert int(found) >= self.proven

    def teardown(self) -> None:
        self.all_is_told()
        told = version(self.store)
        assert told == (self.truth["metadata"]["resourceVersion"] if self.truth else None)


TestWatchThatLags = WatchThatLags.TestCase
TestWatchThatLags.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
