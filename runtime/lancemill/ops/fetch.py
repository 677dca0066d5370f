"""fetch: the bytes that a column of URIs names.

Files are read where the caller stands, without a detour through an event loop; everything remote
goes to a `Retriever`. What is wrong with one URI is a fault of its row; a null URI gives null
without a fault.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lancemill.errors import RunError, StorageError
from lancemill.ops.operation import (
    Bound,
    Fault,
    Outcome,
    Place,
    WorkerContext,
    is_string,
    put_columns,
    require_column,
    with_columns,
)
from lancemill.ops.retrieval import RetrievalError
from lancemill.ops.retriever import Limits, Payload, Retriever, Surroundings
from lancemill.storage.uris import local_path
from lancemill_api.quantities import byte_size, seconds

BINARY_LIMIT = 2**31 - 1
"""Bytes that the values of one Arrow `binary` array can hold together."""
USUAL_MAX_BYTES = 64 << 20
"""Up to here the worker's chunks (32 rows) stay below BINARY_LIMIT by themselves."""

Result = Payload | RetrievalError | None


def bind(spec: Any, schema: pa.Schema, place: Place, resolved: Any = None) -> Bound:
    """Bind to a column of URIs; the new column holds their bytes."""
    del resolved
    require_column(schema, spec.column, place.at("column"), is_string, "string")
    max_bytes = byte_size(spec.max_bytes)
    kind = pa.binary() if max_bytes <= BINARY_LIMIT else pa.large_binary()
    made = with_columns(schema, [pa.field(spec.into, kind)])
    return Bound(
        stage=place.stage,
        operation="fetch",
        schema=made,
        reads=frozenset({spec.column}),
        makes=frozenset({spec.into}),
        open=lambda context: Fetch(spec, made, place.stage, context),
        bound_by="io",
        batch_rows=None if max_bytes <= USUAL_MAX_BYTES else max(1, BINARY_LIMIT // max_bytes),
        summary=f"→ {spec.into}: {kind}",
    )


class Fetch:
    """An opened fetch. Calls from many threads share its connections and its limit."""

    def __init__(
        self,
        spec: Any,
        schema: pa.Schema,
        stage: str,
        context: WorkerContext,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._column = spec.column
        self._into = spec.into
        self._schema = schema
        self._stage = stage
        self._base = context.base
        self._limits = Limits(
            attempts=spec.attempts,
            timeout_s=seconds(spec.timeout),
            max_bytes=byte_size(spec.max_bytes),
            in_flight=context.io_concurrency,
        )
        self._retriever = Retriever(
            self._limits,
            allow_private=spec.allow_private_addresses,
            storage=spec.storage if spec.storage is not None else context.storage,
            base=context.base,
            surroundings=surroundings,
        )

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        uris: list[str | None] = batch.column(self._column).to_pylist()
        results: list[Result] = [None] * len(uris)
        remote: dict[int, str] = {}
        for row, uri in enumerate(uris):
            if uri is None:
                continue
            if is_remote(uri):
                remote[row] = uri
            else:
                results[row] = read_file(uri, self._base, self._limits.max_bytes)
        if remote:
            fetched = self._retriever.fetch(list(remote.values()))
            for row, result in zip(remote, fetched, strict=True):
                results[row] = result
        return self._outcome(batch, results)

    def close(self) -> None:
        self._retriever.close()

    def _outcome(self, batch: pa.RecordBatch, results: Sequence[Result]) -> Outcome:
        faults = []
        payloads: list[Payload | None] = []
        for row, result in enumerate(results):
            if isinstance(result, RetrievalError):
                faults.append(Fault(row, self._stage, result.reason, str(result)))
                result = None
            payloads.append(result)
        made = binary_array(payloads, self._schema.field(self._into).type)
        return Outcome(put_columns(batch, self._schema, {self._into: made}), tuple(faults))


def is_remote(uri: str) -> bool:
    """Whether `uri` is anything but a path or a file URI."""
    return "://" in uri and not uri.startswith("file:")


def read_file(uri: str, base: Path, max_bytes: int) -> bytes | RetrievalError:
    """The bytes of a local file: an absolute path, a path from `base`, or a file URI."""
    try:
        path = uri if uri.startswith("/") else str(local_path(uri, base))
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with FileIO(descriptor) as file:
            return _read_open(file, uri, max_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return RetrievalError("NotFound", f"{uri} does not exist")
    except PermissionError:
        return RetrievalError("Forbidden", f"{uri} may not be read")
    except (OSError, ValueError, StorageError) as error:
        return RetrievalError("InvalidUri", f"{uri}: {error}")


def _read_open(file: FileIO, uri: str, max_bytes: int) -> bytes | RetrievalError:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return RetrievalError("InvalidUri", f"{uri} is not a regular file")
    if status.st_size > max_bytes:
        return RetrievalError("TooLarge", f"{uri}: {status.st_size} bytes, more than {max_bytes}")
    # One byte more than the limit tells a file that grows while it is read.
    body: bytes = file.readall() if status.st_size else file.read(max_bytes + 1) or b""
    if len(body) > max_bytes:
        return RetrievalError("TooLarge", f"{uri}: more than {max_bytes} bytes")
    return body


def binary_array(payloads: Sequence[Payload | None], kind: pa.DataType) -> pa.Array:
    """The array of `payloads`, each byte copied once; None becomes null."""
    offsets = np.zeros(len(payloads) + 1, np.int64)
    valid = np.ones(len(payloads), np.bool_)
    for row, payload in enumerate(payloads):
        valid[row] = payload is not None
        offsets[row + 1] = offsets[row] + (len(payload) if payload is not None else 0)
    if kind == pa.binary():
        if offsets[-1] > BINARY_LIMIT:
            raise RunError(
                f"{len(payloads)} rows hold {offsets[-1]} bytes, more than an Arrow array can",
                remedy="set a smaller placement.batchSize for the fetch stage",
            )
        offsets = offsets.astype(np.int32)
    data = b"".join([payload for payload in payloads if payload is not None])
    validity = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(payloads), buffers)
