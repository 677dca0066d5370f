"""Workers: what fails comes again, later each time; what changed meanwhile comes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import structlog

from lancemill_api.status import PipelineStatus
from lancemill_operator.api import Busy, Conflict, Unreachable
from lancemill_operator.keys import Key
from lancemill_operator.kinds import PIPELINE
from lancemill_operator.metrics import Metrics
from lancemill_operator.queue import Backoff, WorkQueue
from lancemill_operator.reconcile import Stale
from lancemill_operator.workers import Workers

KEY = Key(PIPELINE, "n", "cats")


class Table:
    """Two workers and a reconcile that a test writes; `outcomes` are given one by one."""

    def __init__(self, *outcomes: Any, backoff: Backoff | None = None) -> None:
        self.outcomes = list(outcomes)
        self.looks: list[float] = []
        self.logged: list[dict[str, Any]] = []
        self.queue: WorkQueue[Key] = WorkQueue(backoff or Backoff(0.01, 0.05), chance=lambda: 0)
        self.metrics = Metrics()
        log = structlog.wrap_logger(None, processors=[self._log])
        self.workers = Workers(self.queue, self.reconcile, self.metrics, log, 2)

    def _log(self, _: Any, level: str, event: dict[str, Any]) -> Any:
        self.logged.append({"level": level, **event})
        raise structlog.DropEvent

    async def reconcile(self, key: Key) -> timedelta | None:
        self.looks.append(asyncio.get_running_loop().time())
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    def errors(self, name: str) -> float:
        counter = self.metrics.errors.labels("MultimodalPipeline", name)
        return next(iter(counter.collect())).samples[0].value

    async def until_looked(self, times: int) -> None:
        async with asyncio.timeout(60):
            while len(self.looks) < times:
                await asyncio.sleep(0.001)


def play(table: Callable[[], Table], part: Callable[[Table], Awaitable[None]]) -> Table:
    async def whole() -> Table:
        made = table()
        made.workers.start()
        assert made.workers.running
        made.queue.add(KEY)
        await part(made)
        await made.workers.stop(30)
        assert not made.workers.running
        return made

    return asyncio.run(whole())


def test_what_fails_is_tried_again_and_counted() -> None:
    gone = Unreachable(0, "Unreachable", "get Pod: TimeoutError")
    table = play(lambda: Table(gone, gone), lambda table: table.until_looked(3))
    assert table.errors("Unreachable") == 2
    failed = [line for line in table.logged if line["event"] == "failed"]
    assert [line["failures"] for line in failed] == [1, 2]
    assert failed[0]["error"] == "Unreachable: get Pod: TimeoutError"
    assert (failed[0]["namespace"], failed[0]["name"]) == ("n", "cats")
    assert "at" not in failed[0], "foreseen: no places in the code"
    assert table.queue.failures(KEY) == 0


def test_what_changed_meanwhile_is_looked_at_at_once_and_is_no_error() -> None:
    stale = (Conflict(409, "Conflict", "changed"), Stale("it was changed"))
    backoff = Backoff(1000, 1000)
    table = play(lambda: Table(*stale, backoff=backoff), lambda table: table.until_looked(3))
    assert table.errors("Conflict") == table.errors("Stale") == 0
    assert not [line for line in table.logged if line["level"] == "warning"]


def test_what_changes_all_the_time_is_not_chased() -> None:
    conflicts = [Conflict(409, "Conflict", "changed") for _ in range(20)]
    table = play(lambda: Table(*conflicts), lambda table: table.until_looked(21))
    told = [line for line in table.logged if line["event"] == "changes all the time"]
    assert len(told) == 17


def test_a_server_that_is_busy_is_given_the_time_it_asks_for() -> None:
    busy = Busy(429, "TooManyRequests", "slow down", retry_after=0.3)
    table = play(lambda: Table(busy), lambda table: table.until_looked(2))
    assert table.looks[1] - table.looks[0] >= 0.29


def test_a_look_comes_again_when_the_decision_says() -> None:
    table = play(lambda: Table(timedelta(seconds=0.05)), lambda table: table.until_looked(2))
    assert table.looks[1] - table.looks[0] >= 0.049


def test_an_error_that_nobody_foresaw_is_told_with_its_place_and_without_values() -> None:
    secret = "hunter2"
    try:
        PipelineStatus.model_validate({"conditions": secret})
    except ValueError as error:
        wrong = error
    table = play(lambda: Table(wrong), lambda table: table.until_looked(2))
    (failed,) = [line for line in table.logged if line["event"] == "failed"]
    assert failed["at"]
    assert "conditions" in failed["error"]
    assert secret not in str(table.logged)


def test_looks_under_way_are_finished_before_the_end() -> None:
    async def whole() -> None:
        table, go, done = Table(), asyncio.Event(), []

        async def reconcile(key: Key) -> None:
            await go.wait()
            done.append(key)

        workers = Workers(table.queue, reconcile, table.metrics, structlog.get_logger(), 1)
        workers.start()
        table.queue.add(KEY)
        table.queue.add(KEY._replace(name="dogs"))
        while not table.queue.taken:
            await asyncio.sleep(0)
        stopping = asyncio.create_task(workers.stop(60))
        await asyncio.sleep(0)
        go.set()
        await stopping
        assert done == [KEY], "the one in hand, and no other"

    asyncio.run(whole())


def test_a_look_that_does_not_end_is_cut_off() -> None:
    async def whole() -> None:
        table = Table()

        async def reconcile(key: Key) -> None:
            await asyncio.Event().wait()

        workers = Workers(table.queue, reconcile, table.metrics, structlog.get_logger(), 1)
        workers.start()
        table.queue.add(KEY)
        while not table.queue.taken:
            await asyncio.sleep(0)
        await workers.stop(0.01)
        assert not workers.running

    asyncio.run(whole())
