"""What users, clocks and drivers do that nobody foresaw: each was found by trying to break it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from lancemill_api.run import Run
from lancemill_api.status import PipelineStatus
from lancemill_operator import names
from lancemill_operator.actions import Delete
from lancemill_operator.decide import decide_pipeline, schedule
from lancemill_operator.facts import DatasetView, Deployment, Verdict
from lancemill_operator.parse import documents, outcomes, rayjobs
from lancemill_operator.status import (
    CREATE_REFUSED,
    Said,
    refusal,
    with_degraded,
    without_refusal,
)
from support.simulated import DEFAULTS, START, Simulated, pipeline

MONTH = timedelta(days=30)


def running(**run: object) -> Simulated:
    world = Simulated(pipeline(**run))
    world.settle_down()
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    return world


def finished(**run: object) -> Simulated:
    world = running(**run)
    world.succeed(world.only())
    world.settle_down()
    return world


def take_away(world: Simulated) -> None:
    """Until nothing of earlier runs is left."""
    world.clear()
    world.last_word = None
    world.settle_down()


def valid(status: PipelineStatus) -> PipelineStatus:
    """The status as an API server would take it, or not."""
    return PipelineStatus.model_validate(documents.dumped(status))


# -- schedules


@pytest.mark.parametrize(
    ("cron", "zone", "began"),
    [
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T10:00:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T10:00:00Z"),
        ("15 2 * * 0", "Europe/Berlin", "2026-10-24T10:00:00Z"),
        ("30 1 * * *", "America/New_York", "2026-10-31T10:00:00Z"),
        ("0 * * * *", "America/New_York", "2026-10-31T20:00:00Z"),
        ("*/30 1-3 * * *", "Australia/Lord_Howe", "2026-04-04T05:00:00Z"),
        ("@daily", "America/Havana", "2026-10-31T20:00:00Z"),
    ],
)
def test_where_clocks_are_put_back_or_forward_each_time_comes_once_and_as_it_was_promised(
    cron: str, zone: str, began: str
) -> None:
    run = Run.model_validate({"schedule": cron, "timeZone": zone})
    start = answered = datetime.fromisoformat(began)
    promised, came = [], []
    now = start
    while now < start + timedelta(hours=40):
        found = schedule.due(run, answered, now)
        if found.start is not None:
            came.append(found.start)
            answered = found.start
        assert found.next is not None
        assert found.next > now, "a time that has passed is not the next one"
        promised.append(found.next)
        now += timedelta(minutes=10, seconds=7)
    assert came == sorted(set(came))
    assert [one for one in dict.fromkeys(promised) if one < now][: len(came)] == came
    assert came == [one for one in _forwards(cron, zone, start) if one < now][: len(came)]


def _forwards(cron: str, zone: str, start: datetime) -> list[datetime]:
    times = CronSim(schedule.MACROS.get(cron, cron), start.astimezone(ZoneInfo(zone)))
    return [next(times).astimezone(UTC) for _ in range(60)]


def test_what_was_missed_while_suspended_for_a_month_is_made_up_for_once() -> None:
    world = Simulated(pipeline(schedule="0 3 * * *", suspend=True))
    world.settle_down()
    world.wait(MONTH.total_seconds())
    world.settle_down()
    assert not world.made
    world.edit(suspend=False)
    world.settle_down()
    assert len(world.made) == 1
    world.succeed(world.only())
    world.settle_down()
    take_away(world)
    assert len(world.made) == 1


# -- requests and triggers


@pytest.mark.parametrize("requested", ["x" * 100_000, "  ", "ümläut 🦊\n" * 200])
def test_any_text_may_ask_for_a_run_and_asks_for_one(requested: str) -> None:
    world = finished()
    take_away(world)
    world.annotations[names.RUN_REQUESTED_AT] = requested
    world.settle_down()
    assert len(world.made) == 2
    valid(world.status)
    world.succeed(world.only())
    world.settle_down()
    take_away(world)
    assert len(world.made) == 2
    valid(world.status)


def test_a_request_that_was_made_before_asks_for_a_run_of_its_own() -> None:
    world = finished()
    for text in ("x", "y", "x"):
        take_away(world)
        world.annotations[names.RUN_REQUESTED_AT] = text
        world.settle_down()
        world.succeed(world.only())
        world.settle_down()
    assert len({one.id for one in world.status.runs}) == 4
    world.check()


def test_a_dataset_that_was_made_anew_triggers_runs_from_its_first_version_on() -> None:
    world = Simulated(pipeline(triggers=[{"dataset": "photos"}]))
    seen = [1, 2, 3, None, 1, 2]
    for version in seen:
        world.datasets["photos"] = (
            DatasetView("photos", exists=False)
            if version is None
            else DatasetView("photos", exists=True, ready=True, version=version)
        )
        world.settle_down()
        if version is not None:
            world.succeed(world.only())
            world.settle_down()
            take_away(world)
    assert len(world.made) == 5
    assert len({one.id for one in world.status.runs}) == 5
    world.check()


def test_a_dataset_that_was_applied_anew_and_was_not_looked_at_yet_triggers_nothing() -> None:
    world = Simulated(pipeline(triggers=[{"dataset": "photos"}]))
    known = DatasetView("photos", exists=True, ready=True, version=7)
    world.datasets["photos"] = known
    world.settle_down()
    world.succeed(world.only())
    world.settle_down()
    take_away(world)
    for view in (replace(known, exists=False), replace(known, version=None), known):
        world.datasets["photos"] = view
        world.settle_down()
    assert len(world.made) == 1


# -- drivers that lie


@pytest.mark.parametrize(
    "lie",
    [
        {"summary": [{"foo": 1}]},
        {"summary": [{"name": "n", "columns": ["c"] * 1000, "rows": [{"c": 1}] * 1000}]},
        {"summary": [{"name": "x" * 1000}] * 200},
        {"summary": {"a": 1}, "rows": -5, "bytes": 1e300},
        {"rows": 10**40, "bytes": 2**63, "quarantined": 2**70, "datasetVersion": 10**30},
        {"cpuSeconds": float("nan"), "gpuSeconds": float("inf"), "gpuIdleSeconds": -1},
        {"cpuSeconds": 1.7e308, "gpuSeconds": 1.7e308},
        {"message": "m" * 300_000, "summary": [{"name": "s", "rows": [{"a": "x" * 300_000}]}]},
        {"summary": [{"name": "s", "rows": [{"a": float("nan")}]}]},
    ],
)
def test_whatever_a_driver_says_of_itself_its_run_ends(lie: dict[str, object]) -> None:
    world = running()
    job = world.only()
    world.succeed(job)
    run, attempt = job.view.run, job.view.attempt
    told = {"run": run, "attempt": attempt, "outcome": {"verdict": "Committed", **lie}}
    spoken = outcomes.spoken(json.dumps(told).encode())
    assert spoken is not None
    world.last_word = spoken.outcome
    world.settle_down()
    last = valid(world.status).last_run
    assert last is not None
    assert last.result == "Succeeded"
    written = documents.dumped(world.status)
    assert max(last.rows, last.bytes, last.quarantined, last.dataset_version or 0) < 2**63
    assert len(str(written)) < 200_000, "no driver may make the object too large to be written"
    assert "nan" not in str(written).lower().replace("lance", "")


def test_an_outcome_of_another_attempt_or_run_is_not_believed() -> None:
    for run, attempt in (("another", 1), (None, 7)):
        world = running()
        job = world.only()
        world.kuberay(job, Deployment.COMPLETE, "SUCCEEDED")
        world.last_word = outcomes.outcome(
            {"verdict": "Committed", "attempt": attempt}, run or job.view.run, attempt
        )
        world.settle_down()
        assert world.status.current_run is not None
        assert world.status.current_run.state == "Settling"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_an_end_with_long_words_can_be_written(verdict: Verdict) -> None:
    world = running(retries=0)
    job = world.only()
    told = {"jobDeploymentStatus": "Failed", "reason": "Reason" * 100, "message": "m" * 50_000}
    body = {"metadata": {"name": job.view.name}, "status": told}
    found = rayjobs.view(body)
    world.kuberay(job, Deployment.FAILED, "FAILED", found.reason)
    job.view = replace(job.view, message=found.message)
    world.last_word = outcomes.outcome(
        {"verdict": verdict, "message": "m" * 50_000}, job.view.run, job.view.attempt
    )
    for _ in range(4):
        world.settle_down()
        valid(world.status)
        world.clear()
        world.answer()
    assert world.status.last_run is not None


# -- loops and clocks


@pytest.mark.parametrize("then", [{"suspend": True}, {"timeZone": "Mars/Base"}, {}])
def test_a_cluster_that_takes_long_to_go_is_not_looked_at_without_pause(
    then: dict[str, object],
) -> None:
    world = finished(ttlAfterFinished="1m")
    if then:
        world.edit(**then)
    world.wait(3600)
    for _ in range(3):
        world.settle_down()
        facts = replace(world.facts(), looked=frozenset())
        again = decide_pipeline(facts, world.now, DEFAULTS).look_again
        assert again is None or again >= timedelta(seconds=30), again


def test_a_clock_that_lags_behind_the_api_servers_does_not_put_questions_off() -> None:
    world = running()
    world.succeed(world.only(), tells=False)
    world.settle_down()
    world.answer(problem="no")
    for name, probe in world.probes.items():
        world.probes[name] = replace(probe, created=world.now + timedelta(hours=1))
    again = world.reconcile()
    assert again is not None
    assert again <= timedelta(seconds=10)


def test_a_clock_that_is_put_back_does_not_put_the_next_attempt_off() -> None:
    world = running()
    job = world.only()
    job.view = replace(job.view, deployment=Deployment.FAILED, reason="HeadLost")
    world.settle_down()
    world.clear()
    world.settle_down()
    assert world.status.current_run is not None
    assert world.status.current_run.state == "Waiting"
    world.now -= timedelta(hours=1)
    again = world.reconcile()
    assert again is not None
    assert again <= timedelta(minutes=10)
    world.wait(600)
    world.settle_down()
    assert len(world.made) == 2


def test_a_pipeline_that_is_being_deleted_and_held_back_by_others_stops_its_run() -> None:
    world = running()
    facts = world.facts()
    deleted = replace(facts, identity=replace(facts.identity, deleting=True))
    job = world.only().view
    removed = (Delete("ray.io/v1", "RayJob", job.name, job.uid),)
    assert decide_pipeline(deleted, START, DEFAULTS).actions == removed
    orphaning = replace(facts, identity=replace(facts.identity, deleting=True, orphaning=True))
    assert decide_pipeline(orphaning, START, DEFAULTS).actions == ()


# -- what the API server refuses


def refused(world: Simulated, message: str = "exceeded quota: tight") -> None:
    """As the shell tells it where the RayJob may not be made."""
    said = Said("Degraded", "True", CREATE_REFUSED, message)
    world.status = with_degraded(world.status, said, world.generation, world.now)
    for job in world.jobs.values():
        job.view = replace(job.view, deleting=True)
    world.clear()


def test_an_attempt_that_may_not_be_made_is_given_up_when_its_time_to_start_is_over() -> None:
    world = Simulated(pipeline(retries=0, startTimeout="5m"))
    world.reconcile()
    refused(world)
    made = len(world.made)
    world.wait(340)
    world.settle_down()
    last = world.status.last_run
    assert last is not None
    assert (last.result, last.reason) == ("Failed", CREATE_REFUSED)
    assert "exceeded quota" in last.message
    assert len(world.made) == made
    assert not world.probes, "what never ran has no ledger that could be asked"


def test_word_of_a_refusal_goes_and_nothing_else_of_the_status_with_it() -> None:
    world = Simulated(pipeline())
    world.reconcile()
    before = world.status
    refused(world)
    assert refusal(world.status) is not None
    after = without_refusal(world.status, world.generation, world.now)
    assert refusal(after) is None
    assert after == before
    assert without_refusal(before, world.generation, world.now) is before
