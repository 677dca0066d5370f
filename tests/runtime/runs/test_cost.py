"""What a run has cost, against what was really used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lancemill_api.prices import VARIABLE, Prices

from .given import Place, lancemill, small_shards

BURNS = 0.6
"""Seconds of CPU that the function below uses."""
BURN = f"""
import time
import pyarrow as pa

def burn(batch):
    end = time.process_time() + {BURNS}
    while time.process_time() < end:
        pass
    return pa.RecordBatch.from_arrays([pa.array([1] * len(batch), pa.int64())], ["one"])
"""


def burning(place: Place, **more: Any) -> dict[str, Any]:
    (place.folder / "burn.py").write_text(BURN)
    udf = {"entrypoint": "burn.py:burn", "schema": {"one": "int64"}, "inputs": ["key"], **more}
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "one"]}}
    return {"stages": [{"name": "burn", "udf": udf}], "sink": sink}


def kept(place: Place, run: str) -> dict[str, Any]:
    """What the ledger says of a run that was committed."""
    path = place.folder / "out.lance.runs" / run / "committed.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.thorough
def test_the_time_of_a_functions_own_process_is_the_runs(place: Place) -> None:
    place.pictures(2)
    _, here = place.run_json(**burning(place))
    _, apart = place.run_json(**burning(place, isolation="process"))
    for one in (here, apart):
        assert one["cpuSeconds"] >= BURNS
        assert one["cpuSeconds"] <= one["durationSeconds"] * 64
        assert (one["gpuSeconds"], one["gpuIdleShare"]) == (None, None)
        assert kept(place, one["run"])["cpuSeconds"] >= BURNS


@pytest.mark.thorough
def test_what_an_earlier_attempt_has_spent_is_part_of_the_cost(place: Place) -> None:
    place.pictures(4)
    fails = [{"name": "no", "query": "select count(*) from output", "expect": {"max": 0}}]
    changes = burning(place)
    cut = small_shards(place.folder / "pictures", 4)
    first, _ = place.run_json("--run-id", "r1", *cut, **changes, validate=fails)
    assert first == 1
    status, second = place.run_json("--run-id", "r1", **changes)
    assert status == 0
    assert second["resumedRows"] == 4
    assert second["cpuSeconds"] >= BURNS, "all of it was done by the attempt before"
    assert kept(place, "r1")["cpuSeconds"] >= BURNS


def test_what_came_of_a_run_is_told_with_its_stages_and_what_held_it_up(place: Place) -> None:
    place.pictures(4)
    manifest = place.manifest(**burning(place, isolation="process"))
    assert lancemill("run", manifest, "--run-id", "r1", "--epoch", "1", "--quiet").status == 0
    told = lancemill(
        *("probe", "run", manifest, "--pipeline", "cats", "--run-id", "r1", "--epoch", "2")
    ).json
    assert told["cpuSeconds"] >= BURNS
    assert "burn" in told["diagnosis"]
    stages = kept(place, "r1")["stages"]
    assert [one["name"] for one in stages] == ["source", "burn", "sink"]
    assert stages[1]["busy_seconds"] >= BURNS * 0.9


def test_with_prices_a_run_tells_what_it_has_cost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = Prices(cpu_hour=3600.0, currency="EUR")
    monkeypatch.setenv(VARIABLE, prices.to_text())
    place.pictures(2)
    _, told = place.run_json(**burning(place))
    assert told["cost"]["currency"] == "EUR"
    assert told["cost"]["amount"] == pytest.approx(told["cpuSeconds"], abs=0.01)
    monkeypatch.delenv(VARIABLE)
    _, told = place.run_json(**burning(place))
    assert told["cost"] is None
