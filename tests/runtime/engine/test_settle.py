"""What came of a run is asked while its driver dies, or stands still, at any moment of its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from lancemill.engine import settle as settling
from lancemill.engine.context import local_context
from lancemill.engine.ledger import Ledger
from lancemill.engine.outcome import Outcome
from lancemill.engine.prepare import prepare
from lancemill.engine.run import RunInProgress, RunOptions
from lancemill.engine.settle import settle_job
from lancemill.errors import Interrupted, Overtaken, RunConflict, StorageError
from lancemill.manifest import Job, load
from support.sampled import sampled

KEYS = [f"k{n}" for n in range(8)]
SUMMARY = [{"name": "rows", "query": "select count(*) as n from output"}]
POINTS = ("checked", "begun", "proposed", "committed", "settled")
"""Where a driver may be, from its last look at the ledger to the end of its commit."""
SINKS: dict[str, dict[str, Any]] = {
    "append": {"lance": {"uri": "out.lance", "columns": ["key", "size"]}},
    "overwrite": {"lance": {"uri": "out.lance", "mode": "overwrite", "columns": ["key", "size"]}},
    "upsert": {"lance": {"uri": "out.lance", "mode": "upsert", "key": ["key"]}},
    "addColumns": {"lance": {"uri": "out.lance", "mode": "addColumns", "columns": ["twice"]}},
    "parquet": {"parquet": {"uri": "out.parquet"}},
    "jsonl": {"jsonl": {"uri": "out.jsonl"}},
}


class Dead(BaseException):
    """Ends a driver where it is, as a kill does: nobody catches it."""


class Silent:
    def start(self, title: str, meter: Any) -> None: ...

    def event(self, text: str) -> None: ...


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drivers of these tests live in this process, and will not go on meanwhile."""
    monkeypatch.setattr(settling, "PATIENCE_S", 0.0)


@pytest.fixture(params=sampled(SINKS, first=1))
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def job(folder: Path, mode: str = "append", **changes: Any) -> Job:
    """A pipeline over eight files, or, to add a column, over the dataset that they are in."""
    source: dict[str, Any] = {"objects": {"uri": "files"}}
    stages: list[dict[str, Any]] = []
    if mode == "addColumns":
        import lance
        import pyarrow as pa

        source = {"table": {"uri": "out.lance", "format": "lance"}}
        query = "select _rowid, key, 2 * size as twice from input"
        stages = [{"name": "twice", "sql": {"query": query}}]
        if not (folder / "out.lance").exists():
            rows = pa.table({"key": KEYS, "size": [10] * len(KEYS)})
            lance.write_dataset(rows, str(folder / "out.lance"), enable_stable_row_ids=True)
    (folder / "files").mkdir(exist_ok=True)
    for key in KEYS:
        (folder / "files" / key).write_bytes(b"0123456789")
    body = {"source": source, "stages": stages, "sink": SINKS[mode], "summary": SUMMARY}
    manifest = folder / "pipeline.yaml"
    head = {"apiVersion": "lancemill.dev/v1alpha1", "kind": "MultimodalPipeline"}
    document = {**head, "metadata": {"name": "cats"}, "spec": {**body, **changes}}
    manifest.write_text(yaml.safe_dump(document))
    return load(manifest).job()


def attempt(job: Job, epoch: int = 1, shard_bytes: int | None = 20) -> RunInProgress:
    prepared = prepare(job.pipeline, job.datasets, job.base, local_context(job))
    options = RunOptions(run="r1", epoch=epoch, shard_bytes=shard_bytes)
    return RunInProgress(prepared, options, Silent())


def at(run: RunInProgress, point: str, act: Callable[[], None]) -> None:
    """Have `act` done once, when the driver comes to `point`."""
    left = [act]

    def once() -> None:
        if left:
            left.pop()()

    if point in ("checked", "begun"):
        decide = Ledger.decide

        def instead(verdict: str, **more: Any) -> None:
            if point == "checked":
                once()
            decide(run.ledger, verdict, **more)
            if point == "begun":
                once()

        run.ledger = _Watched(run.ledger, instead)  # type: ignore[assignment]
    else:
        run.sink.checkpoint = lambda here: once() if here == point else None  # type: ignore[attr-defined]


class _Watched:
    """A ledger with another way to decide."""

    def __init__(self, ledger: Ledger, decide: Callable[..., None]) -> None:
        self._ledger = ledger
        self.decide = decide

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def die() -> None:
    raise Dead


def rows(folder: Path, mode: str) -> list[Any]:
    """What a reader finds of the run, in the order of the keys."""
    if mode == "parquet":
        import pyarrow.parquet as pq

        place = folder / "out.parquet"
        return pq.read_table(place)["key"].to_pylist() if place.exists() else []
    if mode == "jsonl":
        place = folder / "out.jsonl"
        lines = place.read_text().splitlines() if place.exists() else []
        return [json.loads(line)["key"] for line in lines]
    import lance

    table = lance.dataset(str(folder / "out.lance")).to_table()
    if mode != "addColumns":
        return sorted(table["key"].to_pylist())
    made = "twice" in table.column_names and table["twice"].to_pylist() == [20] * len(KEYS)
    return table["key"].to_pylist() if made else []


def asked(job: Job, epoch: int = 2) -> Outcome:
    return settle_job(job, "r1", epoch)


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_that_died_had_committed_from_the_moment_it_said_so(
    tmp_path: Path, mode: str, point: str
) -> None:
    given = job(tmp_path, mode)
    driver = attempt(given)
    at(driver, point, die)
    with pytest.raises(Dead):
        driver.execute()
    said = asked(given)
    if point == "checked":
        assert (said.verdict, rows(tmp_path, mode)) == ("NotCommitted", [])
    else:
        assert (said.verdict, said.rows, rows(tmp_path, mode)) == ("Committed", 8, KEYS)
        assert said.summary == ({"name": "rows", "columns": ["n"], "rows": [{"n": "8"}]},)
        assert said.bytes > 0
    assert asked(given) == said


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_that_stood_still_changes_nothing_of_what_was_said(
    tmp_path: Path, mode: str, point: str
) -> None:
    given = job(tmp_path, mode)
    driver = attempt(given)
    said: list[Outcome] = []
    at(driver, point, lambda: said.append(asked(given)))
    with pytest.raises(Overtaken, match="taken over"):
        driver.execute()
    committed = point != "checked"
    assert said[0].verdict == ("Committed" if committed else "NotCommitted")
    assert rows(tmp_path, mode) == (KEYS if committed else [])
    assert asked(given) == said[0]


@pytest.mark.parametrize("point", POINTS)
def test_a_driver_that_stood_still_and_the_next_attempt_commit_once(
    tmp_path: Path, mode: str, point: str
) -> None:
    given = job(tmp_path, mode)
    driver = attempt(given)
    at(driver, point, lambda: attempt(given, 2).execute() and None)
    with pytest.raises(Overtaken, match="taken over"):
        driver.execute()
    assert rows(tmp_path, mode) == KEYS
    said = asked(given, 3)
    assert (said.verdict, said.rows) == ("Committed", 8)


@pytest.mark.parametrize("point", ["checked", "begun", "committed"])
@pytest.mark.parametrize("mode", ["append", "jsonl"])
def test_a_question_killed_at_any_of_its_writes_is_answered_by_the_next(
    tmp_path: Path, mode: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(tmp_path, mode)
    driver = attempt(given)
    at(driver, point, die)
    with pytest.raises(Dead):
        driver.execute()
    said = None
    for number in range(1, 40):
        with monkeypatch.context() as patched:
            die_at_write(patched, number)
            with suppress(Dead):
                said = asked(given)
                break
    assert number > 2, "it was killed where it wrote"
    committed = point != "checked"
    assert said is not None
    assert said.verdict == ("Committed" if committed else "NotCommitted")
    assert asked(given) == said
    assert rows(tmp_path, mode) == (KEYS if committed else [])


def die_at_write(patched: pytest.MonkeyPatch, number: int) -> None:
    """The `number`-th small object of this process is not written any more; even numbers: it is,
    and nothing behind it."""
    from lancemill.storage import Location

    put, put_new, writes = Location.put, Location.put_new, [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any) -> Any:
            writes[0] += 1
            if writes[0] == (number + 1) // 2 and number % 2:
                raise Dead
            done = real(*arguments)
            if writes[0] == (number + 1) // 2:
                raise Dead
            return done

        return instead

    patched.setattr(Location, "put", counted(put))
    patched.setattr(Location, "put_new", counted(put_new))


@pytest.mark.parametrize("point", ["proposed", "committed", "settled"])
def test_a_question_killed_in_the_commit_that_it_finishes_is_answered_by_the_next(
    tmp_path: Path, mode: str, point: str
) -> None:
    given = job(tmp_path, mode)
    driver = attempt(given)
    at(driver, "begun", die)
    with pytest.raises(Dead):
        driver.execute()
    sink = attempt(given, 2).sink
    sink.checkpoint = lambda here: die() if here == point else None  # type: ignore[attr-defined]
    with pytest.raises(Dead):
        settling.settle(sink, "r1", 2)
    said = asked(given)
    assert (said.verdict, said.rows, rows(tmp_path, mode)) == ("Committed", 8, KEYS)


def test_a_run_that_never_began_is_closed_to_the_attempts_before(tmp_path: Path) -> None:
    given = job(tmp_path)
    said = asked(given)
    assert (said.run, said.attempt, said.verdict) == ("r1", 2, "NotCommitted")
    assert said.message == "it had not listed its source"
    with pytest.raises(Overtaken, match="taken over under epoch 2; epoch 1 does nothing"):
        attempt(given).execute()
    assert not (tmp_path / "out.lance").exists()
    assert attempt(given, 2).execute().end == "committed"
    assert asked(given, 3).verdict == "Committed"


def stopped_after(driver: RunInProgress, shards: int) -> None:
    finish, done = driver._finish, []

    def stop_early(result: Any, base: Any) -> None:
        finish(result, base)
        done.append(1)
        if len(done) == shards:
            raise Interrupted("stopped")

    driver._finish = stop_early  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        driver.execute()


def test_a_run_that_may_be_gone_on_with_says_how_far_it_is_and_why_it_stopped(
    tmp_path: Path,
) -> None:
    given = job(tmp_path)
    stopped_after(attempt(given), 2)
    said = asked(given)
    assert said.verdict == "NotCommitted"
    assert said.message == "2 of 4 shards are finished; attempt 1 ended: stopped"
    summary = attempt(given, 2).execute()
    assert (summary.end, summary.resumed_rows) == ("committed", 4)


def test_a_late_question_does_not_disturb_the_next_attempt(tmp_path: Path) -> None:
    given = job(tmp_path)
    stopped_after(attempt(given), 1)
    asked(given)
    driver = attempt(given, 2)
    said: list[Outcome] = []
    at(driver, "checked", lambda: said.append(asked(given)))
    assert driver.execute().end == "committed"
    assert said[0].verdict == "NotCommitted"
    assert rows(tmp_path, "append") == KEYS


def test_a_question_that_died_half_way_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(tmp_path)
    driver = attempt(given)

    def half() -> None:
        with monkeypatch.context() as patched, pytest.raises(Dead):
            patched.setattr(Ledger, "_close", lambda *_: die())
            asked(given)
        assert asked(given).verdict == "NotCommitted"

    at(driver, "checked", half)
    with pytest.raises(Overtaken):
        driver.execute()
    assert rows(tmp_path, "append") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"validate": [{"name": "never", "query": "select 1", "expect": {"max": 0}}]},
            "never",
        ),
        (
            {
                "stages": [{"name": "fetch", "fetch": {"column": "key", "into": "bytes"}}],
                "sink": {"lance": {"uri": "out.lance", "columns": ["key", "bytes"]}},
            },
            "8 rows failed",
        ),
    ],
)
def test_a_failure_that_would_be_met_again_is_told_for_good(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    given = job(tmp_path, **changes)
    driver = attempt(given)
    with pytest.raises(Exception, match=message) as caught:
        driver.execute()
    assert driver.failed(caught.value).end == "failed"  # type: ignore[arg-type]
    said = asked(given)
    assert said.verdict == "Failed"
    assert message in said.message
    assert asked(given) == said


def test_a_failure_of_a_driver_that_was_overtaken_is_not_counted(tmp_path: Path) -> None:
    never = [{"name": "never", "query": "select 1", "expect": {"max": 0}}]
    given = job(tmp_path, validate=never)
    driver = attempt(given)
    at(driver, "checked", lambda: asked(given) and None)
    with pytest.raises(Overtaken):
        driver.execute()
    assert asked(given).verdict == "NotCommitted"


def test_a_commit_that_was_begun_and_does_not_fit_any_more_has_failed(tmp_path: Path) -> None:
    import lance
    import pyarrow as pa

    given = job(tmp_path)
    driver = attempt(given)
    at(driver, "begun", die)
    with pytest.raises(Dead):
        driver.execute()
    lance.write_dataset(pa.table({"other": [1]}), str(tmp_path / "out.lance"), mode="overwrite")
    said = asked(given)
    assert (said.verdict, "was replaced" in said.message) == ("Failed", True)
    assert asked(given) == said


def test_the_next_attempt_finishes_a_commit_without_doing_the_rows_again(tmp_path: Path) -> None:
    given = job(tmp_path)
    driver = attempt(given)
    at(driver, "begun", die)
    with pytest.raises(Dead):
        driver.execute()
    summary = attempt(given, 2).execute()
    assert (summary.end, summary.rows_out, summary.stages) == ("committed", 8, ())
    assert summary.message == ""
    assert [one.rows for one in summary.summaries] == [(("8",),)]
    assert rows(tmp_path, "append") == KEYS


def test_a_store_that_fails_while_an_earlier_commit_is_finished_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = job(tmp_path)
    driver = attempt(given)
    at(driver, "begun", die)
    with pytest.raises(Dead):
        driver.execute()
    second = attempt(given, 2)

    def refuse(*_: Any) -> None:
        raise StorageError("the store failed")

    with monkeypatch.context() as patched, pytest.raises(StorageError) as caught:
        patched.setattr(type(second.sink), "commit", refuse)
        second.execute()
    assert second.failed(caught.value).end == "unknown"
    assert asked(given, 3).verdict == "Committed"


def test_a_source_without_rows_is_committed_as_well(tmp_path: Path) -> None:
    given = job(tmp_path, source={"objects": {"uri": "files", "include": ["*.none"]}})
    assert attempt(given).execute().end == "committed"
    said = asked(given)
    assert (said.verdict, said.rows, said.dataset_version) == ("Committed", 0, None)


def test_a_higher_epoch_takes_over_from_a_living_attempt_at_once(tmp_path: Path) -> None:
    given = job(tmp_path)
    first, second = attempt(given), attempt(given, 2)
    first.ledger.claim(1)
    try:
        with pytest.raises(RunConflict, match="is being worked on by process"):
            attempt(given).ledger.claim(1)
        assert second.execute().end == "committed"
        with pytest.raises(Overtaken, match="taken over by attempt 2"):
            first.ledger.still_mine()
    finally:
        first.ledger.release()


def test_the_same_epoch_goes_on_where_the_other_process_has_ended(tmp_path: Path) -> None:
    given = job(tmp_path)
    stopped_after(attempt(given), 2)
    summary = attempt(given).execute()
    assert (summary.end, summary.resumed_rows) == ("committed", 4)


def test_an_overtaken_driver_stops_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from lancemill.engine import ledger

    monkeypatch.setattr(ledger, "BEAT_SECONDS", 0.01)
    given = job(tmp_path)
    driver = attempt(given)
    told = threading.Event()
    interrupt, finish = driver.interrupt, driver._finish

    def tell() -> None:
        interrupt()
        told.set()

    def stand_still(result: Any, base: Any) -> None:
        finish(result, base)
        if not told.is_set():
            asked(given)
            assert told.wait(60), "it never noticed"

    driver.interrupt = tell  # type: ignore[method-assign]
    driver._finish = stand_still  # type: ignore[method-assign]
    with pytest.raises(Overtaken, match="taken over"):
        driver.execute()
    assert "of 4 shards are finished" in asked(given).message


def test_an_overtaken_driver_leaves_the_others_page_alone(tmp_path: Path) -> None:
    from lancemill.engine.page import write_page

    given = job(tmp_path)
    driver = attempt(given)

    def other() -> None:
        second = attempt(given, 2)
        write_page(second, second.execute(), given, None)

    at(driver, "checked", other)
    with pytest.raises(Overtaken) as caught:
        driver.execute()
    page = tmp_path / "out.lance.runs" / "r1" / "report.html"
    before = page.read_bytes()
    assert write_page(driver, driver.failed(caught.value), given, None).report == ""
    assert page.read_bytes() == before
