"""The work queue: no key lost, never two workers on one, and all of it at the right time."""

from __future__ import annotations

import asyncio
from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lancemill_operator.queue import Agenda, Backoff, WorkQueue

KEYS = st.sampled_from("abcde")


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Puts, times, takes and endings in any order, against what is owed to each key."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda: Agenda[str] = Agenda()
        self.now = 0.0
        self.owed: set[str] = set()
        self.timed: dict[str, float] = {}
        self.taken: set[str] = set()

    @rule(key=KEYS)
    def put(self, key: str) -> None:
        self.agenda.add(key, self.now)
        self.owed.add(key)

    @rule(key=KEYS, delay=st.floats(0, 20))
    def put_for_later(self, key: str, delay: float) -> None:
        self.agenda.add_at(key, self.now + delay)
        self.timed[key] = min(self.now + delay, self.timed.get(key, self.now + delay))

    @rule(seconds=st.floats(0.1, 10))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.agenda.wake(self.now)
        for key, when in list(self.timed.items()):
            if when <= self.now:
                self.owed.add(key)
                del self.timed[key]

    @rule()
    def take(self) -> None:
        for key, when in list(self.timed.items()):
            if when <= self.now:
                self.owed.add(key)
                del self.timed[key]
        key = self.agenda.take(self.now)
        if key is None:
            assert self.owed <= self.taken, "a key that is due was not given"
            return
        assert key not in self.taken, "two workers on one key"
        assert key in self.owed, "a key that nobody put"
        self.owed.discard(key)
        self.timed.pop(key, None)
        self.taken.add(key)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        self.agenda.done(key, self.now)
        self.taken.discard(key)

    @invariant()
    def counts_agree(self) -> None:
        assert self.agenda.taken == len(self.taken)
        assert self.agenda.depth == len(self.owed - self.taken)

    def teardown(self) -> None:
        for key in sorted(self.taken):
            self.agenda.done(key, self.now)
        self.now += 1000
        given = set()
        while (key := self.agenda.take(self.now)) is not None:
            given.add(key)
        assert given == self.owed | set(self.timed), "a key was lost, or invented"


TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
TestAnyOrderOfEvents.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_key_put_many_times_is_taken_once() -> None:
    agenda: Agenda[str] = Agenda()
    for _ in range(10):
        agenda.add("a", 0)
    assert agenda.take(0) == "a"
    assert agenda.take(0) is None


def test_a_key_put_while_it_is_in_hand_is_taken_again_after_that() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add("a", 0)
    agenda.take(0)
    agenda.add("a", 1)
    assert agenda.take(1) is None
    agenda.done("a", 2)
    assert agenda.take(2) == "a"


def test_of_two_times_the_earlier_counts_and_the_later_is_void() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add_at("a", 10)
    agenda.add_at("a", 5)
    agenda.add_at("a", 20)
    assert agenda.take(4.9) is None
    assert agenda.take(5) == "a"
    agenda.done("a", 5)
    assert agenda.take(100) is None


def test_keys_come_in_the_order_in_which_they_became_due() -> None:
    agenda: Agenda[str] = Agenda()
    agenda.add_at("late", 3)
    agenda.add_at("early", 1)
    agenda.add("now", 0)
    assert [agenda.take(5), agenda.take(5), agenda.take(5)] == ["now", "early", "late"]


def test_the_key_longest_in_hand_tells_how_long_the_queue_has_stood() -> None:
    agenda: Agenda[str] = Agenda()
    assert agenda.oldest(50) == 0
    agenda.add("a", 10)
    assert agenda.oldest(50) == 40
    agenda.take(20)
    assert agenda.oldest(50) == 30


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (99, 10)]
)
def test_the_wait_doubles_with_each_failure_up_to_a_limit(failures: int, seconds: float) -> None:
    backoff = Backoff(shortest=1, longest=10, jitter=0.5)
    assert backoff.delay(failures, 0) == seconds
    assert backoff.delay(failures, 1) == seconds / 2


def test_a_failed_key_comes_again_and_its_failures_end_with_a_success() -> None:
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(0.01, 1), chance=lambda: 0)
        assert [queue.retry("a"), queue.retry("a")] == [0.01, 0.02]
        assert queue.failures("a") == 2
        key = await asyncio.wait_for(queue.get(), 30)
        assert key == "a"
        queue.succeeded("a")
        queue.done("a")
        assert queue.retry("a") == 0.01
        queue.close()

    asyncio.run(play())


def test_a_server_that_asks_for_time_gets_it() -> None:
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(0.01, 1))
        assert queue.retry("a", at_least=7) == 7
        queue.close()

    asyncio.run(play())


def test_many_workers_do_each_key_once_at_a_time_and_none_is_left() -> None:
    async def play() -> None:
        queue: WorkQueue[int] = WorkQueue()
        busy: set[int] = set()
        done: Counter[int] = Counter()

        async def work() -> None:
            while (key := await queue.get()) is not None:
                assert key not in busy
                busy.add(key)
                await asyncio.sleep(0)
                busy.discard(key)
                done[key] += 1
                if done[key] == 1:
                    queue.add_after(key, 0.001)
                queue.done(key)

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work())
            for key in range(100):
                queue.add(key)
            while len(done) < 100 or min(done.values()) < 2:
                await asyncio.sleep(0.001)
            queue.close()
        assert set(done.values()) == {2}

    asyncio.run(play())


def test_a_cancelled_worker_takes_no_key_with_it() -> None:
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await asyncio.wait_for(second, 30) == "a"
        await asyncio.gather(first, return_exceptions=True)
        queue.close()

    asyncio.run(play())


def test_closing_sends_the_workers_home() -> None:
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        worker = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.close()
        assert await asyncio.wait_for(worker, 30) is None

    asyncio.run(play())
