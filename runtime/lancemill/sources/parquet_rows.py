"""Ranges of rows out of Parquet files, wherever they lie, without reading what comes before.

Snapshots (listings, the rows of a CSV) and Parquet tables are read by this alone.
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lancemill.errors import StorageError
from lancemill.storage import Location, explain, interruptibly, is_local, local_path, open_store

REMOTE_BUFFER = 1 << 20


class ParquetRows:
    """One Parquet file. The footer is read once; each reading has a handle of its own, so that
    threads may read different ranges at once."""

    def __init__(self, uri: str, storage: object | None = None) -> None:
        self.uri = uri
        self._storage = storage
        self._lock = threading.Lock()
        self._metadata: pq.FileMetaData | None = None
        self._ends: list[int] = []

    @property
    def metadata(self) -> pq.FileMetaData:
        """The footer; StorageError where the file cannot be read or is no Parquet."""
        with self._lock:
            if self._metadata is None:
                with _explained(self.uri), self._opened(None) as file:
                    self._metadata = file.metadata
            return self._metadata

    @property
    def schema(self) -> pa.Schema:
        return self.metadata.schema.to_arrow_schema()

    @property
    def rows(self) -> int:
        return int(self.metadata.num_rows)

    def _group_ends(self) -> list[int]:
        """For each row group, the row behind its last one. Asked of the footer once: a listing has
        thousands of groups, and as many shards."""
        if not self._ends:
            told = self.metadata
            sizes = (told.row_group(at).num_rows for at in range(told.num_row_groups))
            self._ends = list(accumulate(sizes))
        return self._ends

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, int]]:
        """(rows, bytes on disk) of each row group, of the `columns` only if given."""
        wanted = None if columns is None else frozenset(columns)
        for index in range(self.metadata.num_row_groups):
            group = self.metadata.row_group(index)
            chunks = (group.column(at) for at in range(group.num_columns))
            size = sum(
                chunk.total_compressed_size
                for chunk in chunks
                if wanted is None or chunk.path_in_schema.split(".")[0] in wanted
            )
            yield int(group.num_rows), int(size)

    def read(
        self, start: int, stop: int, columns: Sequence[str], max_rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Rows `start` to `stop`, in batches of at most `max_rows`, in the order of `columns`."""
        if stop <= start:
            return
        ends = self._group_ends()
        first, last = bisect_right(ends, start), bisect_right(ends, stop - 1)
        at = ends[first - 1] if first else 0
        with _explained(self.uri), self._opened(self.metadata) as file:
            for batch in file.iter_batches(
                batch_size=max_rows, row_groups=range(first, last + 1), columns=list(columns)
            ):
                low, high = max(start - at, 0), min(stop - at, len(batch))
                at += len(batch)
                if low < high:
                    yield batch.select(columns).slice(low, high - low)
                if at >= stop:
                    return

    def values(self, column: str) -> Iterator[npt.NDArray[np.int64]]:
        """The integers of one column from start to end, -1 where null."""
        with _explained(self.uri), self._opened(self.metadata) as file:
            for batch in file.iter_batches(columns=[column]):
                filled = pc.fill_null(batch.column(0), -1)
                yield filled.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)

    @contextmanager
    def _opened(self, metadata: pq.FileMetaData | None) -> Iterator[pq.ParquetFile]:
        local = is_local(self.uri)
        source: str | _RemoteFile = str(local_path(self.uri)) if local else self._remote()
        # Streaming pages keeps a range of a large row group from being held whole.
        with pq.ParquetFile(
            source, metadata=metadata, buffer_size=REMOTE_BUFFER, pre_buffer=False
        ) as file:
            yield file

    def _remote(self) -> _RemoteFile:
        return _RemoteFile(open_store(self.uri, self._storage))


class _RemoteFile(io.RawIOBase):
    """An object as the seekable file that pyarrow reads: each read is one request of a range."""

    def __init__(self, place: Location) -> None:
        self._place = place
        self._size = int(interruptibly(lambda: place.store.head(place.path))["size"])
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(self._size - self._at, 0)
        length = left if size is None or size < 0 else min(size, left)
        if length == 0:
            return b""
        store, path, start = self._place.store, self._place.path, self._at
        data = interruptibly(lambda: store.get_range(path, start=start, length=length))
        self._at += length
        return bytes(data)


def by_bytes(
    batches: Iterator[pa.RecordBatch], max_bytes: int, sizes: str | None = None
) -> Iterator[pa.RecordBatch]:
    """`batches` cut so that each holds about `max_bytes` at most, at least one row: by the column
    `sizes` if given (bytes that are not here yet), else by what the rows themselves take."""
    for batch in batches:
        rows = max(len(batch), 1)
        if sizes is None:
            each = np.full(len(batch), -(-batch.get_total_buffer_size() // rows), np.int64)
        else:
            each = pc.fill_null(batch.column(sizes), 0).to_numpy(zero_copy_only=False)
        at = 0
        while at < len(batch):
            fits = int(np.searchsorted(np.cumsum(each[at:]), max_bytes, side="right")) or 1
            yield batch.slice(at, fits)
            at += fits


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except pa.ArrowInvalid as error:
        raise StorageError(
            f"{uri}: no readable Parquet file ({str(error).splitlines()[0]})",
            remedy="check that it is whole and that format and uri fit each other",
        ) from None
    except (OSError, BaseError) as error:
        raise explain(error, uri) from error
