"""Exactly once: killed anywhere, raced by anyone, with the history gone."""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest
from lance import LanceDataset, LanceOperation, Transaction

from lancemill.errors import RunConflict
from lancemill.sinks import open_sink
from lancemill.sinks.sink import Committed, ShardOutput
from lancemill.tables import commit, history
from lancemill.tables.create import create
from lancemill.tables.table import Table
from lancemill_api.sink import Sink as SinkSpec
from support.pour import Pour, pour, run_ref

SPAWN = multiprocessing.get_context("spawn")
POINTS = ("proposed", "committed", "settled")
MODES: dict[str, dict[str, Any]] = {
    "append": {},
    "overwrite": {},
    "upsert": {"key": ["key"]},
    "addColumns": {"columns": ["twice"]},
}


def rows(start: int, stop: int) -> pa.Table:
    numbers = list(range(start, stop))
    return pa.table({"key": [f"k{n}" for n in numbers], "n": numbers})


def sink_at(folder: Path, mode: str = "append") -> Any:
    spec = {"lance": {"uri": "cats.lance", "mode": mode, **MODES[mode]}}
    return open_sink(SinkSpec.model_validate(spec), {}, base=folder)


def written(folder: Path, mode: str) -> Pour:
    """A run over 8 rows whose shards are written; the dataset has 4 of them already."""
    if mode != "append":
        pour(sink_at(folder, "append"), [rows(0, 4)], run="r0").commit()
    if mode != "addColumns":
        return pour(sink_at(folder, mode), [rows(0, 3), rows(3, 8)])
    pour(sink_at(folder, "append"), [rows(4, 8)], run="r00").commit()
    there = lance.dataset(folder / "cats.lance").to_table(columns=["n"], with_row_id=True)
    twice = pa.array([2 * n for n in there.column("n").to_pylist()])
    new = pa.table({"twice": twice, "_rowid": there.column("_rowid")})
    return pour(sink_at(folder, mode), [new.slice(0, 3), new.slice(3)])


def keep(run: Pour, folder: Path) -> None:
    """What a ledger would hold, for another process."""
    outputs = [[o.fragments, o.files, o.rows, o.bytes] for o in run.outputs]
    (folder / "ledger.json").write_text(json.dumps([run.base, outputs]))


def kept(folder: Path, mode: str, schema: pa.Schema) -> Pour:
    base, outputs = json.loads((folder / "ledger.json").read_text())
    told = [ShardOutput(tuple(f), tuple(n), r, b) for f, n, r, b in outputs]
    return Pour(sink_at(folder, mode), schema, run_ref(), base, told)


def commit_and_die(folder: Path, mode: str, schema: pa.Schema, point: str) -> None:
    """In a process of its own: killed when the commit comes to `point`."""
    run = kept(folder, mode, schema)

    def die(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    run.sink.checkpoint = die  # type: ignore[attr-defined]
    run.commit()


def what_is_there(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lance.dataset(folder / "cats.lance").to_table().to_pylist()
    return found


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_in_its_commit_is_finished_by_the_next(tmp_path: Path, point: str) -> None:
    run = written(tmp_path, "append")
    keep(run, tmp_path)
    child = SPAWN.Process(target=commit_and_die, args=(tmp_path, "append", run.schema, point))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    done = kept(tmp_path, "append", run.schema).commit()
    assert done.already == (point != "proposed")
    assert what_is_there(tmp_path) == rows(0, 8).to_pylist()


class Dead(BaseException):
    """Ends a commit where it is, as a kill does: nobody catches it, nothing is put in order."""


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("mode", MODES)
def test_a_commit_that_ends_anywhere_is_finished_by_the_next_attempt(
    tmp_path: Path, mode: str, point: str
) -> None:
    run = written(tmp_path, mode)
    keep(run, tmp_path)

    def die(here: str) -> None:
        if here == point:
            raise Dead

    run.sink.checkpoint = die  # type: ignore[attr-defined]
    with pytest.raises(Dead):
        run.commit()
    resumed = kept(tmp_path, mode, run.schema)
    done = resumed.commit()
    assert done.already == (point != "proposed")
    expected = rows(0, 8).to_pylist()
    if mode == "addColumns":
        expected = [{**row, "twice": 2 * row["n"]} for row in expected]
    assert what_is_there(tmp_path) == expected
    assert resumed.committed() == Committed(done.version, done.rows)
    assert resumed.commit() == Committed(done.version, done.rows, already=True)
    assert what_is_there(tmp_path) == expected


@pytest.mark.parametrize("mode", MODES)
def test_two_drivers_of_one_run_commit_it_once(tmp_path: Path, mode: str) -> None:
    run = written(tmp_path, mode)
    keep(run, tmp_path)
    start = threading.Barrier(3)

    def drive(_: int) -> Any:
        mine = kept(tmp_path, mode, run.schema)
        start.wait()
        return mine.commit()

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(drive, range(3)))
    assert len({one.version for one in done}) == 1
    assert [row["n"] for row in what_is_there(tmp_path)] == list(range(8))


def committed_behind_its_back(run: Pour) -> int:
    """What a driver does that was overtaken between its look at the history and its commit."""
    uri = run.sink.uri
    version = lance.dataset(uri).version
    operation = run.sink._propose(  # type: ignore[attr-defined]
        run.ref, run.outputs, run.schema, run.base, lance.dataset(uri), history.History((), True)
    ).operation
    said = {**history.made_by(run.ref), "lancemill.rows": "8"}
    made = LanceDataset.commit(uri, Transaction(version, operation, transaction_properties=said))
    return int(made.version)


def test_rows_of_a_driver_that_was_overtaken_are_taken_back(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    first = committed_behind_its_back(run)
    committed_behind_its_back(run)
    assert len(what_is_there(tmp_path)) == 16
    done = run.commit()
    assert (done.version, done.already) == (first, True)
    assert what_is_there(tmp_path) == rows(0, 8).to_pylist()
    lance.dataset(tmp_path / "cats.lance").validate()


def test_they_are_taken_back_even_after_a_compaction(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    committed_behind_its_back(run)
    committed_behind_its_back(run)
    lance.dataset(tmp_path / "cats.lance").optimize.compact_files()
    run.commit()
    assert what_is_there(tmp_path) == rows(0, 8).to_pylist()


def test_the_next_run_takes_them_back_if_the_driver_never_returns(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    committed_behind_its_back(run)
    committed_behind_its_back(run)
    pour(sink_at(tmp_path), [rows(8, 9)], run="r2").commit()
    assert what_is_there(tmp_path) == rows(0, 9).to_pylist()


def test_a_dataset_without_stable_row_ids_stays_usable_after_a_lost_race(tmp_path: Path) -> None:
    lance.write_dataset(rows(0, 1), str(tmp_path / "cats.lance"))
    run = pour(sink_at(tmp_path), [rows(1, 4), rows(4, 8)])
    committed_behind_its_back(run)
    committed_behind_its_back(run)
    run.commit()
    assert what_is_there(tmp_path) == rows(0, 8).to_pylist()
    assert run.commit().already
    pour(sink_at(tmp_path), [rows(8, 9)], run="r2").commit()
    assert what_is_there(tmp_path) == rows(0, 9).to_pylist()


def test_a_run_is_known_after_its_version_was_cleaned_up(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    done = run.commit()
    forget_the_past(tmp_path)
    assert run.committed() == Committed(done.version, done.rows)
    assert run.commit().already
    assert what_is_there(tmp_path) == rows(0, 8).to_pylist()
    assert run.sink.last_run("cats") == "r1"


def test_a_first_commit_does_not_need_the_history(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    lance.dataset(tmp_path / "cats.lance").insert(rows(100, 101))
    lance.dataset(tmp_path / "cats.lance").insert(rows(101, 102))
    forget_the_past(tmp_path, keep_unverified=True)
    run.commit()
    assert [row["n"] for row in what_is_there(tmp_path)] == [100, 101, *range(8)]


def test_a_commit_that_cannot_be_known_is_refused(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    keep(run, tmp_path)
    child = SPAWN.Process(target=commit_and_die, args=(tmp_path, "append", run.schema, "committed"))
    child.start()
    child.join()
    lance.dataset(tmp_path / "cats.lance").insert(rows(100, 101))
    forget_the_past(tmp_path)
    with pytest.raises(RunConflict, match="an earlier attempt began to commit run r1"):
        run.commit()
    assert len(what_is_there(tmp_path)) == 9


def forget_the_past(folder: Path, keep_unverified: bool = False) -> None:
    lance.dataset(folder / "cats.lance").cleanup_old_versions(
        older_than=datetime.timedelta(0), delete_unverified=not keep_unverified
    )


def test_runs_that_commit_at_the_same_time_all_get_in(tmp_path: Path) -> None:
    sink_at(tmp_path).prepare(rows(0, 1).schema, run_ref("r"))
    runs = [pour(sink_at(tmp_path), [rows(10 * n, 10 * n + 3)], run=f"r{n}") for n in range(5)]
    with ThreadPoolExecutor(5) as pool:
        done = list(pool.map(Pour.commit, runs))
    assert len({one.version for one in done}) == 5
    expected = sorted(n for start in range(0, 50, 10) for n in range(start, start + 3))
    assert sorted(row["n"] for row in what_is_there(tmp_path)) == expected
    known = history.mirrored(lance.dataset(tmp_path / "cats.lance"), "cats")
    assert {record.run for record in known} <= {f"r{n}" for n in range(5)}


@pytest.mark.parametrize("round_", range(20))
def test_of_racing_creators_one_makes_the_dataset_and_nobody_loses_rows(
    tmp_path: Path, round_: int
) -> None:
    start = threading.Barrier(4)

    def make(number: int) -> None:
        start.wait()
        run = pour(sink_at(tmp_path), [rows(number, number + 1)], run=f"r{number}")
        run.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert sorted(row["n"] for row in what_is_there(tmp_path)) == [0, 1, 2, 3]


def test_the_mirror_keeps_a_bounded_number_of_runs(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "cats.lance"))
    create(table, rows(0, 1).schema)
    for number in range(history.MIRRORED_RUNS + 3):
        record = history.RunRecord(f"r{number}", number, 1)
        commit._mirror(table, "cats", record)
    known = history.mirrored(table.open(), "cats")
    assert [record.run for record in known] == [f"r{n}" for n in range(18, 2, -1)]


def test_two_pipelines_that_share_a_run_id_take_nothing_from_each_other(tmp_path: Path) -> None:
    pour(sink_at(tmp_path), [rows(0, 2)], run="day1", pipeline="cats").commit()
    with pytest.raises(RunConflict, match="another run of the id day1"):
        pour(sink_at(tmp_path), [rows(2, 4)], run="day1", pipeline="dogs")
    # As an older version of ours let it pass.
    table = Table(str(tmp_path / "cats.lance"))
    dogs = pour(sink_at(tmp_path), [rows(2, 4)], run="day2", pipeline="dogs")
    made = dogs.sink._propose(  # type: ignore[attr-defined]
        dogs.ref, dogs.outputs, dogs.schema, dogs.base, table.open(), history.History((), True)
    )
    commit._commit(table, made, run_ref("day1", "dogs"))
    pour(sink_at(tmp_path), [rows(4, 5)], run="day3").commit()
    assert what_is_there(tmp_path) == rows(0, 5).to_pylist()


@pytest.mark.parametrize("anew", [False, True], ids=["removed", "made anew"])
def test_a_run_does_not_go_on_in_a_dataset_that_was_made_anew(tmp_path: Path, anew: bool) -> None:
    done = pour(sink_at(tmp_path), [rows(0, 4)], run="r1")
    done.commit()
    under_way = pour(sink_at(tmp_path), [rows(4, 6)], run="r2")
    shutil.rmtree(tmp_path / "cats.lance")
    if anew:
        for number in range(3):
            pour(sink_at(tmp_path), [rows(number, number + 1)], run=f"n{number}").commit()
    for run in (done, under_way):
        for ask in (run.commit, run.committed):
            with pytest.raises(RunConflict, match="it was removed"):
                ask()
    if anew:
        assert what_is_there(tmp_path) == rows(0, 3).to_pylist()


@pytest.mark.parametrize("dies", [False, True])
def test_of_two_incremental_runs_that_commit_at_once_the_later_takes_its_rows_back(
    tmp_path: Path, dies: bool
) -> None:
    sink = sink_at(tmp_path)
    late, other = pour(sink, [rows(0, 4)], run="late"), pour(sink, [rows(0, 5)], run="other")
    late.base["after"] = other.base["after"] = None

    def overtake(point: str) -> None:
        if point == "proposed":
            sink.checkpoint = lambda _: None
            other.commit()
            sink.checkpoint = overtake
        if point == "committed" and dies:
            raise KeyboardInterrupt

    sink.checkpoint = overtake
    with pytest.raises(KeyboardInterrupt if dies else RunConflict):
        late.commit()
    sink.checkpoint = lambda _: None
    assert sink.last_run("cats") == "other"
    if dies:
        assert len(what_is_there(tmp_path)) == 9
        last = pour(sink, [rows(5, 6)], run="next")
    for ask in (late.commit, late.committed):
        with pytest.raises(RunConflict, match="run other of cats was committed since run late"):
            ask()
    assert what_is_there(tmp_path) == rows(0, 5).to_pylist()
    if dies:
        last.base["after"] = "other"
        last.commit()
        assert (sink.last_run("cats"), len(what_is_there(tmp_path))) == ("next", 6)


def test_rows_deleted_by_others_stay_deleted(tmp_path: Path) -> None:
    run = written(tmp_path, "append")
    run.commit()
    lance.dataset(tmp_path / "cats.lance").delete("n < 4")
    assert run.commit().already
    assert [row["n"] for row in what_is_there(tmp_path)] == [4, 5, 6, 7]


def test_a_table_that_is_not_there_has_no_commits(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "cats.lance"))
    assert commit.settle(table, run_ref(), 0) is None
    create(table, pa.schema([pa.field("a", pa.int8())]))
    assert commit.settle(table, run_ref(), 0) is None
    assert isinstance(LanceOperation.Append([]), LanceOperation.BaseOperation)
