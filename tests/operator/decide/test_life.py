"""The life of a run, told step by step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from lancemill_api.status import Progress
from lancemill_operator import names
from lancemill_operator.actions import Delete
from lancemill_operator.decide import decide_pipeline
from lancemill_operator.facts import DatasetView, Deployment, Missing, Outcome, Verdict
from lancemill_operator.status import find, is_true
from support.simulated import DEFAULTS, Simulated, pipeline


def running(**run) -> Simulated:
    """A run whose attempt runs."""
    world = Simulated(pipeline(**run))
    world.settle_down()
    world.kuberay(world.only(), Deployment.INITIALIZING)
    world.settle_down()
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    return world


def three(world: Simulated) -> tuple[str, ...]:
    said = world.status.conditions
    return tuple(find(said, kind).status for kind in ("Ready", "Reconciling", "Stalled"))


def told(world: Simulated) -> list[str]:
    return [event.reason for event in world.events.values()]


def finish_stopping(world: Simulated) -> None:
    world.clear()
    world.settle_down()
    world.answer()
    world.settle_down()


def test_a_new_pipeline_starts_a_run_whose_end_is_reflected():
    world = Simulated(pipeline())
    world.reconcile()
    assert three(world) == ("Unknown", "True", "False")
    assert is_true(world.status.conditions, "Accepted")
    assert is_true(world.status.conditions, "Preflight")
    assert world.status.current_run.state == "Starting"
    assert world.made == [names.rayjob("cats", world.status.current_run.id, 1)]
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    assert (world.status.phase, world.status.current_run.state) == ("Running", "Running")
    world.succeed(world.only())
    world.settle_down()
    assert three(world) == ("True", "False", "False")
    assert is_true(world.status.conditions, "Succeeded")
    assert world.status.last_run.rows == 10
    assert world.status.last_run.dataset_version == 3
    assert world.status.observed_generation == 1
    assert told(world) == ["RunStarted", "RunSucceeded"]
    assert len(world.made) == 1
    world.check()


def test_nothing_is_written_when_nothing_has_changed():
    world = running()
    before = world.writes
    for _ in range(5):
        world.reconcile()
    world.wait(1)
    world.reconcile()
    assert world.writes == before


def test_what_a_run_used_is_told_with_what_that_cost():
    world = running()
    world.succeed(world.only())
    used = {"cpu_seconds": 100.0, "gpu_seconds": 2.5}
    world.last_word = replace(world.last_word, **used)
    world.settle_down()
    cost = world.status.last_run.cost
    assert (cost.amount, cost.currency) == (1.0 + 2.5, "EUR")


def test_a_driver_that_left_no_word_has_its_ledger_asked():
    world = running()
    world.succeed(world.only(), tells=False)
    world.settle_down()
    assert world.status.current_run.state == "Settling"
    assert [probe.purpose for probe in world.probes.values()] == ["settle"]
    world.answer()
    world.settle_down()
    assert world.status.last_run.result == "Succeeded"
    world.check()


def test_a_ledger_that_cannot_be_read_is_asked_again_and_its_problem_told():
    world = running()
    world.succeed(world.only(), tells=False)
    world.settle_down()
    world.answer(problem="AccessDenied: no")
    world.settle_down()
    degraded = find(world.status.conditions, "Degraded")
    assert (degraded.status, degraded.message) == ("True", "AccessDenied: no")
    world.wait(11)
    world.settle_down()
    assert len(world.probes) == 2
    world.answer()
    world.settle_down()
    assert world.status.last_run.result == "Succeeded"


def test_an_outcome_that_nobody_can_tell_ends_as_failed_and_says_so():
    world = running()
    world.succeed(world.only(), tells=False)
    for _ in range(8):
        world.settle_down()
        world.answer(problem="AccessDenied: no")
        world.wait(301)
    world.settle_down()
    assert world.status.last_run.reason == "OutcomeUnknown"
    assert "AccessDenied: no" in world.status.last_run.message


def test_an_application_failure_is_followed_by_another_attempt_after_a_while():
    world = running()
    first = world.only()
    world.kuberay(first, Deployment.FAILED, "FAILED", "AppFailed")
    world.settle_down()
    world.answer()
    world.settle_down()
    current = world.status.current_run
    assert (current.state, current.attempt, current.failures.application) == ("Waiting", 2, 1)
    assert len(world.made) == 1
    world.wait(12)
    world.settle_down()
    assert len(world.made) == 1, "the first attempt's RayJob is still there"
    world.clear()
    world.settle_down()
    assert world.made[1] == names.rayjob("cats", current.id, 2)
    world.succeed(world.only())
    world.settle_down()
    assert (world.status.last_run.result, world.status.last_run.attempts) == ("Succeeded", 2)
    world.check()


def test_the_next_attempt_waits_until_no_pod_of_the_last_one_is_left():
    world = running()
    world.kuberay(world.only(), Deployment.FAILED, "RUNNING", "JobStatusCheckTimeoutExceeded")
    world.settle_down()
    world.clear(pods_stay=True)
    world.wait(60)
    world.settle_down()
    assert len(world.made) == 1
    assert world.lingering[0] in find(world.status.conditions, "Reconciling").message
    world.lingering.clear()
    world.settle_down()
    world.wait(60)
    world.settle_down()
    assert len(world.made) == 2


def test_a_pod_that_never_goes_holds_the_next_attempt_up_for_ten_minutes_only():
    world = running()
    world.kuberay(world.only(), Deployment.FAILED, "RUNNING", "JobStatusCheckTimeoutExceeded")
    world.settle_down()
    world.clear(pods_stay=True)
    world.wait(290)
    world.settle_down()
    assert len(world.made) == 1
    world.wait(15)
    world.settle_down()
    world.wait(310)
    world.settle_down()
    assert len(world.made) == 2


def test_a_failure_that_the_driver_calls_final_is_not_retried():
    world = running()
    job = world.only()
    world.last_word = Outcome(job.view.run, 1, Verdict.FAILED, message="132 of 9,800 rows failed")
    world.kuberay(job, Deployment.FAILED, "FAILED", "AppFailed")
    world.settle_down()
    assert world.status.last_run.result == "Failed"
    assert world.status.last_run.message == "132 of 9,800 rows failed"
    assert three(world) == ("False", "False", "True")
    assert is_true(world.status.conditions, "Failed")


def test_what_held_a_run_up_is_told_with_it_in_its_drivers_words():
    world = running()
    job = world.only()
    told = "decode is the bottleneck: the GPU waits 71% of the time"
    world.last_word = Outcome(job.view.run, 1, Verdict.COMMITTED, rows=5, diagnosis=told)
    world.kuberay(job, Deployment.COMPLETE, "SUCCEEDED")
    world.settle_down()
    assert world.status.last_run.diagnosis == told


def test_why_an_attempt_failed_is_told_in_its_drivers_words_where_it_had_any():
    world = running(retries=0)
    job = world.only()
    why = "no row has moved for 15 min (spec.run.stallTimeout): stage 'caption' (udf) has been …"
    world.last_word = Outcome(job.view.run, 1, Verdict.NOT_COMMITTED, message=why)
    world.kuberay(job, Deployment.FAILED, "FAILED", "AppFailed")
    world.settle_down()
    world.answer()
    world.settle_down()
    assert (world.status.last_run.result, world.status.last_run.message) == ("Failed", why)


def test_a_stall_timeout_of_nothing_means_never():
    world = running(stallTimeout="0s")
    world.progress = Progress(rows_done=3, last_progress_seconds=1e6)
    world.settle_down()
    assert world.status.current_run.state == "Running"


@pytest.mark.parametrize("attempts", [1, 3])
def test_failures_are_retried_as_often_as_the_manifest_says(attempts):
    world = running(retries=attempts - 1)
    for _ in range(attempts):
        world.kuberay(world.only(), Deployment.FAILED, "FAILED", "JobStatusCheckTimeoutExceeded")
        world.settle_down()
        finish_stopping(world)
        world.wait(700)
        world.settle_down()
    assert len(world.made) == attempts
    assert world.status.last_run.result == "Failed"
    assert world.status.last_run.attempts == attempts
    world.check()


def test_capacity_that_was_never_there_is_told_without_asking_a_ledger():
    world = Simulated(pipeline(retries=0))
    world.settle_down()
    world.kuberay(world.only(), Deployment.FAILED, "", "PreRunningDeadlineExceeded")
    world.settle_down()
    world.clear()
    world.settle_down()
    assert world.status.last_run.reason == "PreRunningDeadlineExceeded"
    assert not world.probes


def test_a_deadline_is_not_retried_and_ends_only_when_the_driver_is_gone():
    world = running()
    world.kuberay(world.only(), Deployment.FAILED, "RUNNING", "DeadlineExceeded")
    world.settle_down()
    assert world.status.current_run.state == "Stopping"
    assert world.status.last_run is None
    finish_stopping(world)
    assert world.status.last_run.reason == "TimedOut"


def test_a_run_that_takes_longer_than_its_timeout_is_stopped_though_kuberay_says_nothing():
    world = running(timeout="1h")
    world.wait(3600)
    world.settle_down()
    assert world.status.current_run.state == "Running", "KubeRay's own deadline comes first"
    world.wait(31)
    world.settle_down()
    finish_stopping(world)
    assert world.status.last_run.reason == "TimedOut"


def test_a_run_without_progress_is_given_up_and_tried_again():
    world = running(stallTimeout="10m")
    world.progress = Progress(text="5%", last_progress_seconds=601)
    world.settle_down()
    assert world.status.current_run.why == "Stalled"
    world.clear()
    world.settle_down()
    assert world.status.current_run.attempt == 2


def test_suspending_takes_the_cluster_away_and_resuming_goes_on_with_the_same_run():
    world = running()
    run = world.status.current_run.id
    world.edit(suspend=True)
    world.settle_down()
    world.clear()
    world.settle_down()
    assert three(world) == ("True", "False", "False")
    assert is_true(world.status.conditions, "Suspended")
    assert not world.jobs
    world.wait(7200)
    world.edit(suspend=False)
    world.settle_down()
    assert world.status.current_run.id == run
    assert world.made[1] == names.rayjob("cats", run, 2)
    assert world.status.current_run.suspended_seconds == 7200
    assert not is_true(world.status.conditions, "Suspended")
    world.succeed(world.only())
    world.settle_down()
    assert [record.result for record in world.status.runs] == ["Succeeded"]
    assert not world.status.last_run.generation > 1, "it ran what it was started with"


def test_a_suspended_run_whose_manifest_was_changed_makes_way_for_a_run_of_the_new_one():
    world = running()
    world.edit(suspend=True)
    world.settle_down()
    world.clear()
    world.settle_down()
    world.change(errors={"maxRows": 5})
    world.edit(suspend=False)
    world.settle_down()
    world.answer()
    world.settle_down()
    assert world.status.last_run.reason == "Replaced"
    assert world.status.current_run.id != world.status.last_run.id
    world.check()


def test_created_suspended_starts_nothing_until_it_is_resumed():
    world = Simulated(pipeline(suspend=True))
    world.settle_down()
    assert (world.made, three(world)) == ([], ("True", "False", "False"))
    world.edit(suspend=False)
    world.settle_down()
    assert len(world.made) == 1


def test_cancelling_stops_the_run_and_says_so():
    world = running()
    world.annotations[names.CANCEL_RUN] = world.status.current_run.id
    world.settle_down()
    finish_stopping(world)
    assert world.status.last_run.result == "Cancelled"
    assert three(world) == ("False", "False", "True")
    assert len(world.made) == 1


def test_a_run_that_committed_before_it_could_be_cancelled_has_succeeded():
    world = running()
    job = world.only()
    world.annotations[names.CANCEL_RUN] = job.view.run
    world.settle_down()
    assert world.ledgers[job.view.run].commit(1)
    finish_stopping(world)
    assert world.status.last_run.result == "Succeeded"
    world.check()


def test_a_driver_that_outlives_its_cancellation_commits_nothing():
    world = running()
    job = world.only()
    world.annotations[names.CANCEL_RUN] = job.view.run
    world.settle_down()
    finish_stopping(world)
    assert not world.ledgers[job.view.run].commit(1)
    assert world.status.last_run.result == "Cancelled"


def test_cancelling_another_run_changes_nothing():
    world = running()
    world.annotations[names.CANCEL_RUN] = "0000000000"
    world.settle_down()
    assert world.status.phase == "Running"


def test_an_edit_during_a_run_starts_another_one_after_it():
    world = running()
    first = world.status.current_run.id
    world.change(errors={"maxRows": 5})
    world.settle_down()
    assert world.status.current_run.id == first
    world.succeed(world.only())
    world.settle_down()
    assert world.status.last_run.id == first
    assert world.status.current_run.id != first
    assert world.status.current_run.generation == 2
    world.check()


def test_an_edit_during_a_run_replaces_it_where_the_policy_says_so():
    world = running(concurrencyPolicy="Replace")
    first = world.status.current_run.id
    world.change(errors={"maxRows": 5})
    world.settle_down()
    finish_stopping(world)
    assert (world.status.last_run.id, world.status.last_run.reason) == (first, "Replaced")
    assert world.status.current_run.generation == 2


def test_an_edit_of_when_and_how_often_starts_nothing():
    world = running()
    world.succeed(world.only())
    world.settle_down()
    world.edit(retries=7, timeout="2h")
    world.settle_down()
    assert len(world.made) == 1
    assert world.status.observed_generation == 2
    assert three(world) == ("True", "False", "False")


def test_a_retry_runs_what_the_run_was_started_with_whatever_the_manifest_says_now():
    world = running()
    frozen = world.maps[names.config_map("cats", world.status.current_run.id)]
    world.change(errors={"maxRows": 5})
    world.kuberay(world.only(), Deployment.FAILED, "FAILED", "JobStatusCheckTimeoutExceeded")
    world.settle_down()
    finish_stopping(world)
    world.wait(20)
    world.settle_down()
    assert len(world.made) == 2
    assert list(world.maps.values()) == [frozen]


def test_an_annotation_requests_another_run_once():
    world = running()
    world.succeed(world.only())
    world.settle_down()
    world.annotations[names.RUN_REQUESTED_AT] = "2026-11-21T13:00:00Z"
    world.settle_down()
    assert len(world.made) == 2
    world.succeed(world.only())
    world.settle_down()
    assert len(world.made) == 2


def test_a_schedule_starts_a_run_when_it_is_due_and_makes_up_for_missed_ones_once():
    world = Simulated(pipeline(schedule="0 * * * *"))
    world.settle_down()
    assert (world.made, world.status.next_run_time) == ([], "2026-11-21T13:00:00Z")
    assert three(world) == ("True", "False", "False")
    world.wait(3 * 3600 + 60)
    world.settle_down()
    assert world.status.current_run.cause == "schedule 2026-11-21T15:00:00Z"
    world.succeed(world.only())
    world.settle_down()
    assert len(world.made) == 1


def test_a_start_that_is_due_while_a_run_goes_on_waits_for_its_end():
    world = Simulated(pipeline(schedule="0 * * * *"))
    world.settle_down()
    world.wait(3601)
    world.settle_down()
    world.kuberay(world.only(), Deployment.RUNNING, "RUNNING")
    world.settle_down()
    world.wait(2 * 3600)
    world.settle_down()
    assert len(world.made) == 1
    world.succeed(world.only())
    world.settle_down()
    assert world.status.current_run.cause == "schedule 2026-11-21T15:00:00Z"
    world.check()


def test_a_schedule_has_a_time_zone():
    world = Simulated(pipeline(schedule="0 3 * * *", timeZone="Asia/Tokyo"))
    world.settle_down()
    assert world.status.next_run_time == "2026-11-21T18:00:00Z"


def test_a_missed_start_that_is_too_late_is_let_go():
    world = Simulated(pipeline(schedule="0 3 * * *", startingDeadline="1h"))
    world.settle_down()
    world.wait(17 * 3600)
    world.settle_down()
    assert world.made == []


def test_a_new_version_of_a_trigger_starts_a_run_and_an_old_one_does_not():
    world = Simulated(pipeline(triggers=[{"dataset": "photos"}]))
    world.settle_down()
    assert (world.made, world.status.phase) == ([], "Waiting")
    world.datasets["photos"] = DatasetView("photos", True, ready=True, version=1)
    world.settle_down()
    world.succeed(world.only())
    world.settle_down()
    assert len(world.made) == 1
    world.datasets["photos"] = DatasetView("photos", True, ready=True, version=2)
    world.settle_down()
    assert len(world.made) == 2
    assert world.status.current_run.cause == "dataset photos version 2"


def test_what_is_not_there_holds_the_run_up_and_is_told_with_its_place():
    world = Simulated(pipeline())
    place = "spec.source.objects.storage.secretRef.name"
    world.missing = (Missing(place, "Secret", "lake"),)
    world.settle_down()
    preflight = find(world.status.conditions, "Preflight")
    assert (preflight.status, preflight.reason) == ("False", "SecretNotFound")
    assert preflight.message.startswith(f"{place}  there is no Secret 'lake'")
    assert (world.made, three(world)) == ([], ("Unknown", "True", "False"))
    world.missing = ()
    world.settle_down()
    assert len(world.made) == 1


@pytest.mark.parametrize(
    ("run", "place"),
    [
        ({"schedule": "99 * * * *"}, "spec.run.schedule"),
        ({"schedule": "@sometimes"}, "spec.run.schedule"),
        ({"schedule": "@daily", "timeZone": "Mars/Olympus"}, "spec.run.timeZone"),
    ],
)
def test_a_schedule_that_nobody_can_read_is_refused_with_its_place(run, place):
    world = Simulated(pipeline(**run))
    world.settle_down()
    accepted = find(world.status.conditions, "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "InvalidManifest")
    assert accepted.message.startswith(place)
    assert three(world) == ("False", "False", "True")
    assert told(world) == ["ManifestRefused"]


def test_ready_is_true_from_the_start_where_readiness_is_accepted():
    world = running(readiness="Accepted")
    assert three(world) == ("True", "False", "False")
    assert world.status.phase == "Running"


def test_a_rayjob_that_somebody_deletes_is_followed_by_another_attempt():
    world = running()
    world.jobs.clear()
    world.settle_down()
    assert world.status.current_run.attempt == 2
    world.wait(20)
    world.settle_down()
    assert len(world.made) == 2


def test_a_rayjob_that_somebody_deletes_before_it_ran_is_made_again():
    world = Simulated(pipeline())
    world.settle_down()
    world.kuberay(world.only(), Deployment.INITIALIZING)
    world.settle_down()
    world.jobs.clear()
    world.wait(30)
    world.settle_down()
    assert world.status.current_run.attempt == 1
    assert world.only().view.name == world.status.current_run.ray_job


def test_a_status_is_written_where_a_run_begins_runs_and_ends_and_not_between():
    world = running()
    world.succeed(world.only())
    world.settle_down()
    assert world.status.last_run.result == "Succeeded"
    made = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "RayJob")
    assert world.writes == 3 + len(world.events) + len(made)


def test_a_finished_run_keeps_its_cluster_for_as_long_as_asked():
    world = running(ttlAfterFinished="10m")
    world.succeed(world.only())
    world.settle_down()
    assert not world.only().view.deleting
    world.wait(599)
    world.settle_down()
    assert not world.only().view.deleting
    world.wait(2)
    world.settle_down()
    assert next(iter(world.jobs.values())).view.deleting


def test_the_status_remembers_as_many_runs_as_asked_and_their_specifications_go_with_them():
    world = running(historyLimit=2)
    for number in range(4):
        world.succeed(world.only())
        world.settle_down()
        world.annotations[names.RUN_REQUESTED_AT] = str(number)
        world.settle_down()
        world.clear()
    assert len(world.status.runs) == 2
    kept = {names.config_map("cats", run.id) for run in world.status.runs}
    assert set(world.maps) == kept | {names.config_map("cats", world.status.current_run.id)}


def test_a_lost_status_does_not_start_a_run_a_second_time():
    world = running()
    world.status = type(world.status)()
    world.settle_down()
    assert len(world.made) == 1
    assert world.status.current_run.attempt == 1
    world.succeed(world.only())
    world.settle_down()
    assert world.status.last_run.result == "Succeeded"


def test_an_unknown_job_status_is_no_end():
    world = running()
    world.kuberay(world.only(), Deployment.RUNNING, "Failure")
    world.settle_down()
    assert world.status.phase == "Running"
    world.kuberay(world.only(), "SomethingNew", "")
    world.settle_down()
    assert world.status.last_run is None


def test_a_run_that_kuberay_refuses_is_told_and_not_tried_again():
    world = Simulated(pipeline())
    world.settle_down()
    world.kuberay(world.only(), Deployment.VALIDATION_FAILED, "", "ValidationFailed")
    world.settle_down()
    world.clear()
    world.settle_down()
    assert world.status.last_run.reason == "RayJobRefused"
    assert len(world.made) == 1


def test_the_time_of_a_condition_moves_only_with_its_status():
    world = running()
    before = find(world.status.conditions, "Reconciling").last_transition_time
    world.wait(100)
    world.progress = Progress(text="5%", rows_done=5)
    world.settle_down()
    assert world.status.progress.text == "5%"
    assert find(world.status.conditions, "Reconciling").last_transition_time == before


def test_a_deleted_pipeline_is_left_alone_but_for_its_cluster():
    world = running()
    facts = world.facts()
    gone = replace(facts, identity=replace(facts.identity, deleting=True))
    decision = decide_pipeline(gone, world.now + timedelta(days=1), DEFAULTS)
    removed = (Delete("ray.io/v1", "RayJob", world.only().view.name, world.only().view.uid),)
    assert (decision.status, decision.actions) == (facts.status, removed)
