"""Where rows go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lancemill_api.base import Model
from lancemill_api.rules import ExactlyOne, NeededWhen, NoRepeats, OnlyBeside, OnlyWhen
from lancemill_api.scalars import Column, ResourceName, WritableUri
from lancemill_api.storage import Storage

Columns = Annotated[tuple[Column, ...], Field(min_length=1, max_length=1024)]


class LanceSink(Model):
    """Rows of a Lance dataset, committed once, in source order."""

    must_hold = (
        ExactlyOne("target", ("dataset", "uri")),
        NeededWhen("key", "mode", "upsert", "the columns that tell rows apart"),
        OnlyWhen("key", "mode", "upsert"),
        NeededWhen("columns", "mode", "addColumns", "the new columns"),
        OnlyBeside("storage", "uri", "the LanceDataset has its own; put it into its spec.storage"),
        NoRepeats("columns"),
        NoRepeats("key"),
        NoRepeats("blobs"),
    )

    dataset: ResourceName | None = None
    """Name of a LanceDataset: in the same namespace, or in the same file for a local run."""
    uri: WritableUri | None = None
    """The dataset itself, such as s3://lake/cats.lance; made when it does not exist."""
    mode: Literal["append", "overwrite", "upsert", "addColumns"] = "append"
    """append adds rows, overwrite replaces all rows (older versions stay), upsert replaces rows of
    the same key and adds the others, addColumns adds columns to the rows of the dataset that the
    source has read, without touching the old ones. Default: append."""
    columns: Columns | None = None
    """Columns to write, in this order. Default: all."""
    key: Annotated[tuple[Column, ...], Field(min_length=1, max_length=16)] | None = None
    """Columns that tell rows apart (mode upsert). Default: none."""
    blobs: Annotated[tuple[Column, ...], Field(max_length=256)] = ()
    """Columns of large bytes to store as blobs: read on demand, left out of scans. Default:
    none."""
    refresh: Literal["missing", "all"] = "missing"
    """Which rows get new values (mode addColumns): missing (where the columns are not there yet) or
    all. Default: missing."""
    storage: Storage | None = None
    """How to reach the store (beside uri). Default: the environment's usual credentials."""


class ParquetSink(Model):
    """A Parquet file that appears whole, or not at all."""

    must_hold = (NoRepeats("columns"),)

    uri: WritableUri
    """The file, such as s3://lake/rows.parquet."""
    columns: Columns | None = None
    """Columns to write, in this order. Default: all."""
    compression: Literal["zstd", "snappy", "none"] = "zstd"
    """Compression: zstd, snappy or none. Default: zstd."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""


class JsonlSink(Model):
    """A file with a JSON object on each line, that appears whole or not at all."""

    must_hold = (NoRepeats("columns"),)

    uri: WritableUri
    """The file, such as s3://lake/rows.jsonl."""
    columns: Columns | None = None
    """Columns to write, in this order. Default: all."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""


class Sink(Model):
    """Where rows go: exactly one of lance, parquet and jsonl."""

    must_hold = (ExactlyOne("sink", ("lance", "parquet", "jsonl")),)

    lance: LanceSink | None = None
    """A Lance dataset."""
    parquet: ParquetSink | None = None
    """A Parquet file."""
    jsonl: JsonlSink | None = None
    """A file with JSON lines."""

    @property
    def given(self) -> tuple[str, LanceSink | ParquetSink | JsonlSink]:
        """Name of the field that is given, and its value."""
        if self.lance is not None:
            return "lance", self.lance
        if self.parquet is not None:
            return "parquet", self.parquet
        assert self.jsonl is not None
        return "jsonl", self.jsonl
