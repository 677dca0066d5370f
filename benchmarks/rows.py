"""The rows that every case writes: key, picture as a raw tensor, and a score behind a device."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.case import SIDE

IMAGE = pa.fixed_shape_tensor(pa.uint8(), [SIDE, SIDE, 3])


def schema(scored: bool) -> pa.Schema:
    """What a case that writes by pylance writes."""
    fields = [pa.field("key", pa.string()), pa.field("image", IMAGE)]
    return pa.schema([*fields, pa.field("score", pa.float32())] if scored else fields)


def batch(
    keys: Sequence[str],
    images: npt.NDArray[np.uint8],
    scores: npt.NDArray[np.float32] | None = None,
) -> pa.RecordBatch:
    """One batch of rows; the pixels are not copied."""
    flat = pa.array(np.ascontiguousarray(images).reshape(-1))
    stored = pa.FixedSizeListArray.from_arrays(flat, SIDE * SIDE * 3)
    columns = [pa.array(keys, pa.string()), pa.ExtensionArray.from_storage(IMAGE, stored)]
    if scores is not None:
        columns.append(pa.array(scores, pa.float32()))
    return pa.record_batch(columns, schema=schema(scores is not None))


def write(uri: str, rows: Iterable[pa.RecordBatch], scored: bool = False) -> int:
    """A new dataset from a stream of batches, by one writer; the number of its rows."""
    import lance

    reader = pa.RecordBatchReader.from_batches(schema(scored), rows)
    return int(lance.write_dataset(reader, uri, mode="create").count_rows())


def names(paths: Sequence[Path | str]) -> list[str]:
    """The keys of pictures: their file names."""
    return [os.path.basename(path) for path in paths]  # noqa: PTH119 (strings of peers, too)
