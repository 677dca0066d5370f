"""Writes the bulk of a snapshot: a Parquet file that grows as the source is read.

It is made in a spool folder on this machine and published whole, so that a store never shows half
of one, and so that sorting and comparing (see changes.py) have files to work on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lancemill.storage import each, explain, interruptibly, is_local, local_path, open_store

GROUP_ROWS = 10_000
"""Rows of a group: what is read at least for a shard."""
LARGE_GROUP_ROWS = 100_000
"""Rows of a group behind the first `MANY_GROUPS`. Whoever opens the file reads 1.2 KB about each
group first: a listing of 10^9 objects in small ones would have a footer of 118 MB."""
MANY_GROUPS = 100
GROUP_BYTES = 32 << 20
PART_BYTES = 8 << 20
MOST_PARTS = 9_000
"""S3 takes 10,000 parts at most, and a listing of 10^9 objects can have more than 50 GB."""


class SnapshotFile:
    """A Parquet file being written, in row groups of bounded rows and bytes."""

    def __init__(self, path: Path, schema: pa.Schema, repeated: list[str] | None = None) -> None:
        """`repeated`: columns worth a dictionary (default: all)."""
        self.path = path
        self.rows = 0
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._group_rows = GROUP_ROWS
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=True if repeated is None else repeated,
            write_statistics=False,
        )

    def write(self, batch: pa.RecordBatch) -> None:
        if not len(batch):
            return
        self.rows += len(batch)
        self._held.append(batch)
        self._held_rows += len(batch)
        self._held_bytes += batch.nbytes
        if self._held_rows >= self._group_rows or self._held_bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, schema=self._schema)
            self._writer.write_table(table, row_group_size=self._group_rows)
            self._held.clear()
            self._held_rows = self._held_bytes = 0
            if self.rows >= MANY_GROUPS * GROUP_ROWS:
                self._group_rows = LARGE_GROUP_ROWS


@contextmanager
def spool(folder: str) -> Iterator[Path]:
    """A scratch folder that is gone afterwards; on the file system of `folder` where that is
    local, so that publishing is a rename."""
    beside = None
    if is_local(folder):
        beside = local_path(folder)
        try:
            beside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, folder) from None
    with tempfile.TemporaryDirectory(prefix=".spool-", dir=beside) as made:
        yield Path(made)


def publish(path: Path, folder: str, name: str, storage: object | None) -> str:
    """Move the finished file `path` to `folder` as `name`; its uri."""
    from obstore.exceptions import BaseError

    try:
        if is_local(folder):
            target = local_path(folder) / name
            shutil.move(path, target)
            return str(target)
        place = open_store(folder, storage).child(name)
        part = max(PART_BYTES, -(-path.stat().st_size // MOST_PARTS))
        interruptibly(lambda: place.store.put(place.path, path, chunk_size=part))
        return place.uri
    except (OSError, BaseError) as error:
        raise explain(error, folder) from error


def fetch(uri: str, path: Path, storage: object | None) -> None:
    """Copy a published file to `path`, a piece at a time; nothing where it is gone."""
    from obstore.exceptions import BaseError

    place = open_store(uri, storage)
    try:
        answer = interruptibly(lambda: place.store.get(place.path))
        with path.open("wb") as file:
            for piece in each(answer.stream):
                file.write(piece)
    except FileNotFoundError:
        return
    except (OSError, BaseError) as error:
        raise explain(error, uri) from error
