"""The column flow that a manifest alone tells: what is wrong for sure, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_api.flow import mistakes
from lancemill_api.pipeline import API_VERSION, MultimodalPipeline

OBJECTS = {"objects": {"uri": "s3://photos/"}}
TABLE = {"table": {"format": "parquet", "uri": "s3://rows/"}}
COLUMNS = {"table": {"format": "parquet", "uri": "s3://rows/", "columns": ["id", "photo"]}}
FETCH = {"fetch": {"column": "uri", "into": "bytes"}}
DECODE = {"decode": {"column": "bytes", "into": "image"}}
SMALL = {"resize": {"column": "image", "width": 224, "height": 224}}
MODEL = {"model": {"uri": "s3://m/x.onnx"}, "inputs": {"image": "x"}, "outputs": {"y": "vector"}}
OBJECT_COLUMNS = "key, uri, size, type, etag, last_modified, owner"


def told(*operations: dict[str, Any], source: Any = OBJECTS, **lance: Any) -> list[str]:
    document = {
        "apiVersion": API_VERSION,
        "kind": "MultimodalPipeline",
        "metadata": {"name": "cats"},
        "spec": {
            "source": source,
            "stages": [{"name": f"s{at}", **one} for at, one in enumerate(operations)],
            "sink": {"lance": {"uri": "s3://lake/cats.lance", **lance}},
        },
    }
    return [str(one) for one in mistakes(MultimodalPipeline.model_validate(document))]


def test_columns_that_follow_from_each_other_are_right() -> None:
    embed = {"infer": MODEL}
    text = {"format": {"text": "{key}: {size} bytes, {{sic}}", "into": "caption"}}
    assert told(FETCH, DECODE, SMALL, embed, text, columns=["key", "vector", "caption"]) == []


def test_a_column_that_no_stage_makes_is_told_with_the_nearest_and_all_there_are() -> None:
    assert told(FETCH, DECODE, {"resize": {"column": "imgae", "width": 2, "height": 2}}) == [
        "spec.stages[2].resize.column  column 'imgae' is made by no earlier stage; did you mean "
        f"image? there are: {OBJECT_COLUMNS}, bytes, image"
    ]


def test_a_sink_column_that_no_stage_makes_is_told() -> None:
    assert told(FETCH, columns=["key", "image"]) == [
        f"spec.sink.lance.columns[1]  'image' is made by no stage; there are: {OBJECT_COLUMNS}, "
        "bytes"
    ]


def test_a_key_or_blob_that_is_not_written_is_told() -> None:
    assert told(mode="upsert", key=["id"], blobs=["bytes"], columns=["key", "uri"]) == [
        "spec.sink.lance.key[0]  'id' is no column of the output; it has: key, uri",
        "spec.sink.lance.blobs[0]  'bytes' is no column of the output; it has: key, uri",
    ]


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([{"fetch": {"column": "size"}}], "column 'size' is int64, expected string"),
        (
            [{"decode": {"column": "uri"}}],
            "column 'uri' is string, expected encoded pictures (binary)",
        ),
        (
            [FETCH, {"resize": {"column": "bytes", "width": 2, "height": 2}}],
            "column 'bytes' is binary, expected decoded pictures (put a decode before)",
        ),
        (
            [FETCH, DECODE, SMALL, {"decode": {"column": "image"}}],
            "column 'image' is uint8[224,224,c], expected encoded pictures (binary)",
        ),
        (
            [{"encode": {"column": "key", "format": "png"}}],
            "column 'key' is string, expected decoded pictures (put a decode before)",
        ),
        (
            [FETCH, DECODE, {"infer": MODEL}],
            "column 'image' has pictures of any size; add a resize stage before (contain, cover "
            "or fill)",
        ),
        (
            [FETCH, {"infer": MODEL | {"inputs": {"bytes": "x"}}}],
            "column 'bytes' is binary; add decode and resize stages before",
        ),
        (
            [FETCH, {"format": {"text": "{bytes}", "into": "t"}}],
            "column 'bytes' is binary, expected text, a number or true/false",
        ),
        (
            [{"format": {"template": "alpaca", "instruction": "size", "into": "t"}}],
            "column 'size' is int64, expected string",
        ),
        ([{"format": {"text": "{key", "into": "t"}}], "has a single { at 0; write it twice"),
        (
            [{"udf": {"entrypoint": "m:f", "inputs": ["kye"], "schema": {"a": "int8"}}}],
            f"column 'kye' is made by no earlier stage; did you mean key? there are: "
            f"{OBJECT_COLUMNS}",
        ),
        (
            [{"infer": MODEL | {"inputs": {"key": "x", "uri": "x"}}}],
            "two columns feed the model's input x",
        ),
        (
            [{"infer": MODEL | {"inputs": {"key": "x"}, "outputs": {"a": "v", "b": "v"}}}],
            "two outputs become the column 'v'",
        ),
    ],
)
def test_a_stage_that_cannot_take_its_column_is_told(stages: Any, expected: str) -> None:
    (only,) = told(*stages)
    assert only.partition("  ")[2] == expected


def test_a_mistake_is_told_once_and_those_behind_it_are_told_too() -> None:
    wrong = {"fetch": {"column": "url", "into": "bytes"}}
    paths = [one.partition("  ")[0] for one in told(wrong, DECODE, SMALL, columns=["embedding"])]
    assert paths == ["spec.stages[0].fetch.column", "spec.sink.lance.columns[0]"]


def test_of_a_table_whose_columns_are_not_named_nothing_is_known() -> None:
    assert told({"decode": {"column": "photo"}}, source=TABLE, columns=["photo", "more"]) == []


def test_a_tables_named_columns_are_all_there_are_and_of_any_type() -> None:
    assert told({"decode": {"column": "photo"}}, source=COLUMNS) == []
    (only,) = told({"decode": {"column": "foto"}}, source=COLUMNS)
    assert only.endswith("did you mean photo? there are: id, photo")


def test_behind_a_query_everything_is_possible() -> None:
    query = {"sql": {"query": "select key as a, size + 1 as b from input"}}
    resize = {"resize": {"column": "c", "width": 2, "height": 2}}
    assert told(query, {"decode": {"column": "b"}}, resize, columns=["d"], blobs=["d"]) == []


def test_what_is_added_to_rows_need_not_be_all_of_them() -> None:
    stage = {"udf": {"entrypoint": "m:f", "inputs": ["_rowid"], "schema": {"a": "int8"}}}
    assert told(stage, source=COLUMNS, mode="addColumns", columns=["a"]) == []
