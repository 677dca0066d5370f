"""Cutting: every row in exactly one shard, in order, whatever the sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lancemill.sources.shards import cut, cut_evenly

SIZES = st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=5)


@given(SIZES, st.integers(1, 100), st.integers(1, 12))
def test_shards_cover_every_row_once_in_order_within_their_limits(
    chunks: list[list[int]], target: int, most: int
) -> None:
    sizes = [size for chunk in chunks for size in chunk]
    shards = list(cut((np.array(chunk, np.int64) for chunk in chunks), target, most))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    edges = [0, *(shard.stop for shard in shards)]
    assert [shard.start for shard in shards] == edges[:-1]
    assert edges[-1] == len(sizes)
    for shard in shards:
        assert 1 <= shard.rows <= most
        assert shard.bytes == sum(sizes[shard.start : shard.stop])
        assert shard.bytes <= target or shard.rows == 1


@given(SIZES, st.integers(1, 100), st.integers(1, 12))
def test_how_a_listing_is_chunked_does_not_change_its_shards(
    chunks: list[list[int]], target: int, most: int
) -> None:
    whole = np.array([size for chunk in chunks for size in chunk], np.int64)
    parts = (np.array(chunk, np.int64) for chunk in chunks)
    assert list(cut(parts, target, most)) == list(cut([whole], target, most))


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300)), max_size=12),
    st.integers(1, 200),
    st.integers(1, 15),
)
def test_pieces_are_joined_or_cut_and_every_row_is_covered_once(
    pieces: list[tuple[int, int]], target: int, most: int
) -> None:
    shards = list(cut_evenly(pieces, target, most))
    edges = [0, *(shard.stop for shard in shards)]
    assert [shard.start for shard in shards] == edges[:-1]
    assert edges[-1] == sum(rows for rows, _ in pieces)
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(1 <= shard.rows <= most for shard in shards)


def test_small_row_groups_share_a_shard_and_a_large_one_is_cut_in_equal_parts() -> None:
    shards = list(cut_evenly([(10, 10), (10, 10), (100, 400), (5, 5)], 100))
    assert [(shard.start, shard.stop) for shard in shards] == [
        (0, 20),
        (20, 45),
        (45, 70),
        (70, 95),
        (95, 120),
        (120, 125),
    ]
