"""Rows from Ray: those of the local engine, one by one and in order, whatever dies on the way."""

from __future__ import annotations

from typing import Any

import pytest

from .given import Place, function, run

GPU = {"group": "gpu", "gpus": 1}


def test_rows_of_one_segment_are_those_of_the_local_engine(local_ray: Any, place: Place) -> None:
    here = run(place.manifest(name="here"), engine="local")
    there = run(place.manifest(name="there"))
    assert (here.status, there.status) == (0, 0), there.out
    assert there.summary["rowsIn"] == 82
    assert there.summary["quarantined"] == here.summary["quarantined"]
    assert place.rows("there").equals(place.rows("here"))
    assert place.quarantined("there") == place.quarantined("here")


def test_rows_that_pass_from_cpu_to_gpu_workers_are_those_of_the_local_engine(
    local_ray: Any, place: Place
) -> None:
    stage = function("mean", GPU)
    here = run(place.manifest(stage, name="here"), engine="local")
    there = run(place.manifest(stage, name="there"))
    assert (here.status, there.status) == (0, 0), there.out
    assert place.rows("there").equals(place.rows("here"))
    assert place.quarantined("there") == place.quarantined("here")


@pytest.mark.parametrize("placement", [None, GPU], ids=["one segment", "two segments"])
def test_every_stage_has_counted_every_row_once(
    local_ray: Any, place: Place, placement: dict[str, Any] | None
) -> None:
    place.kills("p105.png")
    told = run(place.manifest(function("dies_once", placement)))
    assert told.status == 0, told.out
    stages = {stage["name"]: stage for stage in told.summary["stages"]}
    assert [stages[name]["rowsIn"] for name in ("source", "fetch", "decode+small")] == [82] * 3
    assert (stages["mean"]["rowsIn"], stages["sink"]["rowsOut"]) == (80, 80)
    assert stages["decode+small"]["faults"] == 2
    assert told.summary["quarantined"] == {"Truncated": 2}
    assert told.summary["cpuSeconds"] > 0
    for stage in stages.values():
        assert 0 < stage["busySeconds"] <= stage["workerSeconds"] + 0.01, stage


@pytest.mark.parametrize("placement", [None, GPU], ids=["one segment", "two segments"])
def test_a_worker_killed_in_the_middle_of_a_shard_loses_no_row(
    local_ray: Any, place: Place, placement: dict[str, Any] | None
) -> None:
    place.kills("p207.png")
    here = run(place.manifest(function("mean", placement), name="here"), engine="local")
    there = run(place.manifest(function("dies_once", placement), name="there"))
    assert (here.status, there.status) == (0, 0), there.out
    assert (place.folder / "died").exists(), "nobody was killed"
    assert place.rows("there").equals(place.rows("here"))


def test_a_stream_killed_in_the_middle_of_its_piece_loses_no_row(
    local_ray: Any, place: Place
) -> None:
    place.kills("p207.png")
    second = {**function("mean", GPU), "name": "again"}
    second["udf"] = {**second["udf"], "schema": {"mean": "float64"}}
    here = run(place.manifest(function("mean"), second, name="here"), engine="local")
    there = run(place.manifest(function("dies_once"), second, name="there"))
    assert (here.status, there.status) == (0, 0), there.out
    assert (place.folder / "died").exists(), "nobody was killed"
    assert place.rows("there").equals(place.rows("here"))


@pytest.mark.parametrize(
    "placement",
    [None, pytest.param(GPU, marks=pytest.mark.thorough)],
    ids=["one segment", "two segments"],
)
def test_a_row_that_kills_every_worker_is_set_aside_and_all_others_are_kept(
    local_ray: Any, place: Place, placement: dict[str, Any] | None
) -> None:
    place.kills("p105.png")
    here = run(place.manifest(function("mean"), name="here"), engine="local")
    there = run(place.manifest(function("dies_always", placement), name="there"))
    assert (here.status, there.status) == (0, 0), there.out
    good = [row for row in place.rows("here").to_pylist() if row["key"] != "p105.png"]
    assert place.rows("there").to_pylist() == good
    killer = {"p105.png": ("mean", "WorkerCrashed")}
    assert place.quarantined("there") == place.quarantined("here") | killer
    assert there.summary["quarantined"] == {"Truncated": 2, "WorkerCrashed": 1}


@pytest.mark.thorough
def test_a_row_that_takes_too_long_is_set_aside(local_ray: Any, place: Place) -> None:
    place.kills("p105.png")
    stage = function("hangs", isolation="process", rowTimeout="2s", batchSize=2)
    told = run(place.manifest(stage))
    assert told.status == 0, told.out
    assert place.quarantined()["p105.png"] == ("mean", "Timeout")
    assert place.rows().num_rows == 79
