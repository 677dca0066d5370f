"""Decode, resize and encode as operations on batches, each alone and all in one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lancemill.errors import PlanError
from lancemill.media.types import IMAGE, ByteRows, PictureRows, tensor
from lancemill.ops import decode, encode, resize
from lancemill.ops.image import can_fuse, fuse
from lancemill.ops.operation import UNKNOWN, Bound, Outcome, Place, WorkerContext
from lancemill_api.operations import Decode, Encode, Resize
from support.corpus import photo, saved

FULL = Decode(column="bytes", into="image")
SMALL = Resize(column="image", width=32, height=24)
JPEG = Encode(column="image", format="jpeg")
SCHEMA = pa.schema([("key", pa.string()), ("bytes", pa.binary())])


def place(spec: Any) -> Place:
    name = type(spec).__name__.lower()
    return Place(name, f"spec.stages[0].{name}")


def files() -> list[bytes | None]:
    good = saved(photo(), "JPEG", quality=90)
    return [good, None, b"", saved(photo("coffee.png"), "PNG"), good[:5000], b"text"]


def batch(kind: pa.DataType | None = None) -> pa.RecordBatch:
    given = pa.array(files(), kind or pa.binary())
    keys = pa.array([str(row) for row in range(len(given))])
    return pa.record_batch([keys, given], names=["key", "bytes"])


def fused(specs: Sequence[Any], schema: pa.Schema = SCHEMA) -> Bound:
    return fuse([(spec, place(spec)) for spec in specs], schema)


def run(bound: Bound, rows: pa.RecordBatch) -> Outcome:
    outcome = bound.open(WorkerContext())(rows)
    outcome.rows.validate(full=True)
    assert outcome.rows.schema.equals(bound.schema)
    assert outcome.rows.num_rows == rows.num_rows
    return outcome


def test_the_chain_gives_what_its_stages_give_one_after_the_other() -> None:
    exact = SMALL.model_copy(update={"quality": "exact"})
    first = decode.bind(FULL, SCHEMA, place(FULL))
    second = resize.bind(exact, first.schema, place(exact))
    third = encode.bind(JPEG, second.schema, place(JPEG))
    apart = batch()
    for bound in (first, second, third):
        apart = run(bound, apart).rows
    together = run(fused([FULL, exact, JPEG]), batch()).rows
    assert together.column("image").equals(apart.column("image"))


def test_faults_name_their_row_stage_and_reason_and_leave_nulls() -> None:
    outcome = run(fused([FULL, SMALL]), batch())
    assert [(fault.row, fault.stage, fault.reason) for fault in outcome.faults] == [
        (2, "decode", "Empty"),
        (4, "decode", "Truncated"),
        (5, "decode", "UnsupportedFormat"),
    ]
    assert outcome.rows.column("image").is_valid().to_pylist() == [
        row in (0, 3) for row in range(6)
    ]


def test_rows_without_a_picture_hold_zeros_so_that_the_same_input_gives_the_same_bytes() -> None:
    storage = run(fused([FULL, SMALL]), batch()).rows.column("image").storage
    pixels = storage.values.to_numpy().reshape(6, -1)
    assert not pixels[[1, 2, 4, 5]].any()


def test_a_fault_of_the_encoder_carries_the_encoder_s_stage() -> None:
    wide = Resize(column="image", width=16_384, height=1, fit="fill")
    webp = Encode(column="image", format="webp")
    outcome = run(fused([FULL, wide, webp]), batch().slice(0, 1))
    assert [(fault.stage, fault.reason) for fault in outcome.faults] == [
        ("encode", "TooLargeForFormat")
    ]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_bytes_may_be_of_any_binary_type_and_batches_may_be_slices(kind: pa.DataType) -> None:
    schema = pa.schema([("key", pa.string()), ("bytes", kind)])
    whole = run(fused([FULL, SMALL], schema), batch(kind)).rows
    part = run(fused([FULL, SMALL], schema), batch(kind).slice(3, 2)).rows
    assert part.column("image").to_pylist() == whole.column("image").slice(3, 2).to_pylist()


def test_types_are_known_before_anything_runs() -> None:
    assert fused([FULL]).schema.field("image").type == IMAGE
    assert fused([FULL, SMALL]).schema.field("image").type == tensor(24, 32, 3)
    assert fused([FULL, SMALL]).summary == "→ image: uint8[24,32,3]"
    inside = SMALL.model_copy(update={"fit": "inside"})
    assert fused([FULL, inside]).schema.field("image").type == IMAGE
    assert fused([FULL, SMALL, JPEG]).schema.field("image").type == pa.binary()
    grey = FULL.model_copy(update={"mode": "L"})
    assert fused([grey, SMALL]).schema.field("image").type == tensor(24, 32, 1)


def test_channels_are_known_behind_a_decode_that_stands_alone() -> None:
    grey = FULL.model_copy(update={"mode": "L"})
    first = decode.bind(grey, SCHEMA, place(grey))
    second = resize.bind(SMALL, first.schema, place(SMALL))
    assert second.schema.field("image").type == tensor(24, 32, 1)
    rows = PictureRows(run(second, run(first, batch()).rows).rows.column("image"))
    assert rows[0] is not None


def test_the_bytes_column_can_be_replaced_where_it_stands() -> None:
    here = Decode(column="bytes")
    small = Resize(column="bytes", width=8, height=8)
    bound = fused([here, small])
    assert bound.schema.names == ["key", "bytes"]
    assert (bound.reads, bound.makes) == ({"bytes"}, {"bytes"})
    assert run(bound, batch()).rows.column("bytes").type == tensor(8, 8, 3)


def test_encoded_pictures_are_files() -> None:
    rows = ByteRows(run(fused([FULL, SMALL, JPEG]), batch()).rows.column("image"))
    assert bytes(rows[0] or b"")[:3] == b"\xff\xd8\xff"
    assert rows[2] is None


def test_batches_of_large_pictures_are_kept_small() -> None:
    large = SMALL.model_copy(update={"width": 4096, "height": 4096})
    assert fused([FULL]).batch_rows == 16
    assert fused([FULL, large]).batch_rows == 2
    assert fused([FULL, large, JPEG]).batch_rows is None
    assert fused([FULL, SMALL]).batch_rows is None


def test_wrong_columns_are_told_with_what_would_be_right() -> None:
    with pytest.raises(PlanError, match=r"'bytes' is binary, expected decoded pictures"):
        fused([Resize(column="bytes", width=8, height=8)])
    with pytest.raises(PlanError, match=r"'key' is string, expected encoded pictures"):
        fused([Decode(column="key")])
    with pytest.raises(PlanError, match=r"did you mean bytes\?"):
        fused([Decode(column="byts")])


def test_a_column_whose_maker_is_wrong_is_accepted_so_that_one_mistake_is_told_once() -> None:
    schema = pa.schema([("image", UNKNOWN)])
    assert fused([SMALL], schema).schema.field("image").type == UNKNOWN
    assert fused([JPEG], schema).schema.field("image").type == pa.binary()
    assert fused([Decode(column="image"), SMALL], schema).schema.field("image").type == tensor(
        24, 32, 3
    )


def test_only_one_chain_of_columns_in_order_can_be_fused() -> None:
    other = Resize(column="other", width=8, height=8)
    assert can_fuse([FULL, SMALL])
    assert can_fuse([FULL, SMALL, JPEG])
    assert can_fuse([FULL, JPEG])
    assert can_fuse([SMALL, JPEG])
    assert not can_fuse([SMALL, FULL])
    assert not can_fuse([SMALL, SMALL])
    assert not can_fuse([FULL, other])
    assert not can_fuse([FULL, "sql"])


def test_calls_at_once_give_what_calls_in_turn_give() -> None:
    applied = fused([FULL, SMALL]).open(WorkerContext(cores=4))
    wanted = applied(batch()).rows
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(applied, [batch()] * 24))
    assert all(outcome.rows.equals(wanted) for outcome in outcomes)


def test_an_unforeseen_exception_costs_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from lancemill.media import decoding

    def broken(*_: object) -> np.ndarray:
        raise ZeroDivisionError("by the decoder")

    monkeypatch.setattr(decoding.jpeg, "decode_jpeg", broken)
    outcome = run(fused([FULL, SMALL]), batch().slice(0, 4))
    unforeseen = outcome.faults[0]
    assert (unforeseen.row, unforeseen.reason) == (0, "Unexpected")
    assert unforeseen.message == "ZeroDivisionError: by the decoder"
    assert outcome.rows.column("image").is_valid().to_pylist() == [False, False, False, True]
