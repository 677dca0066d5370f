"""What a dataset is, as `lancemill show` tells it: facts only, gathered once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from lancemill import figures
from lancemill.ops.arrow_types import type_text
from lancemill.storage import absolute, lance_options
from lancemill.tables import history
from lancemill.tables.create import PRIMARY_KEY
from lancemill.tables.table import Table
from lancemill.tables.types import is_blob

SHOWN_VERSIONS = 10


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and who makes it where a pipeline does."""

    name: str
    type: str
    """As a manifest writes it."""
    nullable: bool
    primary_key: bool
    blob: bool
    pipeline: str | None = None
    meaning: str | None = None
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the dataset. What made it is None where the transaction is gone."""

    version: int
    time: datetime
    rows: int | None
    operation: str | None = None
    run: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """An index, and how many rows it does not know yet."""

    name: str
    type: str
    columns: tuple[str, ...]
    unindexed_rows: int


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to say about a dataset."""

    uri: str
    version: int
    rows: int
    deleted_rows: int
    """Rows that are deleted and still take up space."""
    fragments: int
    live_bytes: int
    """Data files and blobs of this version."""
    physical_bytes: int
    """Everything below the dataset's uri, older versions and leftovers too."""
    format: str
    stable_row_ids: bool
    columns: tuple[Column, ...]
    versions: tuple[Version, ...]
    """Newest first."""
    indices: tuple[Index, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain values; times as ISO 8601 text."""
        told = asdict(self)
        for version in told["versions"]:
            version["time"] = version["time"].isoformat()
        return told

    def lines(self) -> Iterator[str]:
        """For a terminal: what it is, its columns, its versions, its indices."""
        deleted = f" ({figures.rows(self.deleted_rows)} deleted)" if self.deleted_rows else ""
        yield (
            f"{self.uri} · version {self.version} · {figures.rows(self.rows)}{deleted} · "
            f"{figures.size(self.live_bytes)}, {figures.size(self.physical_bytes)} with older "
            f"versions · {_many(self.fragments, 'fragment')} · format {self.format}"
        )
        yield ""
        yield from _table(("COLUMN", "TYPE", "", "MADE BY"), [_column(c) for c in self.columns])
        yield ""
        made = [version for version in self.versions if version.operation != "UpdateConfig"]
        heads = ("VERSION", "TIME", "ROWS", "BY")
        yield from _table(heads, [_version(one) for one in made[:SHOWN_VERSIONS]])
        if len(made) > SHOWN_VERSIONS:
            yield f"and {figures.count(len(made) - SHOWN_VERSIONS)} older ones"
        if self.indices:
            yield ""
            rows = [
                (one.name, one.type, ", ".join(one.columns), figures.count(one.unindexed_rows))
                for one in self.indices
            ]
            yield from _table(("INDEX", "TYPE", "COLUMNS", "ROWS NOT INDEXED"), rows)


def describe(uri: str, storage: object | None = None) -> Description:
    """What there is to say about the dataset at `uri`; StorageError if there is none."""
    uri = absolute(uri)
    dataset = Table(uri, lance_options(storage, uri)).open()
    fragments = dataset.get_fragments()
    sizes = _sizes(dataset)
    return Description(
        uri=uri,
        version=dataset.version,
        rows=dataset.count_rows(),
        deleted_rows=sum(fragment.num_deletions for fragment in fragments),
        fragments=len(fragments),
        live_bytes=_live_bytes(fragments, sizes),
        physical_bytes=sum(sizes.values()),
        format=dataset.data_storage_version,
        stable_row_ids=dataset.has_stable_row_ids,
        columns=tuple(_columns(dataset)),
        versions=tuple(_versions(dataset)),
        indices=tuple(_indices(dataset)),
    )


def _sizes(dataset: Any) -> dict[str, int]:
    """Every file below the dataset's uri: Lance's own statistics leave out blobs in sidecars."""
    files = dataset.all_files().read_all()
    names, sizes = files.column("path").to_pylist(), files.column("size_bytes").to_pylist()
    return dict(zip(names, sizes, strict=True))


def _live_bytes(fragments: list[Any], sizes: Mapping[str, int]) -> int:
    stems = {
        file.path.removesuffix(".lance")
        for fragment in fragments
        for file in fragment.metadata.files
    }
    return sum(size for name, size in sizes.items() if _stem(name) in stems)


def _stem(name: str) -> str | None:
    """The data file that a file belongs to: blobs lie in a folder of its name."""
    folder, _, rest = name.partition("/")
    return rest.split("/")[0].removesuffix(".lance") if folder == "data" else None


def _columns(dataset: Any) -> Iterator[Column]:
    for field in dataset.schema:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        yield Column(
            name=field.name,
            type=type_text(field.type),
            nullable=field.nullable,
            primary_key=said.get(PRIMARY_KEY.decode()) == "true",
            blob=is_blob(field.type),
            pipeline=said.get("lancemill.pipeline"),
            meaning=said.get("lancemill.meaning"),
            inputs=tuple(json.loads(said.get("lancemill.inputs", "[]"))),
        )


def _versions(dataset: Any) -> Iterator[Version]:
    past = {entry.version: entry for entry in history.since(dataset, 0).entries}
    for one in reversed(dataset.versions()):
        entry = past.get(one["version"])
        said = {} if entry is None else entry.properties
        rows = one["metadata"].get("total_rows")
        yield Version(
            version=one["version"],
            time=one["timestamp"].astimezone(UTC),
            rows=None if rows is None else int(rows),
            operation=None if entry is None else entry.operation,
            run=said.get(history.RUN),
            pipeline=said.get(history.PIPELINE),
        )


def _indices(dataset: Any) -> Iterator[Index]:
    rows = dataset.count_rows()
    for one in dataset.describe_indices():
        unindexed = max(0, rows - one.num_rows_indexed)
        yield Index(one.name, one.index_type, tuple(one.field_names), unindexed)


def _column(one: Column) -> tuple[str, ...]:
    notes = [
        *(["primary key"] if one.primary_key else []),
        *(["never null"] if not one.nullable else []),
        *(["blob"] if one.blob else []),
    ]
    made = one.pipeline or ""
    if one.inputs:
        made += f" from {', '.join(one.inputs)}"
    return one.name, one.type, ", ".join(notes), made


def _version(one: Version) -> tuple[str, ...]:
    rows = "" if one.rows is None else figures.count(one.rows)
    by = f"{one.pipeline}/{one.run}" if one.run else (one.operation or "").lower()
    return str(one.version), one.time.strftime("%Y-%m-%d %H:%M:%S"), rows, by


def _many(number: int, what: str) -> str:
    return f"{figures.count(number)} {what}{'' if number == 1 else 's'}"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    cells = [heads, *rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(heads))]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "   ".join(padded).rstrip()
