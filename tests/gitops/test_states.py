"""Statuses that the operator's own decisions make, in every state, judged by Argo CD and kstatus.

The table is the design's: what Ready, Reconciling and Stalled mean to those who wait.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gitops.argocd import Document, health
from gitops.kstatus import AS_ARGO_CD_SAYS, kstatuses
from lancemill_api.status import PipelineStatus
from lancemill_operator import names
from lancemill_operator.facts import DatasetView, Deployment, Missing
from lancemill_operator.parse.documents import dumped
from support.simulated import Simulated, pipeline

pytestmark = pytest.mark.usefixtures("programs")


@dataclass
class Watched(Simulated):
    """A pipeline of which every status that was ever written is remembered."""

    said: list[tuple[int, PipelineStatus]] = field(default_factory=list)

    def _carry_out(self, what: object) -> None:
        super()._carry_out(what)  # type: ignore[arg-type]
        if isinstance(what, PipelineStatus):
            self.said.append((self.generation, what))

    def document(self) -> Document:
        return document(self.generation, self.status)


def document(generation: int, status: PipelineStatus) -> Document:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats", "namespace": "ns", "generation": generation},
        "status": dumped(status),
    }


def new(**run: object) -> Watched:
    world = Watched(pipeline(**run))
    world.settle_down()
    return world


def running(**run: object) -> Watched:
    world = new(**run)
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    return world


def stopped(world: Watched) -> Watched:
    """After an attempt was taken down and its ledger asked."""
    world.clear()
    world.settle_down()
    world.answer()
    world.settle_down()
    return world


def succeeded(**run: object) -> Watched:
    world = running(**run)
    world.succeed(world.only())
    world.settle_down()
    return world


def failed() -> Watched:
    world = running(retries=0)
    run = world.only().view.run
    world.ledgers[run].failed = "132 of 9800 rows failed"
    world.kuberay(world.only(), Deployment.FAILED, "FAILED", "AppFailed")
    world.settle_down()
    return stopped(world)


def waiting_for_retry() -> Watched:
    world = running()
    world.kuberay(world.only(), Deployment.FAILED, "FAILED", "AppFailed")
    world.settle_down()
    return stopped(world)


def suspended_while_running() -> Watched:
    world = running()
    world.edit(suspend=True)
    world.settle_down()
    return stopped(world)


def cancelled() -> Watched:
    world = running()
    current = world.status.current_run
    assert current is not None
    world.annotations[names.CANCEL_RUN] = current.id
    world.settle_down()
    return stopped(world)


def settling() -> Watched:
    world = running()
    world.succeed(world.only(), tells=False)
    world.settle_down()
    return world


def resumed() -> Watched:
    world = suspended_while_running()
    world.edit(suspend=False)
    world.settle_down()
    return world


def scheduled_and_run() -> Watched:
    world = new(schedule="0 13 * * *")
    world.wait(3700)
    world.settle_down()
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    world.succeed(world.only())
    world.settle_down()
    return world


def without_its_secret() -> Watched:
    world = Watched(pipeline())
    world.missing = (Missing("spec.source.objects.storage.secretRef.name", "Secret", "lake"),)
    world.settle_down()
    return world


def without_its_dataset() -> Watched:
    manifest = pipeline()
    manifest["spec"]["sink"] = {"lance": {"dataset": "lake"}}
    world = Watched(manifest)
    world.datasets = {"lake": DatasetView(name="lake", exists=True, problem="403", stalled=True)}
    world.settle_down()
    return world


def edited_and_not_seen() -> Watched:
    world = succeeded()
    world.generation += 1
    return world


def run_after_a_failure() -> Watched:
    world = failed()
    world.change(summary=[{"name": "n", "query": "select count(*) n from output"}])
    world.settle_down()
    return world


STATES: dict[str, tuple[Callable[[], Watched], str]] = {
    "starting": (new, "Progressing"),
    "running": (running, "Progressing"),
    "running, ready when accepted": (lambda: running(readiness="Accepted"), "Healthy"),
    "settling": (settling, "Progressing"),
    "waiting for a retry": (waiting_for_retry, "Progressing"),
    "succeeded": (succeeded, "Healthy"),
    "failed": (failed, "Degraded"),
    "cancelled": (cancelled, "Degraded"),
    "suspended before any run": (lambda: new(suspend=True), "Suspended"),
    "suspended while running": (suspended_while_running, "Suspended"),
    "resumed": (resumed, "Progressing"),
    "scheduled": (lambda: new(schedule="0 3 * * *"), "Healthy"),
    "scheduled, last run well": (scheduled_and_run, "Healthy"),
    "refused": (lambda: new(timeZone="Mars/Base"), "Degraded"),
    "without its secret": (without_its_secret, "Progressing"),
    "without its dataset": (without_its_dataset, "Progressing"),
    "edited and not seen": (edited_and_not_seen, "Progressing"),
    "run after a failure": (run_after_a_failure, "Progressing"),
}


def test_each_state_is_judged_as_the_table_says() -> None:
    documents = {name: made().document() for name, (made, _) in STATES.items()}
    expected = {name: judged for name, (_, judged) in STATES.items()}
    assert {name: health(one)[0] for name, one in documents.items()} == expected
    said = kstatuses(documents.values())
    found = {name: status for name, (status, _) in zip(documents, said, strict=True)}
    assert found == {name: AS_ARGO_CD_SAYS[judged] for name, judged in expected.items()}


def test_no_status_on_the_way_there_is_judged_differently_by_both() -> None:
    documents = [
        document(generation, status)
        for made, _ in STATES.values()
        for generation, status in made().said
    ]
    assert len(documents) > 2 * len(STATES)
    judged = [AS_ARGO_CD_SAYS[health(one)[0]] for one in documents]
    assert [status for status, _ in kstatuses(documents)] == judged


def test_a_run_looks_finished_in_no_status_before_its_end() -> None:
    world = settling()
    assert world.said
    for generation, status in world.said:
        assert health(document(generation, status))[0] == "Progressing"


def test_who_waits_for_somebody_is_told_for_what() -> None:
    assert "there is no Secret 'lake'" in health(without_its_secret().document())[1]
    assert "LanceDataset lake is not ready: 403" in health(without_its_dataset().document())[1]
    assert "Mars/Base" in health(new(timeZone="Mars/Base").document())[1]
    assert "132 of 9800 rows failed" in health(failed().document())[1]
