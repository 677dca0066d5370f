"""One call of a user's function: what it is given, and what it must give back.

Shared by the worker and by the process that runs a function apart, so that both enforce the same
contract: exactly the declared columns (in any order: a manifest's mapping has none in a cluster),
exactly their types, one row for each row. A result that breaks it is a mistake of the program
and ends the run; it is no fault of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pyarrow as pa

from lancemill.ops.entrypoint import load
from lancemill.ops.lossless import first_lost

Function = Callable[[pa.RecordBatch], Any]

P = ParamSpec("P")
T = TypeVar("T")

_LASTING = (
    ImportError,
    SyntaxError,
    NameError,
    AttributeError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
)


_SHOWN = 80
"""Characters of a value that a message shows."""


class ContractError(Exception):
    """A function is not what the manifest declares: it cannot be called, or its result differs."""


def may_pass(error: Exception) -> bool:
    """Whether a later attempt may not meet what a function raised.

    What Python itself raises for a wrong program or wrong values comes again. Files, connections,
    memory, devices, and whatever a library has a class of its own for, may be right next time.
    """
    return isinstance(error, OSError) or not isinstance(error, _LASTING)


def contained(work: Callable[P, T]) -> Callable[P, T]:
    """`work`, which runs a user's code: what that raises to end a program is an error as any other.

    sys.exit() is meant for a program of the user's own. A stop of the run is none of its doing.
    """

    @wraps(work)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise RuntimeError(f"raised {error!r}, which would end the whole program") from error

    return inside


@contained
def prepare(entrypoint: str, base: Path, kind: str, args: Mapping[str, Any]) -> Function:
    """Import the function, or construct the class (`actor`), once."""
    found = load(entrypoint, base)
    if kind == "actor":
        if not isinstance(found, type):
            raise ContractError(f"{entrypoint} is no class, as kind actor needs it")
        instance: Function = found(**args)
        if not callable(instance):
            raise ContractError(f"{entrypoint} has no __call__(batch)")
        return instance
    if isinstance(found, type) or not callable(found):
        raise ContractError(f"{entrypoint} is no function; a class needs kind: actor")
    return lambda batch: found(batch, **args)


@contained
def call(function: Function, batch: pa.RecordBatch, declared: pa.Schema) -> pa.RecordBatch:
    """The function's columns for `batch`, laid out as `declared`; ContractError if they are not."""
    columns = _columns(function(batch))
    if set(columns) != set(declared.names):
        raise ContractError(
            f"returned the columns {_listed(columns)}, expected {_listed(declared.names)}"
        )
    arrays = [_array(field, columns[field.name]) for field in declared]
    for field, array in zip(declared, arrays, strict=True):
        if len(array) != len(batch):
            raise ContractError(
                f"returned {len(array)} rows of {field.name}, expected {len(batch)}, "
                "one for each row that it was given"
            )
    return pa.RecordBatch.from_arrays(arrays, schema=declared)


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "(none)"


def _columns(result: Any) -> dict[str, Any]:
    if isinstance(result, pa.RecordBatch | pa.Table):
        if len(set(result.schema.names)) != len(result.schema.names):
            raise ContractError("returned two columns of the same name")
        return dict(zip(result.schema.names, result.columns, strict=True))
    if isinstance(result, Mapping):
        return dict(result)
    raise ContractError(
        f"returned {type(result).__name__}, expected a RecordBatch, a Table or a dict of columns"
    )


def _array(field: pa.Field, values: Any) -> pa.Array:
    """`values` as the declared type. Arrow arrays must have it; others must fit without loss."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks)
    if isinstance(values, pa.Array):
        if values.type != field.type:
            raise ContractError(f"returned {field.name} as {values.type}, expected {field.type}")
        return values
    try:
        if isinstance(values, np.ndarray):
            return _from_numpy(field, values)
        return _from_values(field.type, values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ContractError(
            f"returned {field.name} as {type(values).__name__}, which is no {field.type}: {error}"
        ) from error


def _from_values(kind: pa.DataType, values: Any) -> pa.Array:
    if isinstance(values, str | bytes):
        raise TypeError("it is one value, and not one for each row")
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _from_values(kind.storage_type, values))
    if hasattr(values, "__arrow_array__") or hasattr(values, "__arrow_c_array__"):
        return pa.array(values, kind)  # Arrow's own, so that it is cast with care
    if not isinstance(values, Sequence) and not hasattr(values, "__array__"):
        values = list(values)  # an iterator can be read once only
    array = pa.array(values, kind)
    given = np.asanyarray(values) if hasattr(values, "__array__") else values
    row = first_lost(kind, given)
    if row is not None:
        kept = _shown(array[row].as_py())
        raise ValueError(f"row {row} is {_shown(given[row])}, of which {kept} would be left")
    return array


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _from_numpy(field: pa.Field, values: np.ndarray[Any, Any]) -> pa.Array:
    """One dimension: a plain column. More: a column of vectors or tensors of just that shape."""
    kind = field.type
    tensor = isinstance(kind, pa.FixedShapeTensorType)
    shape = tuple(kind.shape) if tensor else (kind.list_size,) if _is_vector(kind) else ()
    if values.shape[1:] != shape:
        raise ValueError(f"its shape for each row is {list(values.shape[1:])}")
    if values.ndim <= 1:
        return _from_values(kind, values) if values.dtype == object else _exact(values, kind)
    if np.ma.is_masked(values):
        raise ValueError("a part of it is masked, and only a whole row can be null; give a list")
    item = kind.value_type
    flat = _exact(np.ascontiguousarray(values).reshape(-1), item)
    size = int(np.prod(shape))
    storage = pa.FixedSizeListArray.from_arrays(flat, size)
    if tensor:
        return pa.ExtensionArray.from_storage(kind, storage.cast(kind.storage_type))
    return storage.cast(kind)


def _exact(values: np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    array = pa.array(values)
    if array.type == kind or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return array if array.type == kind else pa.array(values, kind)
    raise ValueError(f"its items are {values.dtype}")


def _is_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind))
