"""The state of a LanceDataset: asked for once for each thing there is to know, told truthfully."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lancemill_api.manifest import load
from lancemill_api.status import DatasetStatus
from lancemill_operator import names
from lancemill_operator.actions import Create, Emit, Want
from lancemill_operator.decide import decide_dataset
from lancemill_operator.facts import DatasetFacts, Identity, Missing, ProbeView
from lancemill_operator.manifests import Defaults
from lancemill_operator.manifests.probe import dataset_manifest_name
from lancemill_operator.status import find

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DOCUMENT = {
    "apiVersion": names.API_VERSION,
    "kind": "LanceDataset",
    "metadata": {"name": "cats-224"},
    "spec": {"uri": "s3://lake/cats-224.lance"},
}
GOOD = {
    "ok": True,
    "exists": True,
    "version": 8,
    "rows": 12391,
    "fragments": 62,
    "liveBytes": 1_900_000_000,
    "physicalBytes": 2_000_000_000,
    "formatVersion": "2.2",
    "schema": [{"name": "key", "type": "string"}],
    "tags": {},
    "lastCommit": {"run": "7f3a", "pipeline": "cats", "version": 8},
}


class Dataset:
    """One dataset, its Jobs, and the time."""

    def __init__(self) -> None:
        (dataset,) = load(_text(), "test").datasets
        self.now = START
        self.jobs: dict[str, ProbeView] = {}
        self.events: list[Emit] = []
        self.removed: list[str] = []
        self.facts = DatasetFacts(
            identity=Identity("ns", "cats-224", "uid-1", 1),
            dataset=dataset,
            document=DOCUMENT,
            status=DatasetStatus(),
        )

    def settle(self) -> timedelta | None:
        """Decide and carry out until nothing changes."""
        for _ in range(10):
            before = (self.facts.status, dict(self.jobs))
            looked = frozenset({Want.PREFLIGHT, Want.PROBES})
            seen = replace(self.facts, looked=looked, probes=tuple(self.jobs.values()))
            decision = decide_dataset(seen, self.now, Defaults())
            self.removed += [one.name for one in decision.before]
            self.facts = replace(self.facts, status=decision.status)
            for action in decision.actions:
                self._carry_out(action)
            if before == (self.facts.status, self.jobs):
                return decision.look_again
        raise AssertionError("no rest")

    def _carry_out(self, action: object) -> None:
        if isinstance(action, Emit):
            self.events.append(action)
        elif isinstance(action, Create) and action.body["kind"] == "Job":
            meta = action.body["metadata"]
            view = ProbeView(meta["name"], "dataset", meta["labels"][names.TOKEN], created=self.now)
            self.jobs.setdefault(meta["name"], view)

    def answers(self, answer: dict[str, Any] | None, problem: str = "") -> None:
        """Every Job that runs ends with this answer."""
        for name, job in self.jobs.items():
            if not job.finished:
                self.jobs[name] = replace(job, finished=True, answer=answer, problem=problem)
        self.settle()

    def commits(self, version: int) -> None:
        """A pipeline says that it committed that version."""
        self.facts = replace(self.facts, committed={"cats": version})

    def edits(self) -> None:
        """The specification changes."""
        identity = replace(self.facts.identity, generation=self.facts.identity.generation + 1)
        self.facts = replace(self.facts, identity=identity)

    def says(self, kind: str) -> tuple[str, str]:
        found = find(self.facts.status.conditions, kind)
        return (found.status, found.reason)


def _text() -> str:
    import json

    return json.dumps(DOCUMENT)


@pytest.fixture
def dataset() -> Dataset:
    made = Dataset()
    made.settle()
    return made


def test_a_new_dataset_is_looked_at_once_and_what_was_found_is_told(dataset):
    assert (len(dataset.jobs), dataset.says("Reconciling")) == (1, ("True", "Looking"))
    dataset.answers(GOOD)
    status = dataset.facts.status
    assert (status.version, status.rows, status.size) == (8, 12391, "1.9 GB")
    assert status.last_commit.text == "cats/7f3a"
    assert status.schema_[0].name == "key"
    assert dataset.says("Ready") == ("True", "Ready")
    assert len(dataset.jobs) == 1
    assert [event.reason for event in dataset.events] == ["DatasetReady"]


def test_a_dataset_that_does_not_exist_yet_is_ready_for_its_first_writer(dataset):
    dataset.answers({"ok": True, "exists": False})
    assert dataset.says("Ready") == ("True", "Ready")
    assert dataset.facts.status.version is None


def test_a_commit_makes_it_looked_at_again_without_ceasing_to_be_ready(dataset):
    dataset.answers(GOOD)
    dataset.commits(9)
    dataset.settle()
    assert len(dataset.jobs) == 2
    assert dataset.says("Ready") == ("True", "Ready")
    dataset.answers(GOOD | {"version": 9})
    assert dataset.facts.status.version == 9
    dataset.settle()
    assert len(dataset.jobs) == 2


def test_an_answer_that_is_behind_the_commit_is_not_asked_for_again_and_again(dataset):
    dataset.answers(GOOD)
    dataset.commits(9)
    dataset.settle()
    dataset.answers(GOOD)
    dataset.settle()
    assert len(dataset.jobs) == 2


def test_an_edit_makes_it_looked_at_again(dataset):
    dataset.answers(GOOD)
    dataset.edits()
    dataset.settle()
    assert (len(dataset.jobs), dataset.says("Reconciling")[0]) == (2, "True")
    dataset.answers(GOOD)
    assert dataset.facts.status.observed_generation == 2
    assert dataset.removed == [dataset_manifest_name(dataset.facts.identity, 1)]


def test_it_is_looked_at_after_a_while_though_nothing_was_heard(dataset):
    dataset.answers(GOOD)
    assert dataset.settle() == timedelta(hours=6)
    dataset.now += timedelta(hours=6)
    dataset.settle()
    assert len(dataset.jobs) == 2
    dataset.answers(GOOD)
    assert dataset.settle() == timedelta(hours=6)


@pytest.mark.parametrize(
    "problem", ["SchemaDrift", "StorageUnsupported", "AccessDenied", "BucketMissing"]
)
def test_each_problem_is_a_condition_of_its_own_and_goes_when_it_is_mended(dataset, problem):
    dataset.answers({"ok": False, "problem": problem, "message": "column x is gone"})
    assert dataset.says(problem) == ("True", problem)
    assert dataset.says("Ready") == ("False", problem)
    assert dataset.says("Stalled") == ("True", problem)
    others = {"SchemaDrift", "StorageUnsupported", "AccessDenied", "BucketMissing"} - {problem}
    assert all(dataset.says(other)[0] == "False" for other in others)
    dataset.now += timedelta(seconds=11)
    dataset.settle()
    dataset.answers(GOOD)
    assert dataset.says(problem)[0] == "False"
    assert dataset.says("Ready") == ("True", "Ready")


def test_a_job_that_ends_without_a_word_is_told_and_asked_again_with_growing_pauses(dataset):
    for number, pause in enumerate([10, 20, 40, 80, 160, 300, 300]):
        assert len(dataset.jobs) == number + 1
        dataset.answers(None, problem="OOMKilled")
        assert find(dataset.facts.status.conditions, "Ready").message == "OOMKilled"
        dataset.now += timedelta(seconds=pause - 1)
        dataset.settle()
        assert len(dataset.jobs) == number + 1
        dataset.now += timedelta(seconds=1)
        dataset.settle()


def test_an_answer_of_the_wrong_shape_is_no_answer(dataset):
    dataset.answers({"ok": True, "exists": True, "version": "eight"})
    assert dataset.says("Ready") == ("False", "ProbeFailed")


def test_a_secret_that_is_not_there_is_told_before_a_job_is_made():
    dataset = Dataset()
    place = "spec.storage.secretRef.name"
    dataset.facts = replace(dataset.facts, missing=(Missing(place, "Secret", "lake"),))
    dataset.settle()
    assert (dataset.jobs, dataset.says("Reconciling")) == ({}, ("True", "SecretNotFound"))


def test_a_manifest_that_the_models_refuse_is_told():
    dataset = Dataset()
    dataset.facts = replace(dataset.facts, dataset=None, mistakes=("spec.uri  is wrong",))
    dataset.settle()
    assert dataset.says("Stalled") == ("True", "InvalidManifest")
