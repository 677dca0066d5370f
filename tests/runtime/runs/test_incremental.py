"""Incremental runs: each object once, whatever comes between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .given import Place, lance, picture

NEW_ONLY = {"objects": {"uri": "pictures", "incremental": True}}


def test_a_second_run_with_nothing_new_is_a_success_that_says_so(place: Place) -> None:
    place.pictures(5)
    assert place.run(source=NEW_ONLY).status == 0
    before = place.dataset().version
    again = place.run(source=NEW_ONLY)
    assert again.status == 0
    assert "nothing to do" in again.first
    assert "5 objects" in again.first and "0 new or changed" in again.first
    assert place.dataset().version == before


def test_only_new_and_changed_objects_are_appended(place: Place) -> None:
    keys = place.pictures(4)
    place.run(source=NEW_ONLY)
    new = place.pictures(2, start=4)
    changed = place.folder / "pictures" / keys[1]
    changed.write_bytes(picture(99, side=32))
    assert place.run(source=NEW_ONLY).status == 0
    assert place.keys() == [*keys, keys[1], *new]


def test_by_upsert_a_changed_object_takes_the_place_of_its_row(place: Place) -> None:
    keys = place.pictures(4)
    upsert = lance(mode="upsert", key=["key"])
    place.run(source=NEW_ONLY, sink=upsert)
    changed = place.folder / "pictures" / keys[1]
    changed.write_bytes(picture(99, side=32))
    new = place.pictures(1, start=4)
    assert place.run(source=NEW_ONLY, sink=upsert).status == 0
    rows = {r["key"]: r["size"] for r in place.dataset().to_table().to_pylist()}
    assert sorted(rows) == sorted([*keys, *new])
    assert place.dataset().count_rows() == 5
    assert rows[keys[1]] == changed.stat().st_size


def test_a_limited_run_leaves_the_other_objects_new(place: Place) -> None:
    keys = place.pictures(5)
    for read in (2, 4, 5):
        assert place.run("--limit", "2", source=NEW_ONLY).status == 0
        assert place.keys() == keys[:read]
    assert "nothing to do" in place.run("--limit", "2", source=NEW_ONLY).first


def test_what_a_limited_run_left_is_new_also_when_incremental_comes_later(place: Place) -> None:
    keys = place.pictures(5)
    assert place.run("--limit", "2").status == 0
    assert place.run(source=NEW_ONLY).status == 0
    assert place.keys() == keys


def test_a_sample_reads_nothing_away(place: Place) -> None:
    keys = place.pictures(5)
    assert place.run("--sample", "2", source=NEW_ONLY).status == 0
    assert place.run(source=NEW_ONLY).status == 0
    assert place.keys() == keys


def test_objects_of_a_failed_run_are_new_to_the_next(place: Place) -> None:
    keys = place.pictures(3)
    never = [{"name": "never", "query": "select 1 from output limit 1", "expect": {"equals": 2}}]
    assert place.run(source=NEW_ONLY, validate=never).status == 1
    assert place.run(source=NEW_ONLY).status == 0
    assert place.keys() == keys


def test_a_run_that_is_resumed_behind_another_one_does_not_append_its_objects_again(
    place: Place,
) -> None:
    keys = place.pictures(3)
    never = [{"name": "never", "query": "select 1 from output limit 1", "expect": {"equals": 2}}]
    assert place.run("--run-id", "r1", source=NEW_ONLY, validate=never).status == 1
    new = place.pictures(1, start=3)
    assert place.run("--run-id", "r2", source=NEW_ONLY).status == 0
    told = place.run("--resume", "r1", source=NEW_ONLY)
    assert told.status == 1
    assert "run r2 of cats was committed since run r1 saw" in told.all
    assert "nothing to do" in place.run(source=NEW_ONLY).first
    assert place.keys() == [*keys, *new]


def test_objects_of_a_run_that_was_undone_are_new_again(place: Place) -> None:
    keys = place.pictures(2)
    place.run(source=NEW_ONLY)
    before = place.dataset().version
    new = place.pictures(1, start=2)
    place.run(source=NEW_ONLY)
    place.dataset().checkout_version(before).restore()
    assert place.keys() == keys
    place.run(source=NEW_ONLY)
    assert place.keys() == [*keys, *new]


def test_objects_of_another_folder_are_not_taken_for_those_of_the_last_one(place: Place) -> None:
    keys = place.pictures(2)
    place.run(source=NEW_ONLY)
    shutil.copytree(place.folder / "pictures", place.folder / "day2")
    told = place.run(source={"objects": {"uri": "day2", "incremental": True}})
    assert told.status == 1
    assert "the last run of this pipeline read" in told.all and "incremental to false" in told.all
    assert place.run(source={"objects": {"uri": "day2"}}).status == 0
    assert place.keys() == [*keys, *keys]


def test_a_run_that_died_behind_its_commit_has_read_its_objects(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine.ledger import Ledger

    keys = place.pictures(4)

    def die(self: Ledger, outcome: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "write_outcome", die)
        place.run("--run-id", "first", source=NEW_ONLY)
    assert place.keys() == keys
    assert place.runs()[0]["state"] == "unfinished"
    assert "nothing to do" in place.run(source=NEW_ONLY).first
    assert place.keys() == keys


def test_what_a_run_that_died_behind_its_commit_set_aside_is_not_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine import run

    keys = place.pictures(3)
    (place.folder / "pictures" / keys[1]).write_bytes(b"no picture")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run, "close_books", die)
        place.run(source=NEW_ONLY, errors={"maxRate": 0.5})
    assert place.keys() == [keys[0], keys[2]]
    assert place.set_aside() == {}
    assert "nothing to do" in place.run(source=NEW_ONLY).first
    assert set(place.set_aside()) == {keys[1]}
    assert next(run["state"] for run in place.runs()) == "committed"


def test_a_set_aside_object_is_not_tried_again_until_it_changes(place: Place) -> None:
    keys = place.pictures(3)
    broken = place.folder / "pictures" / keys[1]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    lenient = {"maxRate": 0.5}
    assert place.run(source=NEW_ONLY, errors=lenient).status == 0
    assert place.set_aside() == {keys[1]: "Truncated"}
    assert "nothing to do" in place.run(source=NEW_ONLY, errors=lenient).first
    broken.write_bytes(whole)
    assert place.run(source=NEW_ONLY, errors=lenient).status == 0
    assert place.keys() == [keys[0], keys[2], keys[1]]


@pytest.mark.parametrize("sink", [lance(), lance(mode="upsert", key=["key"])])
def test_new_objects_that_are_all_set_aside_are_not_tried_again(place: Place, sink: Any) -> None:
    keys = place.pictures(3)
    place.run(source=NEW_ONLY, sink=sink)
    (place.folder / "pictures" / "z.jpg").write_bytes(b"no picture")
    lenient = {"maxRate": 1.0}
    assert place.run(source=NEW_ONLY, sink=sink, errors=lenient).status == 0
    assert "nothing to do" in place.run(source=NEW_ONLY, sink=sink, errors=lenient).first
    assert place.keys() == keys
    place.dataset().validate()


def test_an_object_with_an_older_time_and_another_size_is_changed(place: Place) -> None:
    keys = place.pictures(2)
    place.run(source=NEW_ONLY)
    changed: Path = place.folder / "pictures" / keys[0]
    changed.write_bytes(picture(50, side=40))
    os.utime(changed, (1, 1))
    place.run(source=NEW_ONLY)
    assert place.keys() == [*keys, keys[0]]
