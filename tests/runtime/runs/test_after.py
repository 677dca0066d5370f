"""What a plan says after a run: measured paces, a verdict, or why there is none."""

from __future__ import annotations

import json

import pytest

from .given import Place, lancemill, one_line, spec

SLOW = """
import time
import pyarrow as pa

def slow(batch):
    time.sleep(0.02 * len(batch))
    return pa.RecordBatch.from_arrays([pa.array([1] * len(batch), pa.int64())], ["one"])
"""


def slow(place: Place) -> dict[str, object]:
    """Changes that let a function take most of the time."""
    (place.folder / "slow.py").write_text(SLOW)
    udf = {"entrypoint": "slow.py:slow", "schema": {"one": "int64"}, "inputs": ["key"]}
    stages = [*spec()["stages"][:2], {"name": "slow", "udf": {**udf, "batchSize": 4}}]
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "one"]}}
    return {"stages": stages, "sink": sink}


def test_the_next_plan_tells_the_pace_of_each_stage_and_what_held_up_the_run(place: Place) -> None:
    place.pictures(20)
    changes = slow(place)
    assert place.run("--run-id", "r1", **changes).status == 0
    place.pictures(20, start=20)
    told = lancemill("plan", place.manifest(**changes), "--after", "r1")
    assert told.status == 0, told.all
    lines = told.out.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith(" after    run r1 of cats: "))
    assert "20 rows in " in lines[at]
    below = lines[at + 1 :]
    assert [line.split()[0] for line in below[:5]] == [
        *("source", "fetch", "decode", "slow", "sink")
    ]
    assert all("busy, could do" in line for line in below[:5])
    assert "slow" in below[5]
    assert below[6].startswith("    at that rate, 40 rows take ")


def test_the_same_is_there_for_scripts(place: Place) -> None:
    place.pictures(4)
    place.run("--run-id", "r1")
    told = json.loads(lancemill("plan", place.manifest(), "--json", "--after", "r1").out)["after"]
    assert (told["run"], told["pipeline"], told["rows"]) == ("r1", "cats", 4)
    assert told["cpuSeconds"] > 0
    assert {"source", "fetch", "sink"} <= {one["name"] for one in told["stages"]}


def test_a_run_whose_last_attempt_read_nothing_measured_nothing(place: Place) -> None:
    place.pictures(2)
    never = [{"name": "no", "query": "select count(*) from output", "expect": {"max": 0}}]
    assert place.run("--run-id", "r1", validate=never).status == 1
    assert place.run("--run-id", "r1").status == 0
    told = lancemill("plan", place.manifest(), "--after", "r1", "--no-listing")
    assert "run r1: its last attempt read no rows, so nothing was measured" in told.out


@pytest.mark.parametrize(
    ("run", "status", "said"),
    [
        ("r2", 1, "there is no run r2 of "),
        ("failed", 1, "run failed has not been committed, and only then it is kept"),
        ("../r1", 2, "expected at most 63 letters"),
    ],
)
def test_a_run_that_can_tell_nothing_is_refused_in_a_line(
    place: Place, run: str, status: int, said: str
) -> None:
    place.pictures(2)
    never = [{"name": "no", "query": "select count(*) from output", "expect": {"max": 0}}]
    place.run("--run-id", "failed", validate=never)
    told = lancemill("plan", place.manifest(), "--after", run)
    assert told.status == status
    assert said in told.all
    if status == 1:
        assert one_line(told, 1).startswith("✗ ")
