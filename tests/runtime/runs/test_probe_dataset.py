"""What a dataset's store and the dataset are like, as `lancemill probe dataset` answers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.servers import S3Server, faulty_proxy

from .given import Place, Told, lancemill

COLUMNS = [
    {"name": "key", "type": "string", "nullable": False},
    {"name": "size", "type": "int64"},
    {"name": "vector", "type": "float32[4]"},
]


def manifest(folder: Path, uri: str = "out.lance", **fields: Any) -> Path:
    head = {"apiVersion": "lancemill.dev/v1alpha1", "kind": "LanceDataset"}
    document = {**head, "metadata": {"name": "out"}, "spec": {"uri": uri, **fields}}
    path = folder / "dataset.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def probed(path: Path) -> Told:
    answer = path.with_name("answer.json")
    told = lancemill("probe", "dataset", path, "--dataset", "out", "--answer", answer)
    assert json.loads(answer.read_text()) == told.json
    assert answer.stat().st_size <= 4096
    return told


def answer(path: Path) -> dict[str, Any]:
    told = probed(path)
    assert told.status == 0, told.all
    found: dict[str, Any] = told.json
    assert (found["ok"], found["problem"]) == (True, None)
    return found


def problem(path: Path) -> dict[str, Any]:
    told = probed(path)
    assert told.status == 1
    found: dict[str, Any] = told.json
    assert found["ok"] is False
    assert "\n" not in found["message"]
    return found


def test_a_dataset_is_made_by_its_schema_once(place: Place) -> None:
    import lance

    path = manifest(place.folder, schema=COLUMNS)
    first = answer(path)
    assert (first["exists"], first["version"], first["rows"], first["fragments"]) == (True, 1, 0, 0)
    assert first["schema"] == [
        {"name": "key", "type": "string"},
        {"name": "size", "type": "int64"},
        {"name": "vector", "type": "float32[4]"},
    ]
    assert first["formatVersion"] == "2.2"
    assert first["lastCommit"] is None
    assert answer(path) == first
    there = lance.dataset(str(place.folder / "out.lance"))
    assert there.has_stable_row_ids
    assert not there.schema.field("key").nullable
    left = [p.name for p in (place.folder / "out.lance.runs").iterdir()]
    assert left == []


def test_a_dataset_without_a_schema_is_left_to_its_first_run(place: Place) -> None:
    found = answer(manifest(place.folder))
    assert (found["exists"], found["version"], found["schema"]) == (False, None, [])
    assert not (place.folder / "out.lance").exists()


def test_figures_and_the_last_commit_are_those_of_the_newest_version(place: Place) -> None:
    place.pictures(3)
    place.run("--run-id", "one")
    place.run("--run-id", "two")
    path = manifest(place.folder)
    found = answer(path)
    shown = lancemill("show", place.folder / "out.lance", "--json").json
    assert (found["rows"], found["fragments"]) == (6, 2)
    assert found["version"] == shown["version"]
    assert found["liveBytes"] == shown["live_bytes"] > 0
    assert found["physicalBytes"] == shown["physical_bytes"] > found["liveBytes"]
    commit = found["lastCommit"]
    made = place.runs()[-1]
    assert (commit["run"], commit["pipeline"]) == ("two", "cats")
    assert commit["version"] == made["version"]
    assert commit["time"].endswith("Z")
    place.dataset().delete("key = 'p000.jpg'")
    later = answer(path)
    assert later["rows"] == 4
    assert later["lastCommit"] == commit


def test_the_last_commit_is_known_when_its_version_is_gone(place: Place) -> None:
    import datetime

    place.pictures(2)
    place.run("--run-id", "one")
    dataset = place.dataset()
    for _ in range(2):
        dataset.delete("key = 'p000.jpg'")
    dataset.cleanup_old_versions(older_than=datetime.timedelta(0), delete_unverified=True)
    commit = answer(manifest(place.folder))["lastCommit"]
    assert (commit["run"], commit["pipeline"], commit["time"]) == ("one", "cats", None)


def test_many_files_are_not_added_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from lancemill.tables import probe

    place.pictures(2)
    place.run()
    monkeypatch.setattr(probe, "LISTED_FILES", 2)
    found = answer(manifest(place.folder))
    assert found["physicalBytes"] is None
    assert found["liveBytes"] > 0


def test_blobs_in_files_of_their_own_count(place: Place) -> None:
    place.pictures(2)
    body = {"lance": {"uri": "out.lance", "columns": ["key", "bytes"], "blobs": ["bytes"]}}
    (place.folder / "pictures" / "p000.jpg").write_bytes(b"x" * 6_000_000)
    fetch = [{"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}}]
    assert place.run(stages=fetch, sink=body).status == 0
    found = answer(manifest(place.folder))
    assert found["liveBytes"] > 6_000_000
    assert {"name": "bytes", "type": "binary"} in found["schema"]


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"name": "extra", "type": "int8"}, "column 'extra' (int8) is missing"),
        ({"name": "size", "type": "string"}, "column 'size' is int64, declared is string"),
        (
            {"name": "size", "type": "int64", "nullable": False},
            "column 'size' may be null, declared is never null",
        ),
        (
            {"name": "image", "type": "binary", "storage": "blob"},
            "column 'image' is stored inline, declared is blob",
        ),
    ],
)
def test_a_dataset_that_is_another_one_than_declared_has_drifted(
    place: Place, declared: dict[str, Any], words: str
) -> None:
    place.pictures(1)
    place.run()
    found = problem(manifest(place.folder, schema=[{"name": "key", "type": "string"}, declared]))
    assert (found["problem"], found["message"]) == ("SchemaDrift", words)
    assert found["exists"] is True
    assert found["rows"] == 1


def test_columns_that_are_not_declared_are_no_drift(place: Place) -> None:
    place.pictures(1)
    place.run()
    assert answer(manifest(place.folder, schema=[{"name": "key", "type": "string"}]))["rows"] == 1


def test_tags_are_set_moved_and_deleted_where_they_were_set_from_here(place: Place) -> None:
    place.pictures(1)
    for run in ("one", "two"):
        place.run("--run-id", run)
    first, second = (one["version"] for one in place.runs())
    place.dataset().tags.create("theirs", first)
    place.dataset().tags.create("shared", first)
    version = place.dataset().version
    tags = {"a": first, "b": first, "shared": first}
    assert answer(manifest(place.folder, tags=tags))["tags"] == {**tags, "theirs": first}
    moved = {"a": second}
    left = {"a": second, "theirs": first, "shared": first}
    assert answer(manifest(place.folder, tags=moved))["tags"] == left
    assert answer(manifest(place.folder))["tags"] == {"theirs": first, "shared": first}
    assert place.dataset().version == version, "a tag makes no version"


def test_a_tag_of_a_version_that_is_not_there_is_told_and_holds_nothing_up(place: Place) -> None:
    path = manifest(place.folder, schema=COLUMNS, tags={"a": 1, "future": 9})
    found = answer(path)
    assert found["tags"] == {"a": 1}
    assert found["message"] == "tag 'future' names version 9, which is not there"


def test_a_tag_set_by_a_probe_that_died_is_deleted_when_it_is_taken_out(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lancemill.tables import tags

    class Dead(BaseException):
        pass

    real = tags._remember

    def die_behind(folder: Any, before: set[str], now: set[str]) -> None:
        if "a" in before:
            raise Dead
        real(folder, before, now)

    path = manifest(place.folder, schema=COLUMNS, tags={"a": 1})
    with monkeypatch.context() as patched:
        patched.setattr(tags, "_remember", die_behind)
        with pytest.raises(Dead):
            from lancemill.engine.probe import probe_dataset
            from lancemill.manifest import load

            probe_dataset(load(path).dataset("out"), place.folder)
    assert answer(path)["tags"] == {"a": 1}
    assert answer(manifest(place.folder, schema=COLUMNS))["tags"] == {}


def test_a_wide_dataset_is_told_as_far_as_it_fits(place: Place) -> None:
    columns = [{"name": f"column_{n:04}", "type": "float32[512]"} for n in range(600)]
    found = answer(manifest(place.folder, schema=columns))
    assert found["exists"] is True
    names = [one["name"] for one in found["schema"]]
    assert 40 < len(names) < 600
    assert names == [one["name"] for one in columns][: len(names)]


def test_rows_that_a_lost_race_doubled_are_taken_back(place: Place) -> None:
    keys = place.pictures(3)
    (place.folder / "pictures" / keys[1]).write_bytes(b"no picture")
    place.run("--run-id", "one", errors={"maxRate": 0.5})
    made = place.runs()[0]["version"]
    for name in ("out.lance", "out.lance.quarantine"):
        committed_again(place.folder / name)
    assert place.dataset().count_rows() == 4
    found = answer(manifest(place.folder))
    assert (found["rows"], found["lastCommit"]["version"]) == (2, made)
    assert place.keys() == [keys[0], keys[2]]
    assert list(place.set_aside()) == [keys[1]]


def committed_again(dataset: Path) -> None:
    """What a driver does that stood still behind its last look, and then dies for good."""
    import lance
    from lance import LanceDataset, Transaction

    there = lance.dataset(str(dataset))
    mine = next(
        one
        for one in there.get_transactions(there.version)
        if one is not None and "lancemill.run" in (one.transaction_properties or {})
    )
    again = Transaction(
        there.version, mine.operation, transaction_properties=mine.transaction_properties
    )
    LanceDataset.commit(str(dataset), again)


def test_a_dataset_that_the_file_does_not_have_is_told(place: Place) -> None:
    path = manifest(place.folder)
    told = lancemill("probe", "dataset", path, "--dataset", "other")
    assert told.status == 2
    assert "there is no LanceDataset 'other'; there are: out" in told.json["error"]


# -- stores


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in s3.env().items():
        monkeypatch.setenv(name, value)
    return s3


def test_a_dataset_on_s3_is_made_and_its_probe_leaves_nothing_else(
    place: Place, bucket: S3Server
) -> None:
    storage = bucket.storage()
    path = manifest(place.folder, "s3://test/lake/out.lance", schema=COLUMNS, storage=storage)
    assert answer(path)["version"] == 1
    assert [key for key in bucket.list_keys() if not key.startswith("lake/out.lance/")] == []


def test_a_bucket_that_does_not_exist_is_told_apart(place: Place, bucket: S3Server) -> None:
    path = manifest(place.folder, "s3://nowhere/out.lance", storage=bucket.storage())
    found = problem(path)
    assert found["problem"] == "BucketMissing"
    assert "the bucket 'nowhere' does not exist" in found["message"]
    run = place.manifest(
        sink={"lance": {"uri": "s3://nowhere/out.lance", "storage": bucket.storage()}}
    )
    told = lancemill("probe", "run", run, "--run-id", "r1", "--epoch", "2")
    assert told.status == 1
    assert told.json["problem"] == "BucketMissing"


def test_a_store_that_overwrites_where_it_may_not_is_not_supported(
    place: Place, bucket: S3Server
) -> None:
    with faulty_proxy(bucket.endpoint, forgets=("if-none-match",)) as front:
        storage = bucket.storage(endpoint=front.url)
        path = manifest(place.folder, "s3://test/out.lance", schema=COLUMNS, storage=storage)
        found = problem(path)
    assert found["problem"] == "StorageUnsupported"
    assert "If-None-Match" in found["message"]
    assert bucket.list_keys() == []


def test_a_store_that_has_no_conditional_writes_is_not_supported(
    place: Place, bucket: S3Server
) -> None:
    with faulty_proxy(bucket.endpoint, fail_every=1, fail_status=501, only="^PUT") as front:
        storage = bucket.storage(endpoint=front.url)
        path = manifest(place.folder, "s3://test/out.lance", schema=COLUMNS, storage=storage)
        assert problem(path)["problem"] == "StorageUnsupported"
