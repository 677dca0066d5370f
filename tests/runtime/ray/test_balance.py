"""The balance of streams and workers: a controller of numbers, tried against simulated devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.engine.ray.balance import Seen, fair_share, streams, workers

shares = st.floats(0, 1)


@given(st.integers(1, 100), st.integers(1, 100), shares, shares)
def test_streams_stay_within_their_limits_and_move_by_one(
    now: int, most: int, waited: float, blocked: float
) -> None:
    number = streams(now, most, Seen(waited, blocked))
    assert 1 <= number <= most
    assert number == most or abs(number - now) <= 1


def settled(stream_rate: float, device_rate: float, most: int) -> list[int]:
    """The numbers of streams of forty looks, where a stream and the device do so many rows/s."""
    found = [1]
    for _ in range(40):
        offered = found[-1] * stream_rate
        seen = Seen(
            waited=max(0.0, 1 - offered / device_rate), blocked=max(0.0, 1 - device_rate / offered)
        )
        found.append(streams(found[-1], most, seen))
    return found


@given(st.floats(1, 1000), st.floats(1, 1000), st.integers(1, 32))
def test_a_device_is_fed_or_has_all_streams_that_there_are(
    stream_rate: float, device_rate: float, most: int
) -> None:
    last = settled(stream_rate, device_rate, most)[-8:]
    assert all(one == most or one * stream_rate >= 0.9 * device_rate for one in last)


@given(st.floats(1, 1000), st.floats(1, 1000), st.integers(1, 32))
def test_streams_that_only_wait_for_the_device_are_given_up_and_the_number_stays(
    stream_rate: float, device_rate: float, most: int
) -> None:
    last = settled(stream_rate, device_rate, most)[-8:]
    assert len(set(last)) == 1, "it swings"
    assert last[0] == 1 or (last[0] - 1) * stream_rate < 2 * device_rate


@pytest.mark.parametrize(
    ("slots", "most", "left", "alone", "expected"),
    [
        (2, 2, 100, 0, 2),
        (2, 2, 1, 0, 1),
        (8, 8, 3, 0, 3),
        (0, 4, 100, 0, 4),
        (100, 1000, 5000, 0, 200),
        (0, 0, 5, 0, 1),
        (1, 1, 1, 1, 0),
        (1, 1, 5, 1, 0),
        (4, 4, 5, 1, 3),
        (4, 4, 0, 0, 0),
    ],
    ids=[
        "as many as there is room for",
        "no more than shards",
        "idle ones go at the end",
        "a group without nodes yet is asked for",
        "demand grows with the cluster",
        "one waits where there is no room at all",
        "one that is done alone needs the only place",
        "and gets it before others",
        "it takes a place of several",
        "none when all is done",
    ],
)
def test_workers(slots: int, most: int, left: int, alone: int, expected: int) -> None:
    assert workers(slots, most, left, alone) == expected


@given(st.integers(0, 500), st.integers(1, 50))
def test_together_all_workers_can_use_every_slot(slots: int, members: int) -> None:
    assert fair_share(slots, members) * members >= slots
