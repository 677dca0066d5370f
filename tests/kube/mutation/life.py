"""What was accepted, led through the operator's decisions: nothing raises, and all come to rest.

Edits come while runs go on. KubeRay, drivers and ledgers are those of `support.simulated`; whether
an attempt succeeds, fails, or dies without a word is drawn beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from kube.rest import Object
from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import Condition, DatasetStatus
from lancemill_operator import names
from lancemill_operator.actions import Create, Want
from lancemill_operator.decide.dataset import decide_dataset
from lancemill_operator.facts import DatasetFacts, DatasetView, Deployment, ProbeView
from lancemill_operator.parse import documents
from lancemill_operator.parse.relations import datasets_of
from support.simulated import DEFAULTS, START, Job, Simulated

Fate = Literal["succeeds", "fails", "dies"]
FATES: tuple[Fate, ...] = ("succeeds", "fails", "dies")
STEPS = 80
"""Looks after which a pipeline must have come to rest: all its retries included."""
GOOD = {"ok": True, "exists": True, "version": 3, "rows": 10, "fragments": 1}


class NoRest(AssertionError):
    """It goes on and on, or says nothing of why it waits."""


@dataclass
class Edited(Simulated):
    """A pipeline whose manifest is what an API server has accepted, right or not."""

    fates: Iterator[Fate] = field(default_factory=lambda: iter(()))

    def read(self) -> tuple[MultimodalPipeline | None, tuple[str, ...]]:
        return documents.resource(MultimodalPipeline, self.manifest)

    def apply(self, document: Object) -> None:
        """`kubectl apply` of another specification; the datasets that it names are there."""
        changed = document["spec"] != self.manifest.get("spec")
        self.manifest = {**document, "metadata": {"name": "cats"}}
        self.generation += changed
        self.datasets = {
            name: DatasetView(name=name, exists=True, ready=True, version=1)
            for name in datasets_of(document["spec"])
        }

    def rest(self) -> None:
        """On and on until there is nothing left to do but wait for somebody, or for a time."""
        for _ in range(STEPS):
            self.settle_down()
            self.clear()
            self.check()
            if self.is_at_rest():
                return
            for job in list(self.jobs.values()):
                self._live(job)
            self.answer()
            self.wait(61)
        raise NoRest(f"{self.status}")

    def is_at_rest(self) -> bool:
        current = self.status.current_run
        return current is None or current.state == "Suspended"

    def _live(self, job: Job) -> None:
        over = job.view.deployment in (Deployment.COMPLETE, Deployment.FAILED)
        if over or job.view.deleting:
            return
        if job.view.deployment == Deployment.NEW:
            self.kuberay(job, Deployment.RUNNING, "RUNNING")
            return
        match next(self.fates, "succeeds"):
            case "succeeds":
                self.succeed(job)
            case "fails":
                self.ledgers[job.view.run].failed = "132 of 9800 rows failed"
                self.kuberay(job, Deployment.FAILED, "FAILED", "AppFailed")
            case "dies":
                self.kuberay(job, Deployment.FAILED, "FAILED", "JobStatusCheckTimeoutExceeded")


def pipeline_lives(states: Sequence[Object], fates: Sequence[Fate]) -> Edited:
    """A pipeline through all its edits: the odd ones come while a run goes on. Raises NoRest."""
    world = Edited(states[0], fates=iter(fates))
    for at, document in enumerate(states):
        world.apply(document)
        if at % 2:
            world.settle_down()
            for job in list(world.jobs.values()):
                world._live(job)
        else:
            world.rest()
            says_why(world.status.conditions)
    world.rest()
    says_why(world.status.conditions)
    return world


def dataset_lives(states: Sequence[Object], fates: Sequence[Fate]) -> DatasetStatus:
    """A dataset through all its edits; what a probe finds is drawn. Raises NoRest."""
    said, now, answers = DatasetStatus(), START, iter(fates)
    for generation, document in enumerate(states, 1):
        probes: tuple[ProbeView, ...] = ()
        body = {**document, "metadata": {"name": "cats"}}
        for _ in range(STEPS):
            model, mistakes = documents.resource(LanceDataset, body)
            facts = DatasetFacts(
                identity=documents.identity(
                    {
                        "metadata": {
                            "name": "cats",
                            "namespace": "ns",
                            "uid": "u",
                            "generation": generation,
                        }
                    }
                ),
                dataset=model,
                document=body,
                mistakes=mistakes,
                status=said,
                looked=frozenset({Want.PREFLIGHT, Want.PROBES}),
                missing=(),
                probes=probes,
            )
            decision = decide_dataset(facts, now, DEFAULTS)
            assert not decision.wants
            calm = decision.status == said and not decision.actions
            said = decision.status
            if calm:
                break
            probes = tuple(_answered(one, next(answers, "succeeds")) for one in probes)
            probes += tuple(_asked(decision.actions))
            now += timedelta(seconds=11)
        else:
            raise NoRest(f"{said}")
        says_why(said.conditions)
    return said


def _asked(actions: Sequence[Any]) -> Iterator[ProbeView]:
    for action in actions:
        if isinstance(action, Create) and action.body["kind"] == "Job":
            metadata = action.body["metadata"]
            labels = metadata["labels"]
            yield ProbeView(metadata["name"], labels[names.PURPOSE], labels[names.TOKEN])


def _answered(probe: ProbeView, fate: Fate) -> ProbeView:
    if probe.finished:
        return probe
    if fate == "dies":
        return replace(probe, finished=True, problem="its pod left no answer")
    wrong = {"ok": False, "problem": "AccessDenied", "message": "403"}
    return replace(probe, finished=True, answer=GOOD if fate == "succeeds" else wrong)


def says_why(conditions: Sequence[Condition]) -> None:
    """It is done, or stuck, or at work: one of them, with a reason and, where it is not done,
    a message."""
    found = {one.type: one for one in conditions}
    ready, stalled, at_work = (found[kind] for kind in ("Ready", "Stalled", "Reconciling"))
    state = (ready.status, stalled.status, at_work.status)
    if state not in (
        ("True", "False", "False"),
        ("False", "True", "False"),
        ("Unknown", "False", "True"),
    ):
        raise NoRest(f"{state}: {ready}")
    if not ready.reason or (ready.status != "True" and not ready.message):
        raise NoRest(f"without a reason: {ready}")
