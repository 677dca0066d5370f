"""fetch: the bytes that a column of URIs names.

Files are read where the caller stands, without a detour through an event loop; everything remote
goes to a `Retriever`. What is wrong with one URI is a fault of its row; a null URI gives null
without a fault.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lancemill.errors import RunError
from lancemill.ops.local_files import Payload, read_files
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
from lancemill_api.quantities import byte_size, seconds

if TYPE_CHECKING:
    from lancemill.ops.retriever import Retriever, Surroundings

BINARY_LIMIT = 2**31 - 1
"""Bytes that the values of one Arrow `binary` array can hold together."""
USUAL_MAX_BYTES = 64 << 20
"""Up to here the worker's chunks (24 rows) stay below BINARY_LIMIT by themselves."""

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
        self._spec = spec
        self._context = context
        self._surroundings = surroundings
        self._max_bytes = byte_size(spec.max_bytes)
        self._retriever: Retriever | None = None
        self._opening = threading.Lock()

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        uris: list[str | None] = batch.column(self._column).to_pylist()
        remote = {row: uri for row, uri in enumerate(uris) if uri is not None and is_remote(uri)}
        local = [None if row in remote else uri for row, uri in enumerate(uris)]
        files = read_files(local, self._context.base, self._max_bytes)
        results: list[Result] = files.found
        if remote:
            fetched = self._remote().fetch(list(remote.values()))
            for row, result in zip(remote, fetched, strict=True):
                results[row] = result
        return self._outcome(batch, results, None if remote else files.whole)

    def close(self) -> None:
        if self._retriever is not None:
            self._retriever.close()

    def _remote(self) -> Retriever:
        """The retriever, made for the first remote URI: files need no event loop."""
        from lancemill.ops.retriever import Limits, Retriever

        spec, context = self._spec, self._context
        with self._opening:
            if self._retriever is None:
                limits = Limits(
                    attempts=spec.attempts,
                    timeout_s=seconds(spec.timeout),
                    max_bytes=self._max_bytes,
                    in_flight=context.io_concurrency,
                )
                self._retriever = Retriever(
                    limits,
                    allow_private=spec.allow_private_addresses,
                    storage=spec.storage if spec.storage is not None else context.storage,
                    base=context.base,
                    surroundings=self._surroundings,
                )
            return self._retriever

    def _outcome(
        self, batch: pa.RecordBatch, results: Sequence[Result], whole: memoryview | None
    ) -> Outcome:
        faults = []
        payloads: list[Payload | None] = []
        for row, result in enumerate(results):
            if isinstance(result, RetrievalError):
                faults.append(_fault(row, self._stage, result))
                result = None
            payloads.append(result)
        made = binary_array(payloads, self._schema.field(self._into).type, whole)
        return Outcome(put_columns(batch, self._schema, {self._into: made}), tuple(faults))


def _fault(row: int, stage: str, failure: RetrievalError) -> Fault:
    # A refused connection is not worth another try in a second; in an hour it may be.
    may_pass = failure.transient or failure.reason in ("Connection", "Timeout")
    return Fault(row, stage, failure.reason, str(failure), may_pass)


def is_remote(uri: str) -> bool:
    """Whether `uri` is anything but a path or a file URI."""
    return "://" in uri and not uri.startswith("file:")


def binary_array(
    payloads: Sequence[Payload | None], kind: pa.DataType, whole: memoryview | None = None
) -> pa.Array:
    """The array of `payloads`; None becomes null. `whole` is all of their bytes in order, where
    they lie so already: else each byte is copied once."""
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
    data: Payload | None = whole
    if data is None:
        data = b"".join([payload for payload in payloads if payload is not None])
    validity = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, len(payloads), buffers)
