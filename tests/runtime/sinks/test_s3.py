"""Every sink in an S3, with credentials from the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from lancemill.sinks import json_values, open_sink
from lancemill.storage import lance_options, open_store
from lancemill.tables.quarantine import read, set_aside
from lancemill_api.sink import Sink as SinkSpec
from support.pour import pour, run_ref
from support.servers import S3Server, s3_server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def storage(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for key in moto.list_keys():
        moto.client.delete_object(Bucket=moto.bucket, Key=key)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return {"endpoint": moto.endpoint, "allowHttp": True}


def rows(start: int, stop: int) -> pa.Table:
    numbers = range(start, stop)
    images = pa.array([bytes([n]) * 100_000 for n in numbers], pa.binary())
    return pa.table({"key": [f"k{n}" for n in numbers], "n": list(numbers), "image": images})


def sink_in(moto: S3Server, storage: dict[str, Any], kind: str, **fields: Any) -> Any:
    spec = {kind: {"uri": f"s3://{moto.bucket}/lake/cats.{kind}", "storage": storage, **fields}}
    return open_sink(SinkSpec.model_validate(spec), {}, base=Path())


def dataset_of(sink: Any) -> Any:
    options = lance_options(sink.storage, sink.uri)
    return lance.dataset(sink.uri, storage_options=options)


def test_a_lance_dataset_is_appended_to_merged_and_widened(
    moto: S3Server, storage: dict[str, Any]
) -> None:
    sink = sink_in(moto, storage, "lance", blobs=["image"])
    run = pour(sink, [rows(0, 2), rows(2, 3)], run="a")
    assert (
        run.stage().query("select count(*) from output where image is null").column(0)[0].as_py()
        == 0
    )
    assert run.commit().rows == 3
    assert run.commit().already
    merge = sink_in(moto, storage, "lance", mode="upsert", key=["key"])
    pour(merge, [rows(2, 5)], run="b").commit()
    found = dataset_of(sink).to_table(blob_handling="all_binary", with_row_id=True).sort_by("n")
    assert found.drop_columns("_rowid").to_pylist() == rows(0, 5).to_pylist()
    new = pa.table({"twice": pa.array([0, 2, 4, 6, 8]), "_rowid": found.column("_rowid")})
    widen = sink_in(moto, storage, "lance", mode="addColumns", columns=["twice"])
    pour(widen, [new], run="c").commit()
    assert sorted(dataset_of(sink).to_table(columns=["twice"])["twice"].to_pylist()) == [
        0,
        2,
        4,
        6,
        8,
    ]
    assert not [key for key in moto.list_keys() if "rows.lance" in key]
    assert sink.last_run("cats") == "c"


def test_what_is_discarded_is_gone(moto: S3Server, storage: dict[str, Any]) -> None:
    run = pour(sink_in(moto, storage, "lance", blobs=["image"]), [rows(0, 3)])
    assert sum("/data/" in key for key in moto.list_keys()) == 2
    run.sink.discard(run.outputs, run.base)
    assert not [key for key in moto.list_keys() if "/data/" in key]


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_an_object_appears_as_a_whole(moto: S3Server, storage: dict[str, Any], kind: str) -> None:
    sink = sink_in(moto, storage, kind)
    run = pour(sink, [rows(0, 30), rows(30, 60)])
    assert run.stage().query("select sum(n) from output").column(0)[0].as_py() == 1770
    assert not [key for key in moto.list_keys() if key.endswith(f"cats.{kind}")]
    run.commit()
    place = open_store(sink.uri, sink.storage)
    data = bytes(place.store.get(place.path).bytes())
    if kind == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(pa.BufferReader(data)) == rows(0, 60)
    else:
        lines = [json.loads(line) for line in data.splitlines()]
        images = json_values.from_json([line["image"] for line in lines], pa.binary())
        assert images.equals(rows(0, 60)["image"].combine_chunks())
    assert not [key for key in moto.list_keys() if "/parts/" in key]


def test_the_quarantine_lies_beside_it(moto: S3Server, storage: dict[str, Any]) -> None:
    uri = f"s3://{moto.bucket}/lake/cats.lance.quarantine"
    fault = {"shard": 0, "position": 1, "key": "k", "reason": "Truncated"}
    for _ in range(2):
        set_aside(uri, run_ref(), [fault], storage)
    assert read(uri, storage=storage).total == 1
