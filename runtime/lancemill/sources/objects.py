"""An object table as a source: the objects below a prefix, listed once, filtered before any byte.

    lister ─▶ include, exclude ─▶ where ─▶ listing.parquet ─▶ (incremental) rows.parquet

The listing streams: what is in memory is a batch of 10,000 rows, however many keys there are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lancemill.errors import PlanError, RunConflict, StorageError
from lancemill.sources import globs
from lancemill.sources.changes import in_key_order, new_or_changed, without_undone
from lancemill.sources.listing import SCHEMA, Found, Lister, batches
from lancemill.sources.parquet_rows import ParquetRows, by_bytes
from lancemill.sources.shards import UNKNOWN_SIZE, cut
from lancemill.sources.snapshot_file import SnapshotFile, fetch, publish, spool
from lancemill.sources.source import Shard
from lancemill.sources.where import check_where, where_filter
from lancemill.storage import explain, interruptibly, is_local, listed, local_path, open_store

PATH = "spec.source.objects"


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """The objects below a prefix."""

    uri: str
    """The prefix, absolute."""
    lister: Lister
    uri_of: Callable[[str], str]
    """An object's absolute uri from its key."""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    where: str | None = None
    incremental: bool = False
    ledger_storage: object | None = None

    def schema(self) -> pa.Schema:
        if self.where is not None and (wrong := check_where(self.where)) is not None:
            raise PlanError.at(f"{PATH}.where", wrong)
        return SCHEMA

    def take_snapshot(self, folder: str, previous: dict[str, Any] | None = None) -> ObjectSnapshot:
        with spool(folder) as scratch:
            counts = _Counts()
            listing, ordered = self._list_into(scratch / "listed.parquet", counts)
            if not ordered:
                listing = _rewritten(
                    in_key_order(listing, SCHEMA, scratch), scratch / "sorted.parquet"
                )
            rows = listing
            if self.incremental and previous is not None:
                counts.compared = True
                rows = self._changes(listing, previous, scratch)
            return self._published(folder, listing, rows, counts)

    def open_snapshot(self, document: dict[str, Any]) -> ObjectSnapshot:
        return ObjectSnapshot(document, ParquetRows(document["file"], self.ledger_storage))

    def _list_into(self, path: Path, counts: _Counts) -> tuple[Path, bool]:
        """What is listed and kept, and whether it came in the order of its keys."""
        file = SnapshotFile(path, SCHEMA, repeated=["type"])
        condition = where_filter(self.where) if self.where is not None else None
        last, ordered = "", True
        for batch in batches(self.lister(), self.uri_of):
            counts.listed += len(batch)
            named = self._named(batch)
            counts.unnamed += len(batch) - len(named)
            kept = condition(named) if condition is not None else named
            counts.unwanted += len(named) - len(kept)
            last, ordered = _order(kept.column("key"), last, ordered)
            file.write(kept)
        file.close()
        return path, ordered

    def _named(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if not (self.include or self.exclude):
            return batch
        return batch.filter(globs.mask(batch.column("key"), self.include, self.exclude))

    def _changes(self, listing: Path, previous: dict[str, Any], scratch: Path) -> Path:
        self._refuse_other_place(previous)
        before = self._kept(previous["seen"], scratch / "before.parquet")
        if (done := previous.get("done")) is not None:
            rows = self._kept(previous["file"], scratch / "rows-before.parquet")
            known = without_undone(before, rows, done, SCHEMA, scratch)
            before = _rewritten(known, scratch / "done.parquet")
        changed = new_or_changed(listing, before, SCHEMA, scratch)
        return _rewritten(changed, scratch / "changed.parquet")

    def _refuse_other_place(self, previous: dict[str, Any]) -> None:
        """Keys are relative to the prefix: below another one they name other objects."""
        if previous["kind"] != "objects" or previous["uri"].rstrip("/") != self.uri.rstrip("/"):
            raise RunConflict(
                f"the last run of this pipeline read {previous['uri']}, this one reads {self.uri}: "
                "what is new here is not known",
                remedy=f"set {PATH}.incremental to false once, to take all of it",
                final=True,
            )

    def _kept(self, uri: str, copy: Path) -> Path:
        """A file of the last run's snapshot: itself where it is local, else its copy."""
        path = copy
        if is_local(uri):
            path = local_path(uri)
        else:
            fetch(uri, path, self.ledger_storage)
        if not path.is_file() or not path.stat().st_size:
            raise StorageError(
                f"{uri}: the listing of the last run is gone, so what is new is not known",
                remedy="restore it, or set spec.source.objects.incremental to false once",
            )
        return path

    def _published(self, folder: str, listing: Path, rows: Path, counts: _Counts) -> ObjectSnapshot:
        found = ParquetRows(str(rows))
        count, size = found.rows, _total_bytes(found)
        counts.unchanged = ParquetRows(str(listing)).rows - count
        seen = publish(listing, folder, "listing.parquet", self.ledger_storage)
        file = seen
        if rows != listing:
            file = publish(rows, folder, "rows.parquet", self.ledger_storage)
        document = {
            "kind": "objects",
            "uri": self.uri,
            "file": file,
            "seen": seen,
            "rows": count,
            "bytes": size,
            "listed": counts.listed,
            "dropped": {
                "include": counts.unnamed,
                "where": counts.unwanted,
                "unchanged": counts.unchanged,
            },
            "told": self._told(counts, count),
        }
        return self.open_snapshot(document)

    def _told(self, counts: _Counts, rows: int) -> str:
        """What was there and what became of it, in one line."""
        left = counts.listed - counts.unnamed
        parts = [f"{counts.listed:,} objects"]
        if self.include or self.exclude:
            globbed = f"include {json.dumps(list(self.include))}" if self.include else ""
            without = f"exclude {json.dumps(list(self.exclude))}" if self.exclude else ""
            parts.append(f"{left:,} matched {' and '.join(filter(None, (globbed, without)))}")
        if self.where is not None:
            parts.append(f"{left - counts.unwanted:,} where {' '.join(self.where.split())}")
        if counts.compared:
            parts.append(f"{rows:,} new or changed")
        return ", ".join(parts)


@dataclass(slots=True)
class ObjectSnapshot:
    """A listing, fixed for a run."""

    document: dict[str, Any]
    _file: ParquetRows = field(repr=False)

    @property
    def schema(self) -> pa.Schema:
        return SCHEMA

    @property
    def rows(self) -> int:
        return int(self.document["rows"])

    @property
    def bytes(self) -> int:
        return int(self.document["bytes"])

    def shards(self, target_bytes: int) -> Iterator[Shard]:
        known = self._file.values("size")
        return cut((_counted(sizes) for sizes in known), target_bytes)

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        needed = list(dict.fromkeys([*columns, "size"]))
        rows = self._file.read(shard.start, shard.stop, needed, max_rows)
        for batch in by_bytes(rows, max_bytes, sizes="size"):
            yield batch.select(list(columns))


@dataclass(slots=True)
class _Counts:
    listed: int = 0
    unnamed: int = 0
    unwanted: int = 0
    unchanged: int = 0
    compared: bool = False
    """With the listing of an earlier run."""


def _order(keys: pa.Array, last: str, ordered: bool) -> tuple[str, bool]:
    """The last key so far, and whether all came in ascending order."""
    if not ordered or not len(keys):
        return last, ordered
    inside = len(keys) == 1 or pc.all(pc.less(keys[:-1], keys[1:])).as_py()
    return keys[-1].as_py(), bool(inside) and last < keys[0].as_py()


def _rewritten(rows: Iterator[pa.RecordBatch], path: Path) -> Path:
    file = SnapshotFile(path, SCHEMA, repeated=["type"])
    for batch in rows:
        file.write(batch)
    file.close()
    return path


def _counted(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(sizes < 0, UNKNOWN_SIZE, sizes)


def _total_bytes(file: ParquetRows) -> int:
    return sum(int(sizes[sizes > 0].sum()) for sizes in file.values("size"))


def list_store(uri: str, storage: object | None) -> Iterator[Found]:
    """The objects below a prefix of s3, gs, az or memory; the object itself if `uri` names one."""
    from obstore.exceptions import BaseError

    place = open_store(uri, storage)
    start = len(place.path) + 1 if place.path else 0
    pending: Found | None = None
    try:
        for meta in listed(place.store, place.path or None):
            if meta["path"] == place.path:
                continue
            found = _found(meta, meta["path"][start:])
            # Consoles make a folder by an empty object `name/`, which obstore tells as `name`.
            if pending and not (pending.size == 0 and found.key.startswith(pending.key + "/")):
                yield pending
            pending = found
        if pending is not None:
            yield pending
        elif place.path and not uri.endswith("/"):
            yield from _single(place.store, place.path, uri)
    except (BaseError, OSError, ValueError) as error:
        raise explain(error, uri) from error


def _single(store: Any, path: str, uri: str) -> Iterator[Found]:
    try:
        meta = interruptibly(lambda: store.head(path))
    except FileNotFoundError:
        return
    yield replace(_found(meta, path.rpartition("/")[2]), uri=uri)


def _found(meta: Any, key: str) -> Found:
    modified = int(meta["last_modified"].timestamp() * 1_000_000)
    etag = meta["e_tag"]
    return Found(key, meta["size"], modified, etag.strip('"') if etag else None)
