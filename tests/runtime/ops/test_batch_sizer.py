"""The search for the batch size: told rates, it must find the best and lose no rows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.ops.batch_sizer import STEADY_CALLS, BatchSizer


def drive(sizer, rate_of, calls):
    """The sizes asked for in `calls` calls when a size runs at `rate_of(size)` rows a second."""
    asked = []
    for _ in range(calls):
        size = sizer.size()
        asked.append(size)
        sizer.record(size, size / rate_of(size))
    return asked


def test_a_device_that_likes_large_batches_gets_the_largest_allowed():
    sizer = BatchSizer(48)
    asked = drive(sizer, lambda size: 100.0 * size, 40)
    assert sorted(set(asked)) == [1, 2, 4, 8, 16, 32, 48]
    assert asked[-1] == 48


def test_a_processor_that_likes_small_batches_is_not_given_large_ones():
    sizer = BatchSizer(1024)
    asked = drive(sizer, lambda size: 567.0 - size, 30)
    assert asked[-1] == 1
    assert max(asked) == 4


def test_a_size_in_the_middle_is_found_and_noise_is_not_taken_for_gain():
    rates = {1: 100.0, 2: 101.0, 4: 150.0, 8: 152.0, 16: 140.0}
    sizer = BatchSizer(64)
    assert drive(sizer, lambda size: rates.get(size, 90.0), 40)[-1] == 4


def test_the_first_call_of_a_size_does_not_count():
    sizer = BatchSizer(2)
    for seconds in (9.0, 1.0, 1.0):
        sizer.record(1, seconds)
    for seconds in (99.0, 1.0, 1.0):
        sizer.record(2, seconds)
    assert sizer.best == 2


def test_the_rest_of_a_batch_says_nothing():
    sizer = BatchSizer(8)
    for _ in range(10):
        sizer.record(5, 1e-9)
    assert sizer.size() == 1


def test_neighbours_are_tried_again_when_conditions_have_changed():
    sizer = BatchSizer(8)
    assert drive(sizer, lambda size: 100.0 - size, 30)[-1] == 1
    drive(sizer, lambda size: 100.0 * size, STEADY_CALLS + 30)
    assert sizer.best == 2


@given(
    st.integers(1, 300),
    st.lists(st.floats(1e-6, 10, allow_nan=False), min_size=1, max_size=200),
)
def test_a_size_is_always_within_bounds(most, durations):
    sizer = BatchSizer(most)
    for seconds in durations:
        assert 1 <= sizer.size() <= most
        sizer.record(sizer.size(), seconds)


@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_the_largest_size_is_one_of_those_tried(most):
    sizer = BatchSizer(most)
    assert max(drive(sizer, float, 60)) == most
