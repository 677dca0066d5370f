"""Object tables of folders on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lancemill.errors import StorageError
from lancemill.sources import listing, snapshot_file
from lancemill.sources.listing import Found
from lancemill.sources.local_tree import list_tree
from lancemill.sources.objects import ObjectSource
from lancemill.sources.source import Shard
from lancemill.storage import local_path
from support.material import pictures

from .given import batches, keys, objects, rows


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def test_rows_come_in_the_byte_order_of_their_keys_with_their_metadata(tmp_path: Path) -> None:
    root = tree(tmp_path / "in", "b.png", "a/2.jpg", "a-1.jpg", "a.txt", "ä.jpg", ".hidden", "a/1")
    os.utime(root / "b.png", ns=(0, 1_700_000_000_123_456_789))
    found = rows(objects("in", tmp_path).take_snapshot(str(tmp_path / "out")))
    names = [row["key"] for row in found]
    assert names == sorted(names, key=str.encode)
    assert names == [".hidden", "a-1.jpg", "a.txt", "a/1", "a/2.jpg", "b.png", "ä.jpg"]
    png = found[5]
    assert (png["size"], png["type"], png["etag"], png["owner"]) == (5, "image/png", None, None)
    assert png["last_modified"].isoformat() == "2023-11-14T22:13:20.123456+00:00"
    assert all(local_path(row["uri"]).read_bytes() == row["key"].encode() for row in found)


def test_names_with_percent_and_spaces_lead_back_to_their_files(tmp_path: Path) -> None:
    root = tree(tmp_path / "in 100%", "a b#1?.jpg", "%41.jpg", "new\nline")
    found = rows(objects(str(root), tmp_path).take_snapshot(str(tmp_path / "out")))
    assert {local_path(row["uri"]).name for row in found} == {"a b#1?.jpg", "%41.jpg", "new\nline"}
    assert all(local_path(row["uri"]).exists() for row in found)


def test_real_pictures_are_all_listed_once(tmp_path: Path) -> None:
    folder = pictures()[0].parents[2]
    found = rows(objects(str(folder), tmp_path, include=["*.jpg"]).take_snapshot(str(tmp_path)))
    there = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*.jpg")}
    assert {row["key"]: row["size"] for row in found} == there
    assert len(found) == len(there)


def test_globs_and_condition_tell_how_many_they_dropped(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.jpg", "b/c.jpg", "long-name.jpg", "d.txt", "raw/e.jpg")
    source = objects("in", tmp_path, include=["*.jpg"], exclude=["raw/"], where="size > 5")
    snapshot = source.take_snapshot(str(tmp_path / "out"))
    assert keys(snapshot) == ["b/c.jpg", "long-name.jpg"]
    assert snapshot.document["dropped"] == {"include": 2, "where": 1, "unchanged": 0}
    assert snapshot.document["told"] == (
        '5 objects, 3 matched include ["*.jpg"] and exclude ["raw/"], 2 where size > 5'
    )


def test_no_match_is_allowed_and_says_what_was_there(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a.jpg", "b.jpg")
    snapshot = objects("in", tmp_path, include=["*.jpeg"]).take_snapshot(str(tmp_path / "out"))
    assert (snapshot.rows, list(snapshot.shards(100))) == (0, [])
    assert snapshot.document["told"] == '2 objects, 0 matched include ["*.jpeg"]'


def test_an_empty_folder_is_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    snapshot = objects("in", tmp_path).take_snapshot(str(tmp_path / "out"))
    assert (snapshot.rows, snapshot.bytes, snapshot.document["told"]) == (0, 0, "0 objects")


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"{tmp_path}/nowhere: it does not exist"):
        objects("nowhere", tmp_path).take_snapshot(str(tmp_path / "out"))


def test_a_file_is_its_own_only_object(tmp_path: Path) -> None:
    tree(tmp_path, "in/one.jpg")
    (row,) = rows(objects("in/one.jpg", tmp_path).take_snapshot(str(tmp_path / "out")))
    assert (row["key"], local_path(row["uri"])) == ("one.jpg", tmp_path / "in" / "one.jpg")


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    root = tree(tmp_path / "in", "a/1.jpg", "b/2.jpg")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "here").symlink_to(".")
    (root / "link").symlink_to("b")
    (root / "file.jpg").symlink_to("a/1.jpg")
    found = [one.key for one in list_tree(root)]
    assert found == ["a/1.jpg", "b/2.jpg", "file.jpg", "link/2.jpg"]


def test_a_link_that_leads_nowhere_is_listed_without_a_size(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    assert list(list_tree(tmp_path)) == [Found("gone.jpg")]


def test_pipes_and_sockets_are_no_objects(tmp_path: Path) -> None:
    tree(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe")
    assert [one.key for one in list_tree(tmp_path)] == ["a.jpg"]


def test_a_name_that_is_not_utf8_is_told_with_a_remedy(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"")
    with pytest.raises(StorageError, match="the name is not UTF-8") as caught:
        list(list_tree(tmp_path))
    assert "caf\\xe9.jpg" in str(caught.value)
    assert "rename" in caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(StorageError, match="closed: this user may not read"):
        list(list_tree(tmp_path))


def test_a_folder_too_large_to_sort_in_memory_is_sorted_on_disk(tmp_path: Path) -> None:
    root = tree(tmp_path / "in", *(f"{n * 7919 % 100:03d}/{n}" for n in range(100)))
    source = ObjectSource(str(root), lambda: list_tree(root, sorted_entries=7), lambda key: key)
    found = keys(source.take_snapshot(str(tmp_path / "out")))
    assert [one.key for one in list_tree(root, sorted_entries=7)] != found
    assert found == [one.key for one in list_tree(root)]


@given(
    st.lists(st.integers(0, 40), max_size=60),
    st.integers(1, 120),
    st.integers(1, 20),
    st.integers(1, 60),
)
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_shards_in_any_order_give_the_rows_of_the_whole(
    tmp_path: Path, sizes: list[int], target: int, max_rows: int, max_bytes: int
) -> None:
    listed = [Found(f"{n:04d}", size, n) for n, size in enumerate(sizes)]
    source = ObjectSource("mem", lambda: iter(listed), lambda key: "u:" + key)
    snapshot = source.take_snapshot(str(tmp_path / "out"))
    again = source.open_snapshot(snapshot.document)
    parts = {
        shard.index: list(again.read(shard, ["uri", "size"], max_rows, max_bytes))
        for shard in reversed(list(snapshot.shards(target)))
    }
    found = [batch for index in sorted(parts) for batch in parts[index]]
    read = [(row["uri"], row["size"]) for batch in found for row in batch.to_pylist()]
    assert read == [("u:" + one.key, one.size) for one in listed]
    for batch in found:
        assert batch.schema.names == ["uri", "size"]
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or sum(batch.column("size").to_pylist()) <= max_bytes


def test_a_shard_reads_only_the_row_groups_that_hold_it(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    listed = [Found(f"{n:06d}", 1, n) for n in range(35_000)]
    source = ObjectSource("mem", lambda: iter(listed), lambda key: key)
    snapshot = source.take_snapshot(str(tmp_path))
    assert sum(len(batch) for batch in batches(snapshot, ["key"], 9_999, 10_000)) == 35_000
    file = tmp_path / "listing.parquet"
    first = pq.ParquetFile(file).metadata.row_group(0)
    spoiled = bytearray(file.read_bytes())
    end = 4 + sum(first.column(at).total_compressed_size for at in range(first.num_columns))
    spoiled[4:end] = bytes(end - 4)
    file.write_bytes(spoiled)
    shards = list(shards_of_10_000(35_000))
    with pytest.raises(StorageError, match=r"listing\.parquet"):
        list(snapshot.read(shards[0], ["key"], 10_000, 1 << 30))
    intact = snapshot.read(shards[-1], ["key"], 7, 99)
    read = [key for batch in intact for key in batch.column("key").to_pylist()]
    assert read == [one.key for one in listed[30_000:]]


def test_a_long_listing_has_larger_groups_so_that_its_footer_stays_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(listing, "BATCH_ROWS", 10)
    for name, value in (("GROUP_ROWS", 10), ("MANY_GROUPS", 3), ("LARGE_GROUP_ROWS", 40)):
        monkeypatch.setattr(snapshot_file, name, value)
    listed = [Found(f"{n:06d}", 1, n) for n in range(125)]
    source = ObjectSource("mem", lambda: iter(listed), lambda key: key)
    snapshot = source.take_snapshot(str(tmp_path))
    told = pq.ParquetFile(tmp_path / "listing.parquet").metadata
    groups = [told.row_group(at).num_rows for at in range(told.num_row_groups)]
    assert groups == [10, 10, 10, 40, 40, 15]
    again = source.open_snapshot(snapshot.document)
    for start, stop in ((0, 10), (5, 35), (29, 31), (30, 31), (69, 71), (109, 125), (124, 125)):
        read = again.read(Shard(0, start, stop, 0), ["key"], 7, 1 << 30)
        found = [key for batch in read for key in batch.column("key").to_pylist()]
        assert found == [one.key for one in listed[start:stop]]


def shards_of_10_000(rows: int) -> Iterator[Shard]:
    for index, start in enumerate(range(0, rows, 10_000)):
        yield Shard(index, start, min(start + 10_000, rows), 0)


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_number_of_keys(tmp_path: Path) -> None:
    """Peak memory while listing 300,000 keys, against that of 30,000, in processes of their own."""
    script = Path(__file__).parent / "listing_memory.py"
    peaks = []
    for count in (30_000, 300_000):
        done = subprocess.run(
            [sys.executable, str(script), str(count), str(tmp_path / str(count))],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    # 300,000 rows as Python objects would take over 150 MB more.
    assert peaks[1] - peaks[0] < 30 << 20
