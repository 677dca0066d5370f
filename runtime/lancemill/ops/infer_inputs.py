"""Columns as a model's inputs: whether they fit, and how rows become arrays.

Pictures (`uint8[h,w,c]`) become the model's layout and scale; numbers, vectors and tensors of
numbers go in as they are, cast to the input's type where that loses nothing but precision; text
goes in as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lancemill.media.types import IMAGE, shape_of
from lancemill.ops.onnx_model import ELEMENTS, Array, Dimension, Value
from lancemill.ops.operation import is_binary, is_string

Feed = Callable[[pa.Array], Array]
"""Rows of a column (none of them null) as the model takes them."""

CHANNELS = (1, 3, 4)

_MEAN_STD: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "unit": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
"""Of pixels in 0..1, for red, green and blue."""


class UnfitError(Exception):
    """The column does not fit the input; the message says what would."""


@dataclass(frozen=True, slots=True)
class Input:
    """A model's input bound to a column."""

    name: str
    column: str
    shape: tuple[int, ...]
    """Of one row, as the model gets it."""
    feed: Feed


def fit(column: str, kind: pa.DataType, value: Value, *, normalize: str, layout: str) -> Input:
    """How `column` feeds `value`; UnfitError with what was found and what would be right."""
    if value.element is None:
        raise UnfitError(f"the model's input {value} is of a kind that no column can feed")
    if not value.shape:
        raise UnfitError(f"the model's input {value} has no axis for the rows")
    picture = shape_of(kind)
    if picture is not None:
        return _picture(column, picture, value, normalize, layout)
    if kind == IMAGE:
        raise UnfitError(
            f"column '{column}' holds pictures of any size, the input is {value}; "
            "add a resize stage before (contain, cover or fill)"
        )
    if is_binary(kind):
        raise UnfitError(
            f"column '{column}' is {kind}, the input is {value}; "
            "add decode and resize stages before"
        )
    if is_string(kind):
        return _text(column, kind, value)
    return _numbers(column, kind, value)


# -- pictures


def _picture(
    column: str, picture: tuple[int, int, int], value: Value, normalize: str, layout: str
) -> Input:
    height, width, channels = picture
    if len(value.shape) != 4:
        raise _misfit(column, f"pictures of {height}x{width}x{channels}", value)
    first = layout == "NCHW" or (layout == "auto" and _channels_first(value.shape, channels))
    shape = (channels, height, width) if first else (height, width, channels)
    if not _fits(shape, value.shape[1:]):
        order = "channels first" if first else "channels last"
        raise _misfit(column, f"pictures of {list(shape)} ({order})", value)
    element = ELEMENTS[value.element or ""]
    if normalize != "none" and not np.issubdtype(element, np.floating):
        raise UnfitError(f"normalize is {normalize}, but the model's input is {value}; use none")
    if normalize in ("imagenet", "clip") and channels != 3:
        raise UnfitError(
            f"normalize is {normalize}, which needs 3 channels; column '{column}' has {channels}"
        )
    scale, bias = scaling(normalize, channels)
    return Input(value.name, column, shape, _PictureFeed(picture, first, element, scale, bias))


def _channels_first(shape: Sequence[Dimension], channels: int) -> bool:
    """As the model's shape says; where it leaves both open, as most models have it."""
    if shape[1] == channels:
        return True
    if shape[3] == channels:
        return False
    return not (shape[3] in CHANNELS and shape[1] not in CHANNELS)


def scaling(normalize: str, channels: int) -> tuple[Array | None, Array | None]:
    """Factor and summand for each channel of pixels in 0..255; None where nothing happens."""
    if normalize == "none":
        return None, None
    mean, std = (np.resize(np.array(each), channels) for each in _MEAN_STD[normalize])
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _PictureFeed:
    picture: tuple[int, int, int]
    first: bool
    element: type[np.generic]
    scale: Array | None
    bias: Array | None

    def __call__(self, column: pa.Array) -> Array:
        pixels = fixed_values(column, self.picture)
        if self.first:
            pixels = pixels.transpose(0, 3, 1, 2)
        if self.scale is None or self.bias is None:
            return np.ascontiguousarray(pixels, dtype=self.element)
        scale, bias = self.scale, self.bias
        if self.first:
            scale, bias = scale[:, None, None], bias[:, None, None]
        scaled = np.empty(pixels.shape, np.float32)
        np.multiply(pixels, scale, out=scaled)
        scaled += bias
        return scaled.astype(self.element, copy=False)


def fixed_values(column: pa.Array, shape: tuple[int, ...]) -> Array:
    """A column of vectors or tensors as one array of [rows, *shape], without a copy."""
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    size = int(np.prod(shape))
    # A list array's `values` are those of the array that it was sliced from.
    values = storage.values.slice(storage.offset * size, len(storage) * size)
    numbers: Array = values.to_numpy(zero_copy_only=False).reshape(len(storage), *shape)
    return numbers


# -- numbers and text


def _numbers(column: str, kind: pa.DataType, value: Value) -> Input:
    if isinstance(kind, pa.FixedShapeTensorType):
        item, shape = kind.value_type, tuple(kind.shape)
    elif pa.types.is_fixed_size_list(kind):
        item, shape = kind.value_type, (kind.list_size,)
    else:
        item, shape = kind, ()
    element = ELEMENTS[value.element or ""]
    if not _castable(item, element):
        raise _misfit(column, str(kind), value)
    shape = _with_unit(shape, value)
    if not _fits(shape, value.shape[1:]):
        raise _misfit(column, str(kind), value)
    return Input(value.name, column, shape, _NumberFeed(shape, element))


def _with_unit(shape: tuple[int, ...], value: Value) -> tuple[int, ...]:
    """A single number is also a vector of one, where the model has it so."""
    return (1,) if not shape and len(value.shape) == 2 else shape


def _castable(item: pa.DataType, element: type[np.generic]) -> bool:
    if element is np.object_:
        return False
    if pa.types.is_boolean(item):
        return True
    if pa.types.is_floating(item):
        return bool(np.issubdtype(element, np.floating))
    if not pa.types.is_integer(item):
        return False
    if np.issubdtype(element, np.floating):
        return True
    return bool(np.can_cast(item.to_pandas_dtype(), element))


@dataclass(frozen=True, slots=True)
class _NumberFeed:
    shape: tuple[int, ...]
    element: type[np.generic]

    def __call__(self, column: pa.Array) -> Array:
        if isinstance(column, pa.ExtensionArray) or pa.types.is_fixed_size_list(column.type):
            numbers = fixed_values(column, self.shape)
        else:
            numbers = column.to_numpy(zero_copy_only=False).reshape(len(column), *self.shape)
        return np.ascontiguousarray(numbers, dtype=self.element)


def _text(column: str, kind: pa.DataType, value: Value) -> Input:
    shape = _with_unit((), value)
    if value.element != "string" or not _fits(shape, value.shape[1:]):
        raise _misfit(column, str(kind), value)
    return Input(value.name, column, shape, _TextFeed(shape))


@dataclass(frozen=True, slots=True)
class _TextFeed:
    shape: tuple[int, ...]

    def __call__(self, column: pa.Array) -> Array:
        texts = np.array(column.to_pylist(), np.object_)
        return texts.reshape(len(column), *self.shape)


def _fits(shape: Sequence[int], expected: Sequence[Dimension]) -> bool:
    return len(shape) == len(expected) and all(
        not isinstance(wanted, int) or size == wanted
        for size, wanted in zip(shape, expected, strict=True)
    )


def _misfit(column: str, found: str, value: Value) -> UnfitError:
    return UnfitError(f"column '{column}' is {found}, which does not fit the input {value}")


def usable_rows(columns: Sequence[pa.Array]) -> npt.NDArray[np.bool_]:
    """Rows in which no column is null, nor any number inside of it."""
    usable = np.ones(len(columns[0]), np.bool_)
    for column in columns:
        usable &= column.is_valid().to_numpy(zero_copy_only=False)
        storage = column.storage if isinstance(column, pa.ExtensionArray) else column
        if pa.types.is_fixed_size_list(storage.type) and storage.flatten().null_count:
            size = storage.type.list_size
            values = storage.values.slice(storage.offset * size, len(storage) * size)
            valid: Any = values.is_valid().to_numpy(zero_copy_only=False)
            usable &= valid.reshape(-1, size).all(axis=1)
    return usable
