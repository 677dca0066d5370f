"""What pictures and encoded bytes look like in Arrow, and how to get at their rows without copies.

Three shapes exist:

    encoded           binary (large_binary and the other byte types are read too)
    any size          IMAGE: struct<data: large_binary, height, width, channels: int32>
    one fixed size    tensor(h, w, c): the canonical fixed_shape_tensor of uint8, plain rows

Pixels are uint8, channels last. A picture has 1 (L), 3 (RGB) or 4 (RGBA) channels.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Pixels = npt.NDArray[np.uint8]
"""One picture, uint8[height, width, channels], rows without gaps."""

IMAGE = pa.struct(
    [
        pa.field("data", pa.large_binary()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("channels", pa.int32()),
    ]
)
"""A decoded picture of any size: the pixels' bytes and their shape."""


def tensor(height: int, width: int, channels: int) -> pa.DataType:
    """The type of decoded pictures that all have this size."""
    return pa.fixed_shape_tensor(pa.uint8(), [height, width, channels])


def shape_of(kind: pa.DataType) -> tuple[int, int, int] | None:
    """(height, width, channels) when `kind` is a `tensor(...)` type, None otherwise."""
    if not isinstance(kind, pa.FixedShapeTensorType):
        return None
    plain = kind.permutation is None or list(kind.permutation) == [0, 1, 2]
    if kind.value_type != pa.uint8() or len(kind.shape) != 3 or not plain:
        return None
    height, width, channels = kind.shape
    return height, width, channels


def is_picture(kind: pa.DataType) -> bool:
    """True for decoded pictures, of any size or of a fixed one."""
    return bool(kind == IMAGE) or shape_of(kind) is not None


def describe(kind: pa.DataType) -> str:
    """A picture's type as the plan prints it: `uint8[224,224,3]`, `uint8[h,w,c]`."""
    shape = shape_of(kind)
    return f"uint8[{','.join(map(str, shape))}]" if shape else "uint8[h,w,c]"


def tensor_array(pixels: Pixels, valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """The `tensor` array over uint8[n, h, w, c], sharing its memory; rows not `valid` are null."""
    rows, height, width, channels = pixels.shape
    size = height * width * channels
    values = pa.array(np.ascontiguousarray(pixels).reshape(-1))
    storage = pa.Array.from_buffers(
        pa.list_(pa.uint8(), size), rows, [_validity(valid)], children=[values]
    )
    return pa.ExtensionArray.from_storage(tensor(height, width, channels), storage)


def image_array(pictures: MutableSequence[Pixels | None]) -> pa.Array:
    """The IMAGE array of `pictures`; None becomes null.

    Empties `pictures` as it goes: each picture is let go once it is copied into the array's one
    buffer, so that a batch of large pictures is not held twice.
    """
    rows = len(pictures)
    shapes = np.zeros((3, rows), np.int32)
    offsets = np.zeros(rows + 1, np.int64)
    for row, picture in enumerate(pictures):
        if picture is not None:
            shapes[:, row] = picture.shape
        offsets[row + 1] = offsets[row] + (0 if picture is None else picture.size)
    valid = shapes[0] > 0
    data = np.empty(offsets[-1], np.uint8)
    for row, picture in enumerate(pictures):
        if picture is not None:
            data[offsets[row] : offsets[row + 1]].reshape(picture.shape)[...] = picture
            pictures[row] = picture = None
    return pa.StructArray.from_arrays(
        [_binary(pa.large_binary(), offsets, data), *(pa.array(side) for side in shapes)],
        fields=list(IMAGE),
        mask=pa.array(~valid),
    )


def _binary(kind: pa.DataType, offsets: npt.NDArray[Any], data: Pixels) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(offsets) - 1, buffers)


def _validity(valid: npt.NDArray[np.bool_] | None) -> pa.Buffer | None:
    if valid is None or valid.all():
        return None
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


class ByteRows:
    """The rows of a byte-string array as views into its buffer; None where null."""

    def __init__(self, array: pa.Array) -> None:
        if not (pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)):
            array = array.cast(pa.large_binary())
        _, offsets, data = array.buffers()
        wide = pa.types.is_large_binary(array.type)
        first, end = array.offset, array.offset + len(array) + 1
        self._ends = np.frombuffer(offsets or b"\0" * 8, np.int64 if wide else np.int32)[first:end]
        # Arrow's own view has signed bytes.
        self._data = memoryview(data if data is not None else b"").cast("B")
        self._valid = _valid_rows(array)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, row: int) -> memoryview | None:
        if self._valid is not None and not self._valid[row]:
            return None
        return self._data[self._ends[row] : self._ends[row + 1]]


class PictureRows:
    """The rows of an IMAGE or tensor array as views of pixels; None where null."""

    def __init__(self, array: pa.Array) -> None:
        self._valid = _valid_rows(array)
        self._rows = len(array)
        shape = shape_of(array.type)
        self._fixed = _tensor_pixels(array, shape) if shape else None
        if self._fixed is None:
            self._data = ByteRows(array.field("data"))
            names = ("height", "width", "channels")
            self._shapes = np.stack([array.field(name).fill_null(0) for name in names], axis=1)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> Pixels | None:
        if self._valid is not None and not self._valid[row]:
            return None
        if self._fixed is not None:
            picture: Pixels = self._fixed[row]
            return picture
        data = self._data[row]
        if data is None:
            return None
        height, width, channels = self._shapes[row].tolist()
        return np.frombuffer(data, np.uint8).reshape(height, width, channels)


def _tensor_pixels(array: pa.Array, shape: tuple[int, int, int]) -> Pixels:
    storage = array.storage
    size = shape[0] * shape[1] * shape[2]
    # A list array's `values` are those of the array it was sliced from.
    values = storage.values.slice(storage.offset * size, len(storage) * size)
    if values.null_count:
        values = values.fill_null(0)
    pixels: Pixels = values.to_numpy().reshape(len(storage), *shape)
    return pixels


def _valid_rows(array: pa.Array) -> npt.NDArray[np.bool_] | None:
    if array.null_count == 0:
        return None
    valid: npt.NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return valid
