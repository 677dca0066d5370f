"""A model's outputs as columns.

    [rows], [rows, 1]      a number (or text) for each row
    [rows, n]              float32[n], a vector
    [rows, a, b, …]        float32[a,b,…], a tensor
    … of text              list<string>, list<list<string>>, …

Sizes that the model leaves open are found by running it once on zeros of the columns' shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.ops.arrow_types import vector_or_tensor
from lancemill.ops.onnx_model import ELEMENTS, Array, Dimension, Value


@dataclass(frozen=True, slots=True)
class Output:
    """A model's output and the column that it becomes."""

    name: str
    column: str
    element: type[np.generic]
    shape: tuple[int, ...]
    """Of one row; () for a single value, also where the model has an axis of one for it."""

    @property
    def kind(self) -> pa.DataType:
        if self.element is np.object_:
            text: pa.DataType = pa.string()
            for _ in self.shape:
                text = pa.list_(text)
            return text
        item = pa.from_numpy_dtype(self.element)
        return vector_or_tensor(item, self.shape) if self.shape else item

    def array(self, values: Array, filled: npt.NDArray[np.bool_]) -> pa.Array:
        """The column: `values` for the rows that are `filled`, null for the others, in order."""
        if not self.shape:
            return _scalars(values.reshape(-1), filled, self.kind)
        if self.element is np.object_:
            rows = iter(values.tolist())
            return pa.array([next(rows) if there else None for there in filled], self.kind)
        size = int(np.prod(self.shape))
        spread = np.zeros((len(filled), size), self.element)
        spread[filled] = values.reshape(-1, size)
        validity = None
        if not filled.all():
            validity = pa.py_buffer(np.packbits(filled, bitorder="little"))
        item = pa.from_numpy_dtype(self.element)
        storage = pa.Array.from_buffers(
            pa.list_(item, size), len(filled), [validity], children=[pa.array(spread.reshape(-1))]
        )
        if isinstance(self.kind, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(self.kind, storage)
        return storage


def _scalars(values: Array, filled: npt.NDArray[np.bool_], kind: pa.DataType) -> pa.Array:
    spread = np.zeros(len(filled), values.dtype)
    spread[filled] = values
    return pa.array(spread, kind, mask=~filled)


def fit(value: Value, column: str, shape: Sequence[int]) -> Output:
    """The output `value`, whose whole shape for one row of input is `shape`."""
    inner = tuple(shape[1:])
    return Output(
        name=value.name,
        column=column,
        element=ELEMENTS[value.element or ""],
        shape=() if inner in ((), (1,)) else inner,
    )


def known_shape(shape: Sequence[Dimension]) -> tuple[int, ...] | None:
    """`shape` with one row, where all other sizes are said; else None."""
    sizes = [size for size in shape[1:] if isinstance(size, int)]
    return (1, *sizes) if shape and len(sizes) == len(shape) - 1 else None
