"""Which run is meant and whether it is over, from one status at a time."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill.cli.cluster.outcome import Wanted, exit_status, read
from lancemill.cli.cluster.seen import seen
from lancemill_api.annotations import RUN_REQUESTED_AT
from support.pipelines import condition, current_run, finished_run, pipeline_object

REST = ("True", "False", "False")


def reading(wanted: Wanted = Wanted(), **words: Any) -> Any:  # noqa: B008 - immutable
    return read(seen(pipeline_object(**words)), wanted)


def test_a_manifest_that_the_operator_has_not_looked_at_says_nothing_yet() -> None:
    assert reading(generation=2, observed=1, lastRun=finished_run()).state == "unseen"


def test_the_run_that_goes_on_is_followed_by_its_id_from_then_on() -> None:
    first = reading(phase="Running", currentRun=current_run("a"))
    assert (first.state, first.wanted.run) == ("going", "a")
    later = reading(
        first.wanted, phase="Running", currentRun=current_run("b"), lastRun=finished_run("a")
    )
    assert (later.state, later.run.id) == ("over", "a")


def test_a_run_that_has_ended_is_found_behind_later_ones() -> None:
    later = reading(
        Wanted(run="a"),
        phase="Succeeded",
        three=REST,
        lastRun=finished_run("c"),
        runs=[finished_run("c"), finished_run("b"), finished_run("a", "Failed")],
    )
    assert (later.state, exit_status(later)) == ("over", 1)


def test_a_run_that_the_status_has_forgotten_is_lost_and_no_success() -> None:
    lost = reading(Wanted(run="a"), phase="Succeeded", three=REST, lastRun=finished_run("c"))
    assert (lost.state, exit_status(lost)) == ("lost", 1)


@pytest.mark.parametrize(("result", "status"), [("Succeeded", 0), ("Failed", 1), ("Cancelled", 1)])
def test_the_exit_status_is_how_the_run_ended(result: str, status: int) -> None:
    over = reading(phase=result, three=REST, lastRun=finished_run(result=result))
    assert (over.state, exit_status(over)) == ("over", status)


def test_a_run_of_an_older_manifest_is_not_the_one_that_was_submitted() -> None:
    wanted = Wanted(generation=2)
    first = reading(wanted, generation=2, phase="Running", currentRun=current_run("old"))
    assert (first.state, first.wanted.run) == ("going", None)
    between = reading(
        wanted, generation=2, phase="Succeeded", three=REST, lastRun=finished_run("old")
    )
    assert (between.state, between.settled) == ("resting", False)
    new = reading(
        wanted,
        generation=2,
        phase="Running",
        currentRun=current_run("new", generation=2),
        lastRun=finished_run("old"),
    )
    assert (new.state, new.wanted.run) == ("going", "new")


def test_a_request_is_open_until_a_run_has_answered_it() -> None:
    wanted = Wanted(requested="now")
    asked = {RUN_REQUESTED_AT: "now"}
    old = reading(wanted, phase="Running", annotations=asked, currentRun=current_run("old"))
    assert (old.state, old.wanted.run) == ("going", None)
    between = reading(
        wanted, phase="Succeeded", three=REST, annotations=asked, lastRun=finished_run("old")
    )
    assert (between.state, between.wanted.run) == ("going", None)
    new = reading(
        wanted,
        phase="Running",
        annotations=asked,
        currentRun=current_run("new"),
        handled={"requestedAt": "now"},
    )
    assert (new.state, new.wanted.run) == ("going", "new")
    missed = reading(
        wanted,
        phase="Succeeded",
        three=REST,
        annotations=asked,
        lastRun=finished_run("new"),
        handled={"requestedAt": "now"},
    )
    assert (missed.state, missed.wanted.run) == ("over", "new")


def test_a_refused_manifest_ends_the_wait_for_its_run_but_not_the_run_before_it() -> None:
    refused = (condition("Accepted", "False", "InvalidManifest", "no"),)
    wanted = reading(
        Wanted(generation=2), generation=2, conditions=refused, currentRun=current_run("old")
    )
    assert (wanted.state, exit_status(wanted)) == ("refused", 1)
    looked = reading(generation=2, conditions=refused, currentRun=current_run("old"))
    assert (looked.state, looked.wanted.run) == ("going", "old")
    nothing = reading(conditions=refused, phase="Invalid")
    assert (nothing.state, exit_status(nothing)) == ("refused", 1)


def test_what_waits_for_something_goes_on_and_what_waits_for_its_time_rests() -> None:
    assert reading(phase="Waiting", reason="LanceDatasetNotFound").state == "going"
    for phase in ("Scheduled", "Suspended"):
        resting = reading(phase=phase, three=REST)
        assert (resting.state, resting.settled, exit_status(resting)) == ("resting", True, 0)


def test_a_suspended_run_is_still_that_run() -> None:
    going = reading(phase="Suspended", three=REST, currentRun=current_run("a", state="Suspended"))
    assert (going.state, going.wanted.run) == ("going", "a")
