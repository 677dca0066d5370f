"""Runs that fail: what is told, what is kept, and that going on does nothing twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.servers import faulty_http

from .given import Place, one_line, picture, small_shards


def at_least(rows: int) -> list[dict[str, Any]]:
    query = "select count(*) from output"
    return [{"name": "enough", "query": query, "expect": {"min": rows}}]


def cut_short(place: Place, *keys: str) -> None:
    for key in keys:
        path = place.folder / "pictures" / key
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def done_files(place: Place, run: str) -> dict[str, int]:
    """The ledger's entries of finished shards, with the times at which they were written."""
    folder = place.folder / "out.lance.runs" / run / "done"
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def data_files(place: Place) -> set[str]:
    return {path.name for path in (place.folder / "out.lance" / "data").iterdir()}


def versions(place: Place) -> int:
    return len(place.dataset().versions())


# -- validate


def test_a_condition_that_does_not_hold_commits_nothing_and_says_why(place: Place) -> None:
    place.pictures(4)
    told = place.run("--run-id", "v1", validate=at_least(5))
    line = one_line(told, 1)
    assert "enough: found 4, expected at least 5" in line
    assert "nothing was committed" in told.all
    assert place.keys() == []
    assert place.runs()[0]["state"] == "unfinished"


def test_with_the_condition_mended_the_run_commits_without_doing_shards_again(
    place: Place,
) -> None:
    keys = place.pictures(6)
    place.arguments = small_shards(place.folder / "pictures", 3)
    summary = [{"name": "count", "query": "select count(*) n from output"}]
    assert place.run("--run-id", "v1", validate=at_least(7)).status == 1
    shards, files = done_files(place, "v1"), data_files(place)
    assert len(shards) >= 3
    for key in keys:
        (place.folder / "pictures" / key).unlink()
    told = place.run("--resume", "v1", validate=at_least(6), summary=summary)
    assert told.status == 0, told.all
    assert place.keys() == keys
    assert done_files(place, "v1") == shards
    assert data_files(place) == files


@pytest.mark.parametrize("sink", ["lance", "jsonl"])
def test_a_condition_is_checked_also_where_the_source_has_no_row(place: Place, sink: str) -> None:
    (place.folder / "pictures").mkdir()
    into = {sink: {"uri": f"out.{sink}", "columns": ["key"]}}
    line = one_line(place.run(sink=into, stages=[], validate=at_least(1)), 1)
    assert "enough: found 0, expected at least 1" in line
    assert "nothing to do" in place.run(sink=into, stages=[], validate=at_least(0)).first
    incremental = {"objects": {"uri": "pictures", "incremental": True}}
    if sink == "lance":
        told = place.run(sink=into, stages=[], validate=at_least(1), source=incremental)
        assert "nothing to do" in told.first


def test_a_commit_that_lacks_a_shard_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.tables import commit

    place.pictures(6)
    place.arguments = small_shards(place.folder / "pictures", 3)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(commit, "_commit", die)
        place.run("--run-id", "v1")
    done = sorted((place.folder / "out.lance.runs" / "v1" / "done").iterdir())
    done[1].unlink()
    line = one_line(place.run("--resume", "v1"), 1)
    assert f"of its {len(done)} shards the records of 1 are gone from its ledger (1)" in line
    assert place.keys() == []


def test_shards_whose_record_is_gone_are_not_taken_for_those_of_another_listing(
    place: Place,
) -> None:
    place.pictures(6)
    place.arguments = small_shards(place.folder / "pictures", 3)
    assert place.run("--run-id", "v1", validate=at_least(7)).status == 1
    (place.folder / "out.lance.runs" / "v1" / "run.json").unlink()
    (place.folder / "pictures" / "a-new-one.jpg").write_bytes(picture(50))
    line = one_line(place.run("--run-id", "v1"), 1)
    assert "has shards, and its run.json is gone" in line
    assert place.keys() == []


def test_a_finished_run_changes_nothing_when_the_dataset_has_forgotten_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.tables import history

    monkeypatch.setattr(history, "MIRRORED_RUNS", 1)
    keys = place.pictures(2)
    assert place.run("--run-id", "first").status == 0
    assert place.run("--run-id", "second").status == 0
    place.dataset().cleanup_old_versions(timedelta(0))
    before = place.dataset().version
    again = place.run("--run-id", "first")
    assert again.status == 0, again.all
    assert place.dataset().version == before
    assert place.keys() == [*keys, *keys]


def test_a_failed_condition_leaves_no_version_behind(place: Place) -> None:
    place.pictures(2)
    place.run()
    before = {path.name for path in (place.folder / "out.lance" / "_versions").iterdir()}
    assert place.run(validate=at_least(100)).status == 1
    after = {path.name for path in (place.folder / "out.lance" / "_versions").iterdir()}
    assert after == before


def test_a_query_over_a_column_that_is_not_there_is_a_mistake(place: Place) -> None:
    place.pictures(2)
    wrong = [
        {"name": "typo", "query": "select count(*) from output where imgae is null",
         "expect": {"max": 0}}
    ]  # fmt: skip
    told = place.run(validate=wrong)
    assert told.status == 2
    assert "spec.validate[0].query" in told.all and "imgae" in told.all
    assert not (place.folder / "out.lance").exists()


@pytest.mark.parametrize(
    ("columns", "where"), [(None, "lance"), (["id", "a.b"], "lance.columns[1]")]
)
def test_a_column_with_a_dot_in_its_name_is_a_mistake(
    place: Place, columns: list[str] | None, where: str
) -> None:
    pq.write_table(pa.table({"a.b": ["x"], "id": [1]}), place.folder / "in.parquet")
    source = {"table": {"format": "parquet", "uri": "in.parquet"}}
    sink = {"lance": {"uri": "out.lance", **({"columns": columns} if columns else {})}}
    told = place.run(source=source, stages=[], sink=sink)
    assert told.status == 2
    assert f"spec.sink.{where}  'a.b' has a dot in its name" in told.all
    assert not (place.folder / "out.lance").exists()


def test_a_query_that_gives_no_number_fails_the_run_with_its_name(place: Place) -> None:
    place.pictures(2)
    many = [{"name": "many", "query": "select key from output", "expect": {"max": 0}}]
    line = one_line(place.run(validate=many), 1)
    assert "many: found 2 rows" in line


def test_a_value_that_is_no_number_fails_the_run_in_one_line(place: Place) -> None:
    place.pictures(2)
    text = [{"name": "text", "query": "select max(key) from output", "expect": {"max": 0}}]
    assert "text: found p001.jpg" in one_line(place.run(validate=text), 1)


# -- the budget


def test_too_many_failed_rows_end_the_run_and_name_the_most_frequent_reason(
    place: Place,
) -> None:
    keys = place.pictures(10)
    cut_short(place, *keys[:2])
    (place.folder / "pictures" / keys[3]).write_bytes(b"no picture")
    told = place.run("--run-id", "b1", errors={"maxRate": 0.2})
    line = one_line(told, 1)
    assert "3 of 10 rows failed" in line and "at most 20" in line
    assert "2 x Truncated" in line
    assert "nothing was committed" in told.all
    assert place.keys() == []


def test_a_run_ends_as_soon_as_the_rate_is_out_of_reach(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.engine import context

    monkeypatch.setattr(context, "usable_cores", lambda: 2)  # many would have all rows in hand
    keys = place.pictures(120)
    cut_short(place, *keys[:30])
    place.arguments = small_shards(place.folder / "pictures", 30)
    _, told = place.run_json(errors={"maxRate": 0.01})
    assert told["result"] == "failed"
    decoded = next(s for s in told["stages"] if "decode" in s["name"] or "fetch" in s["name"])
    assert decoded["rowsIn"] < 120


def test_after_maxrate_is_raised_the_run_goes_on_with_what_is_kept(place: Place) -> None:
    keys = place.pictures(40)
    cut_short(place, *keys[-6:])
    place.arguments = small_shards(place.folder / "pictures", 8)
    assert place.run("--run-id", "b1", errors={"maxRate": 0.1}).status == 1
    kept = done_files(place, "b1")
    told = place.run("--resume", "b1", errors={"maxRate": 0.2})
    assert told.status == 0, told.all
    assert place.keys() == keys[:-6]
    assert place.set_aside() == dict.fromkeys(keys[-6:], "Truncated")
    assert kept.items() <= done_files(place, "b1").items()


def test_maxrows_ends_a_run_whatever_its_rate(place: Place) -> None:
    keys = place.pictures(10)
    cut_short(place, *keys[:2])
    line = one_line(place.run(errors={"maxRate": 1.0, "maxRows": 1}), 1)
    assert "2 of 10 rows failed" in line and "at most 1 rows" in line


# -- what becomes of one row


def test_a_row_that_fails_is_set_aside_with_its_reason(place: Place) -> None:
    keys = place.pictures(5)
    cut_short(place, keys[1])
    (place.folder / "pictures" / keys[3]).write_bytes(b"")
    told = place.run(errors={"maxRate": 0.5})
    assert told.status == 0
    assert "2 set aside" in told.first
    assert place.keys() == [keys[0], keys[2], keys[4]]
    reasons = place.set_aside()
    assert set(reasons) == {keys[1], keys[3]}
    assert reasons[keys[1]] == "Truncated"


def test_by_null_a_row_is_kept_without_its_picture_and_counts_all_the_same(place: Place) -> None:
    keys = place.pictures(5)
    cut_short(place, keys[1])
    assert place.run(errors={"onRow": "null", "maxRate": 0.5}).status == 0
    rows = place.dataset().to_table().to_pylist()
    assert [row["key"] for row in rows] == keys
    assert [row["image"] is None for row in rows] == [False, True, False, False, False]
    assert "1 of 5 rows failed" in one_line(place.run(errors={"onRow": "null"}), 1)


def test_by_fail_the_first_row_ends_the_run_and_is_named(place: Place) -> None:
    keys = place.pictures(5)
    cut_short(place, keys[2])
    line = one_line(place.run(errors={"onRow": "fail", "maxRate": 1.0}), 1)
    assert f"row {keys[2]}" in line and "Truncated" in line
    assert place.keys() == []


def test_the_first_rule_that_matches_decides(place: Place) -> None:
    keys = place.pictures(5)
    cut_short(place, keys[1])
    (place.folder / "pictures" / keys[3]).write_bytes(b"no picture")
    rules = [{"match": {"reason": "Truncated"}, "action": "null"}]
    told = place.run(errors={"maxRate": 0.5, "rules": rules})
    assert told.status == 0
    assert place.keys() == [keys[0], keys[1], keys[2], keys[4]]
    rows = place.dataset("out.lance.quarantine").to_table().to_pylist()
    assert {r["key"]: r["action"] for r in rows} == {keys[1]: "null", keys[3]: "quarantine"}


def http_source(server: str) -> dict[str, Any]:
    return {"objects": {"uri": f"{server}/", "include": ["*.jpg"]}}


def test_a_rule_that_retries_saves_rows_that_failed_at_first(place: Place) -> None:
    files = {f"p{index}.jpg": picture(index) for index in range(3)}
    fetch = {"column": "uri", "attempts": 1, "allowPrivateAddresses": True}
    stages = [{"name": "fetch", "fetch": fetch}]
    rule = {"stage": "fetch", "match": {"reason": "HttpStatus", "regex": "503"},
            "action": "retry", "attempts": 3, "backoff": "10ms"}  # fmt: skip
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "bytes"]}}
    with faulty_http(files, statuses={"/p1.jpg": (503, 503)}, only="GET /p") as server:
        told = place.run(
            source=http_source(server.url), stages=stages, sink=sink, errors={"rules": [rule]}
        )
    assert told.status == 0, told.all
    assert place.keys() == sorted(files)
    assert place.set_aside() == {}


def test_a_rule_that_retries_in_vain_ends_as_onrow_says(place: Place) -> None:
    files = {f"p{index}.jpg": picture(index) for index in range(3)}
    fetch = {"column": "uri", "attempts": 1, "allowPrivateAddresses": True}
    rule = {"stage": "fetch", "action": "retry", "attempts": 2, "backoff": "10ms"}
    sink = {"lance": {"uri": "out.lance", "columns": ["key", "bytes"]}}
    with faulty_http(files, statuses={"/p1.jpg": (503,) * 9}, only="GET /p") as server:
        told = place.run(
            source=http_source(server.url),
            stages=[{"name": "fetch", "fetch": fetch}],
            sink=sink,
            errors={"rules": [rule], "maxRate": 0.5},
        )
        asked = [r.method for r in server.requests if r.path == "/p1.jpg"].count("GET")
    assert told.status == 0, told.all
    assert asked == 2
    assert place.set_aside() == {"p1.jpg": "HttpStatus"}


# -- the same id


def test_another_meaning_under_the_same_id_is_refused_with_the_difference(place: Place) -> None:
    place.pictures(3)
    assert place.run("--run-id", "m1", validate=at_least(9)).status == 1
    told = place.run("--run-id", "m1", source={"objects": {"uri": "elsewhere"}})
    line = one_line(told, 1)
    assert "another manifest" in line and "elsewhere" in line and "pictures" in line


def test_the_difference_names_the_stage_that_changed(place: Place) -> None:
    from .given import spec

    place.pictures(3)
    assert place.run("--run-id", "m1", validate=at_least(9)).status == 1
    stages = spec()["stages"]
    stages[2]["resize"]["width"] = 16
    line = one_line(place.run("--resume", "m1", stages=stages), 1)
    assert "width: 8 before, 16 now" in line


def test_tuning_does_not_change_what_a_run_means(place: Place) -> None:
    from .given import spec

    keys = place.pictures(4)
    assert place.run("--run-id", "m1", validate=at_least(9)).status == 1
    stages = spec()["stages"]
    stages[0]["fetch"] |= {"timeout": "5s", "attempts": 7}
    stages[1]["placement"] = {"batchSize": 2}
    cluster = {"workerGroups": [{"name": "cpu", "resources": {"cpu": 2, "memory": "32Gi"}}]}
    told = place.run("--resume", "m1", stages=stages, cluster=cluster, errors={"maxRate": 0.5})
    assert told.status == 0, told.all
    assert place.keys() == keys


def test_an_id_that_there_is_no_run_of_cannot_be_resumed(place: Place) -> None:
    place.pictures(2)
    told = place.run("--resume", "nosuch")
    assert "no run nosuch" in one_line(told, 1)
    assert "lancemill runs" in told.all


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "a b\n", "x" * 300])
def test_an_id_that_is_no_name_is_refused(place: Place, name: str, tmp_path: Path) -> None:
    place.pictures(1)
    before = sorted(path.name for path in tmp_path.iterdir())
    told = place.run("--run-id", name)
    assert told.status == 2, told.all
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*before, "pipeline.yaml"])


def test_a_committed_run_under_its_id_changes_nothing(place: Place) -> None:
    keys = place.pictures(3)
    place.run("--run-id", "m1")
    count = versions(place)
    told = place.run("--run-id", "m1")
    assert told.status == 0 and "had been committed before" in told.all
    assert versions(place) == count
    assert place.keys() == keys
