"""A sample before the run, as spec.run.sample asks for it in a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.sampled import sampled

from .given import Place, Told, lance, lancemill, small_shards

ROWS = 40
SAMPLE = {"sample": {"rows": 10}}


def ordered(place: Place, *arguments: str, epoch: int = 1, **changes: Any) -> Told:
    manifest = place.manifest(**{"run": SAMPLE, **changes})
    return lancemill(
        *("run", manifest, "--json", "--run-id", "r1", "--epoch", str(epoch)), *arguments
    )


def notes(told: Told) -> list[str]:
    lines = [json.loads(line) for line in told.out.splitlines()]
    return [one["text"] for one in lines if one["event"] == "note"]


def test_some_rows_go_first_and_tell_what_the_whole_takes(place: Place) -> None:
    keys = place.pictures(ROWS)
    told = ordered(place)
    assert told.status == 0, told.all
    first, estimate = notes(told)
    assert first == "a sample of 10 rows goes first"
    assert estimate.startswith("the sample is through · the whole, estimated: 40 rows · about ")
    assert place.keys() == keys, "each row once: those of the sample were thrown away"
    assert told.json["rowsIn"] == ROWS


@pytest.mark.parametrize(
    "sink",
    sampled(
        [
            lance(),
            lance(mode="upsert", key=["key"]),
            {"parquet": {"uri": "out.lance", "columns": ["key"]}},
        ],
        first=1,
    ),
    ids=["append", "upsert", "parquet"],
)
def test_nothing_of_the_sample_is_left(place: Place, sink: dict[str, Any]) -> None:
    place.pictures(ROWS)
    assert ordered(place, sink=sink).status == 0
    assert files(place.folder, ".sample-") == []
    (place.folder / "plain").mkdir()
    plain = Place(place.folder / "plain")
    plain.pictures(ROWS)
    assert ordered(plain, sink=sink, run={}).status == 0
    assert data(place.folder / "out.lance") == data(plain.folder / "out.lance")


def files(folder: Path, word: str) -> list[Path]:
    return [
        one for one in folder.rglob("*") if one.is_file() and word in str(one.relative_to(folder))
    ]


def data(dataset: Path) -> int:
    """How many files hold rows."""
    return len([one for one in dataset.rglob("*.lance") if one.is_file()])


def test_a_run_that_is_gone_on_with_has_no_sample_again(place: Place) -> None:
    place.pictures(ROWS)
    cut = small_shards(place.folder / "pictures", 4)
    never = [{"name": "no", "query": "select count(*) from output", "expect": {"max": 0}}]
    told = ordered(place, *cut, validate=never)
    assert told.status == 1
    assert "of the sample, a condition does not hold: no: found 10" in " ".join(notes(told))
    told = ordered(place, epoch=2)
    assert told.status == 0
    (note,) = notes(told)
    assert note.endswith("shards are done already")


def test_a_row_that_ends_the_run_ends_it_before_it_has_begun(place: Place) -> None:
    keys = place.pictures(ROWS)
    for key in keys:
        (place.folder / "pictures" / key).write_bytes(b"no picture")
    told = ordered(place, errors={"onRow": "fail"})
    assert (told.status, told.json["end"]) == (1, "failed")
    assert not list(place.folder.glob("out.lance.runs/r1/done/*"))
    assert data(place.folder / "out.lance") == 0


def test_how_many_fail_is_for_the_sample_to_find_out(place: Place) -> None:
    keys = place.pictures(ROWS)
    for key in keys[::2]:
        (place.folder / "pictures" / key).write_bytes(b"no picture")
    told = ordered(place, errors={"maxRate": 0.9})
    assert told.status == 0
    assert "set aside · the whole, estimated" in notes(told)[1]
    assert told.json["rowsOut"] == ROWS // 2


@pytest.mark.parametrize("rows", [ROWS, ROWS + 1])
def test_a_source_no_larger_than_its_sample_has_none(place: Place, rows: int) -> None:
    place.pictures(ROWS)
    assert notes(ordered(place, run={"sample": {"rows": rows}})) == []


def test_a_run_of_ones_own_has_no_sample_but_by_its_option(place: Place) -> None:
    place.pictures(ROWS)
    told = lancemill("run", place.manifest(run=SAMPLE), "--json")
    assert (told.status, notes(told)) == (0, [])
