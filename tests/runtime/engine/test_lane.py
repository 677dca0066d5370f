"""Lanes keep order, stay bounded, and end cleanly whatever happens on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lancemill.engine.lane import lane
from lancemill.engine.meter import StageCounters


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("lancemill-")]


def test_results_come_in_the_order_of_the_items_though_later_ones_finish_first() -> None:
    gates = [threading.Event() for _ in range(4)]

    def work(index: int) -> int:
        if index:
            gates[index - 1].set()
        if index < 3:
            assert gates[index].wait(60)
        return index

    with ThreadPoolExecutor(4) as pool:
        assert list(lane(iter(range(4)), work, pool, 4, StageCounters("x"))) == [0, 1, 2, 3]


def test_no_more_items_are_taken_than_the_window_holds() -> None:
    taken: list[int] = []
    full = threading.Event()

    def items() -> Iterator[int]:
        for index in range(100):
            taken.append(index)
            if index == 4:
                full.set()
            yield index

    with ThreadPoolExecutor(1) as pool:
        results = lane(items(), lambda x: x, pool, 3, StageCounters("x"))
        assert next(results) == 0
        assert full.wait(60)
        results.close()
    # one taken by the reader, three in the queue, one in the feeder's hand
    assert len(taken) <= 6


def test_an_error_of_the_source_comes_after_what_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("source")

    with ThreadPoolExecutor(1) as pool:
        results = lane(items(), lambda x: x * 2, pool, 2, StageCounters("x"))
        assert next(results) == 2
        with pytest.raises(ValueError, match="source"):
            next(results)
    assert threads() == []


def test_an_error_in_the_work_is_raised_in_its_place() -> None:
    with ThreadPoolExecutor(2) as pool:
        results = lane(iter([1, 0, 2]), lambda x: 1 // x, pool, 2, StageCounters("x"))
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
    assert threads() == []


def test_closing_the_last_of_several_lanes_ends_all_of_their_threads() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    with ThreadPoolExecutor(2) as pool:
        first = lane(endless(), lambda x: x, pool, 2, StageCounters("a"))
        second = lane(first, lambda x: x, pool, 2, StageCounters("b"))
        third = lane(second, lambda x: x, pool, 2, StageCounters("c"))
        assert [next(third) for _ in range(5)] == [0, 1, 2, 3, 4]
        third.close()
    assert threads() == []
