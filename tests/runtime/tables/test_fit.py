"""Whether rows fit a dataset, told in the words of the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lance
import pyarrow as pa
import pytest

from lancemill.errors import PlanError
from lancemill.sinks import open_sink
from lancemill.tables.fit import fit
from lancemill_api.sink import Sink as SinkSpec

TARGET = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        lance.blob_field("image"),
        pa.field("embedding", pa.list_(pa.float32(), 768)),
        pa.field("tags", pa.list_(pa.field("element", pa.large_string()))),
    ]
)


def told(output: pa.Schema, **more: Any) -> list[str]:
    return [str(mistake).strip() for mistake in fit(output, TARGET, "cats-224", **more)]


def test_what_means_the_same_fits() -> None:
    output = pa.schema(
        [
            ("key", pa.large_string()),
            ("image", pa.binary()),
            ("embedding", pa.list_(pa.float32(), 768)),
            ("tags", pa.list_(pa.string())),
        ]
    )
    assert told(output) == []
    assert told(pa.schema([("key", pa.string())])) == []


def test_types_are_told_as_manifests_write_them() -> None:
    output = pa.schema(
        [("key", pa.string()), ("embedding", pa.list_(pa.float32(), 512)), ("tags", pa.int8())]
    )
    assert told(output, columns=["key", "embedding", "tags"]) == [
        "columns[1]  'embedding' is float32[512], cats-224 has float32[768]",
        "columns[2]  'tags' is int8, cats-224 has list<large_string>",
    ]


def test_unknown_and_missing_columns_are_told() -> None:
    output = pa.schema([("imag", pa.binary())])
    assert told(output) == [
        "'imag' is no column of cats-224; did you mean image? it has: key, image, embedding, "
        "tags. New columns are added by mode addColumns",
        "cats-224 has the column 'key' (string, never null), which the pipeline does not make",
    ]
    assert len(told(output, partial=True)) == 1


def test_a_column_that_is_wrong_already_is_not_told_twice() -> None:
    assert told(pa.schema([("key", pa.string()), ("embedding", pa.null())])) == []


def open_it(folder: Path, datasets: dict[str, Any], **fields: Any) -> Any:
    return open_sink(SinkSpec.model_validate({"lance": fields}), datasets, base=folder)


def dataset_of(uri: str) -> Any:
    from lancemill_api.dataset import LanceDataset

    return LanceDataset.model_validate(
        {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "LanceDataset",
            "metadata": {"name": "cats"},
            "spec": {
                "uri": uri,
                "schema": [
                    {"name": "key", "type": "string", "nullable": False, "primaryKey": True},
                    {"name": "image", "type": "binary", "storage": "blob"},
                    {"name": "embedding", "type": "float32[4]"},
                    {"name": "pixels", "type": "uint8[2,2,3]"},
                ],
            },
        }
    )


def test_a_declared_schema_is_enforced_before_the_dataset_exists(tmp_path: Path) -> None:
    sink = open_it(tmp_path, {"cats": dataset_of("lake/cats.lance")}, dataset="cats")
    assert sink.uri == str(tmp_path / "lake" / "cats.lance")
    wrong = pa.schema([("key", pa.string()), ("embedding", pa.list_(pa.float32(), 5))])
    (mistake,) = sink.fit(wrong)
    assert str(mistake) == "spec.sink.lance  'embedding' is float32[5], cats has float32[4]"


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_a_dataset_is_made_as_it_is_declared(tmp_path: Path, mode: str) -> None:
    from support.pour import pour

    sink = open_it(tmp_path, {"cats": dataset_of("cats.lance")}, dataset="cats", mode=mode)
    rows = pa.table({"image": pa.array([b"x" * 70_000, None], pa.binary()), "key": ["a", "b"]})
    assert sink.fit(rows.schema) == []
    pour(sink, [rows]).commit()
    dataset = lance.dataset(tmp_path / "cats.lance")
    assert dataset.schema.names == ["key", "image", "embedding", "pixels"]
    assert dataset.schema.field("pixels").type == pa.fixed_shape_tensor(pa.uint8(), [2, 2, 3])
    found = dataset.to_table(blob_handling="all_binary").to_pylist()
    assert [(row["key"], row["image"], row["embedding"]) for row in found] == [
        ("a", b"x" * 70_000, None),
        ("b", None, None),
    ]


def test_a_name_without_a_dataset_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="there is no LanceDataset 'cat'; did you mean cats"):
        open_it(tmp_path, {"cats": dataset_of("x")}, dataset="cat")


def test_keys_and_blobs_must_be_columns_of_the_output(tmp_path: Path) -> None:
    sink = open_it(tmp_path, {}, uri="x.lance", mode="upsert", key=["keys"], blobs=["imag"])
    output = pa.schema([("key", pa.string()), ("image", pa.binary())])
    assert [str(mistake) for mistake in sink.fit(output)] == [
        "spec.sink.lance.blobs[0]  'imag' is no column of the output; did you mean image? "
        "it has: key, image",
        "spec.sink.lance.key[0]  'keys' is no column of the output; did you mean key? "
        "it has: key, image",
    ]
