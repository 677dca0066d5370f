"""Only what is new or changed since the last committed run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lancemill.errors import StorageError
from lancemill.sources.listing import Found
from lancemill.sources.objects import ObjectSource
from support.servers import S3Server

from .given import keys, objects


def source(*listed: Found) -> ObjectSource:
    ordered = sorted(listed, key=lambda one: one.key)
    return ObjectSource("mem", lambda: iter(ordered), lambda key: key, incremental=True)


A, B, C = (Found(key, 10, 100, f"etag-{key}") for key in "abc")
PLAIN = Found("p", 10, 100)


@pytest.mark.parametrize(
    ("before", "now", "taken"),
    [
        ([A, B], [A, B], []),
        ([A, B], [A, B, C], ["c"]),
        ([A, B], [B], []),
        ([], [A], ["a"]),
        ([A, B], [replace(A, etag="other"), B], ["a"]),
        ([A], [replace(A, modified=200)], []),
        ([PLAIN], [replace(PLAIN, modified=200)], ["p"]),
        ([PLAIN], [replace(PLAIN, size=11)], ["p"]),
        ([replace(PLAIN, size=None)], [PLAIN], ["p"]),
        ([PLAIN], [replace(PLAIN, etag="new")], []),
        ([PLAIN], [PLAIN], []),
    ],
)
def test_new_and_changed_objects_are_taken(
    tmp_path: Path, before: list[Found], now: list[Found], taken: list[str]
) -> None:
    first = source(*before).take_snapshot(str(tmp_path / "1"))
    second = source(*now).take_snapshot(str(tmp_path / "2"), first.document)
    assert keys(second) == taken
    assert second.document["dropped"]["unchanged"] == len(now) - len(taken)
    assert second.document["told"].endswith(f", {len(taken)} new or changed")


def test_each_run_is_compared_with_all_that_the_last_one_saw(tmp_path: Path) -> None:
    first = source(A).take_snapshot(str(tmp_path / "1"))
    second = source(A, B).take_snapshot(str(tmp_path / "2"), first.document)
    third = source(A, B, C).take_snapshot(str(tmp_path / "3"), second.document)
    assert (keys(first), keys(second), keys(third)) == (["a"], ["b"], ["c"])
    reopened = source().open_snapshot(third.document)
    assert keys(reopened) == ["c"]


def test_a_run_that_was_not_incremental_is_a_basis_too(tmp_path: Path) -> None:
    first = replace(source(A, B), incremental=False).take_snapshot(str(tmp_path / "1"))
    assert keys(source(A, B, C).take_snapshot(str(tmp_path / "2"), first.document)) == ["c"]


def test_the_basis_may_lie_in_a_bucket(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"1")
    made = objects("in", tmp_path, ledger_storage=s3.storage(), incremental=True)
    first = made.take_snapshot(s3.uri("runs/1/source"))
    (tmp_path / "in" / "b").write_bytes(b"1")
    second = made.take_snapshot(s3.uri("runs/2/source"), first.document)
    assert (keys(first), keys(second)) == (["a"], ["b"])


def test_a_lost_basis_is_an_error_with_a_way_on(tmp_path: Path) -> None:
    first = source(A).take_snapshot(str(tmp_path / "1"))
    (tmp_path / "1" / "listing.parquet").unlink()
    with pytest.raises(StorageError, match="listing of the last run is gone") as caught:
        source(A).take_snapshot(str(tmp_path / "2"), first.document)
    assert "incremental to false" in caught.value.remedy


def test_a_basis_lost_from_a_bucket_is_told_too(s3: S3Server, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"1")
    made = objects("in", tmp_path, ledger_storage=s3.storage(), incremental=True)
    first = made.take_snapshot(s3.uri("runs/1/source"))
    s3.client.delete_object(Bucket=s3.bucket, Key="runs/1/source/listing.parquet")
    with pytest.raises(StorageError, match="listing of the last run is gone"):
        made.take_snapshot(s3.uri("runs/2/source"), first.document)


OBJECTS = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(Found, st.just(""), st.integers(0, 2), st.integers(0, 2)),
    max_size=8,
)


@given(OBJECTS, OBJECTS)
@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_what_is_taken_is_what_differs(
    tmp_path: Path, before: dict[str, Found], now: dict[str, Found]
) -> None:
    first = source(*(replace(one, key=key) for key, one in before.items()))
    second = source(*(replace(one, key=key) for key, one in now.items()))
    basis = first.take_snapshot(str(tmp_path / "1")).document
    taken = keys(second.take_snapshot(str(tmp_path / "2"), basis))
    assert taken == sorted(key for key, one in now.items() if before.get(key) != one)
