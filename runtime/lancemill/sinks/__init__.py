"""Where rows go: `open_sink` makes the sink that a manifest names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancemill.sinks.sink import Sink


def open_sink(spec: Any, datasets: Mapping[str, Any], *, base: Path) -> Sink:
    """The sink of `spec.sink` (the API's model); relative uris start at `base`.

    `datasets` are the LanceDatasets that the manifest's names mean. Nothing is read or written
    yet. PlanError for a name that there is no LanceDataset of, StorageError for wrong options.
    """
    kind, given = spec.given
    if kind == "lance":
        from lancemill.sinks.lance_open import open_lance

        return open_lance(given, datasets, base)
    if kind == "parquet":
        from lancemill.sinks.parquet import ParquetSink

        return ParquetSink.of(given, base)
    from lancemill.sinks.jsonl import JsonlSink

    return JsonlSink.of(given, base)
