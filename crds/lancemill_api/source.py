"""Where rows come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lancemill_api.base import Model
from lancemill_api.rules import ExactlyOne, NoRepeats, OnlyWhen
from lancemill_api.scalars import Column, Glob, Query, Uri
from lancemill_api.storage import Storage

Globs = Annotated[tuple[Glob, ...], Field(max_length=64)]


class Objects(Model):
    """An object table: a row for each object under a prefix, with key, uri, size, type, etag,
    last_modified and owner."""

    uri: Uri
    """The prefix: a folder or a URI, such as s3://photos/cats/."""
    include: Globs = ()
    """Patterns of keys (relative to the prefix); an object must match one of them. Default: all."""
    exclude: Globs = ()
    """Patterns of keys; an object that matches one of them is left out. Default: none."""
    where: Query | None = None
    """SQL condition over key, uri, size (bytes), type, etag, last_modified and owner, applied
    before any byte is read, such as size > 1000. Default: none."""
    incremental: bool = False
    """Take only objects that are new or changed since the last committed run. Default: false."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""


class Table(Model):
    """Rows of existing files."""

    must_hold = (OnlyWhen("version", "format", "lance"), NoRepeats("columns"))

    format: Literal["parquet", "lance", "csv", "json", "jsonl"]
    """Format of the files: parquet, lance, csv, json or jsonl."""
    uri: Uri
    """A file, a folder or a Lance dataset."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=1024)] | None = None
    """Columns to read, in this order. Default: all."""
    version: Annotated[int, Field(ge=1, le=2**53)] | None = None
    """Version of the Lance dataset. Default: the latest."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""


class Source(Model):
    """Where rows come from: exactly one of objects and table."""

    must_hold = (ExactlyOne("source", ("objects", "table")),)

    objects: Objects | None = None
    """A row for each object under a prefix."""
    table: Table | None = None
    """Rows of existing files."""

    @property
    def given(self) -> tuple[str, Objects | Table]:
        """Name of the field that is given, and its value."""
        if self.objects is not None:
            return "objects", self.objects
        assert self.table is not None
        return "table", self.table
