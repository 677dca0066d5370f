"""What Arrow drops without a word when it makes a column of Python's values.

A fraction, what a number exceeds its type by, a time of day, an undeclared key: Arrow refuses much
that does not fit, but not these. Only called with values that Arrow has taken for the type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

Values = Sequence[Any] | np.ndarray[Any, Any]

_STEPS = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
_DAY = 24 * 60 * 60 * 10**9
"""In nanoseconds, as all steps."""
_INTEGERS = (int, np.integer)
_WHOLE = (*_INTEGERS, type(None), pa.Scalar)
"""Nothing is lost of these: Arrow's own scalars must have just the type."""


def first_lost(kind: pa.DataType, values: Values) -> int | None:
    """The first row whose value a column of `kind` would not hold as it is."""
    listed = _listed(values)
    if not _loses(kind, listed):
        return None
    return next(row for row, value in enumerate(listed) if _loses(kind, [value]))


def _listed(values: Values) -> Values:
    """Numbers stay an array, which is looked at as a whole."""
    if isinstance(values, np.ndarray) and values.dtype == object:
        return list(values.ravel().tolist())
    return values


def _loses(kind: pa.DataType, values: Values) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _loses(kind.storage_type, values)
    if pa.types.is_struct(kind):
        return _structs_lose(kind, _given(values))
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists_lose(kind.value_type, _given(values))
    if pa.types.is_integer(kind):
        return _fraction_lost(values)
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return _too_large(np.dtype(kind.to_pandas_dtype()), values)
    if pa.types.is_timestamp(kind):
        return _any(partial(_is_finer, _STEPS[kind.unit]), values)
    if pa.types.is_date(kind):
        return _any(partial(_is_finer, _DAY), values)
    return False


def _given(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None and not isinstance(value, pa.Scalar)]


def _structs_lose(kind: pa.StructType, values: list[Any]) -> bool:
    names = [field.name for field in kind]
    known = {*names, *(name.encode() for name in names)}
    rows: list[Mapping[Any, Any]] = [
        dict(zip(names, value, strict=False)) if isinstance(value, tuple) else dict(value)
        for value in values
    ]
    if any(row.keys() - known for row in rows):
        return True
    return any(
        _loses(field.type, [row.get(field.name, row.get(field.name.encode())) for row in rows])
        for field in kind
    )


def _lists_lose(kind: pa.DataType, values: list[Any]) -> bool:
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if any(np.ma.is_masked(array) or _loses(kind, _listed(array)) for array in arrays):
        return True
    others = (value for value in values if not isinstance(value, np.ndarray))
    return _loses(kind, list(chain.from_iterable(others)))


def _fraction_lost(values: Values) -> bool:
    if isinstance(values, np.ndarray):
        # Not a number is either refused by Arrow or, from pandas, a null.
        odd = values.dtype.kind == "f" and (values != np.trunc(values)) & ~np.isnan(values)
        return bool(np.any(odd))
    return _any(lambda value: bool(value != int(value)), values)


def _too_large(kind: np.dtype[Any], values: Values) -> bool:
    """Whether a number becomes infinite, or a half one of a whole number that it cannot say: for
    larger floats Arrow sees to that."""
    array = isinstance(values, np.ndarray)
    scalars = not array and any(issubclass(one, pa.Scalar) for one in set(map(type, values)))
    # A null is read as not a number, which is neither infinite nor whole.
    numbers = np.asarray(_given(values) if scalars else values, None if array else np.float64)
    if numbers.dtype == kind:
        return False
    with np.errstate(over="ignore"):
        narrow = numbers.astype(kind)
        if np.any(np.isinf(narrow) & ~np.isinf(numbers)):
            return True
    if kind != np.float16:
        return False
    if array:
        return numbers.dtype.kind in "iu" and bool(np.any(narrow != numbers))
    return any(float(np.float16(one)) != one for one in values if isinstance(one, _INTEGERS))


def _is_finer(step: int, value: Any) -> bool:
    """Whether a point in time is not a multiple of `step`, or a number not a whole one."""
    if not isinstance(value, datetime):
        return isinstance(value, float | np.floating) and value != int(value)
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    nanoseconds = seconds * 10**9 + value.microsecond * 1000 + getattr(value, "nanosecond", 0)
    return nanoseconds % step != 0 or (step == _DAY and value.tzinfo is not None)


def _any(loses: Callable[[Any], bool], values: Values) -> bool:
    """Whether one loses; values of harmless types alone are not looked at one by one."""
    if all(issubclass(kind, _WHOLE) for kind in set(map(type, values))):
        return False
    return any(loses(value) for value in values if not isinstance(value, _WHOLE))
