"""The object table: its columns, and its rows as they come out of a listing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from lancemill.sources.media_types import media_type

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("type", pa.string(), nullable=False),
        pa.field("etag", pa.string()),
        pa.field("last_modified", pa.timestamp("us", "UTC")),
        pa.field("owner", pa.string()),
    ]
)
"""`key` is relative to the prefix, `uri` absolute. `size` is null where the store does not tell
(a dangling link, an HTTP server without Content-Length); `etag` is null for local files; `owner`
is null wherever a listing does not carry it."""

BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """One object as its store lists it."""

    key: str
    size: int | None = None
    modified: int | None = None
    """Microseconds since 1970."""
    etag: str | None = None
    uri: str | None = None
    """Where the prefix and the key do not give it."""


Lister = Callable[[], Iterator[Found]]


def batches(found: Iterable[Found], uri_of: Callable[[str], str]) -> Iterator[pa.RecordBatch]:
    """The rows of the object table for `found`, a bounded number at a time."""
    stream = iter(found)
    while chunk := list(islice(stream, BATCH_ROWS)):
        yield _batch(chunk, uri_of)


def _batch(chunk: list[Found], uri_of: Callable[[str], str]) -> pa.RecordBatch:
    columns = [
        pa.array([one.key for one in chunk], pa.string()),
        pa.array([one.uri or uri_of(one.key) for one in chunk], pa.string()),
        pa.array([one.size for one in chunk], pa.int64()),
        pa.array([media_type(one.key) for one in chunk], pa.string()),
        pa.array([one.etag for one in chunk], pa.string()),
        pa.array([one.modified for one in chunk], pa.timestamp("us", "UTC")),
        pa.nulls(len(chunk), pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
