"""From the manifest's `sink.lance` and the LanceDataset that it names to a sink."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.errors import PlanError
from lancemill.ops.arrow_types import arrow_type
from lancemill.sinks.lance import LanceSink, OverwriteSink, Target
from lancemill.sinks.lance_columns import AddColumnsSink
from lancemill.sinks.lance_upsert import UpsertSink
from lancemill.storage import absolute, lance_options
from lancemill.tables.create import table_schema
from lancemill.tables.table import Table


def open_lance(spec: Any, datasets: Mapping[str, Any], base: Path) -> LanceSink:
    """The sink for `spec.mode`."""
    target = _target(spec, datasets, base)
    if spec.mode == "overwrite":
        return OverwriteSink(target)
    if spec.mode == "upsert":
        return UpsertSink(target)
    if spec.mode == "addColumns":
        return AddColumnsSink(target, refresh=spec.refresh)
    return LanceSink(target)


def declared_schema(columns: Iterable[Any], key: Iterable[str] = ()) -> pa.Schema:
    """The Arrow schema of a LanceDataset's `schema`, as Lance is to store it."""
    columns = tuple(columns)
    fields = [pa.field(one.name, arrow_type(one.type), one.nullable) for one in columns]
    blobs = [one.name for one in columns if one.storage == "blob"]
    keys = [one.name for one in columns if one.primary_key]
    return table_schema(pa.schema(fields), blobs=blobs, key=[*keys, *key])


def _target(spec: Any, datasets: Mapping[str, Any], base: Path) -> Target:
    declared, storage, uri = None, spec.storage, spec.uri
    if spec.dataset is not None:
        dataset = _named(spec.dataset, datasets).spec
        storage, uri = dataset.storage, dataset.uri
        if dataset.schema_ is not None:
            declared = declared_schema(dataset.schema_, spec.key or ())
    uri = absolute(uri, base)
    return Target(
        table=Table(uri, lance_options(storage, uri)),
        storage=storage,
        declared=declared,
        columns=spec.columns,
        blobs=tuple(spec.blobs),
        key=tuple(spec.key or ()),
    )


def _named(name: str, datasets: Mapping[str, Any]) -> Any:
    if name in datasets:
        return datasets[name]
    near = difflib.get_close_matches(name, datasets, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    there = ", ".join(datasets) or "none"
    raise PlanError.at(
        "spec.sink.lance.dataset",
        f"there is no LanceDataset '{name}'; {hint}given are: {there}. A uri is written as uri:",
    )
