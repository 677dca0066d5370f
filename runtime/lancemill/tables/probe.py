"""What a dataset is like, for whoever watches over it (the operator): cheap on a large one too.

Figures come from the manifest of the newest version. Only what all versions take up together has
to be listed, and is left out where that would take long.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lancemill.ops.arrow_types import type_text
from lancemill.tables import history
from lancemill.tables.tags import tags

LISTED_FILES = 100_000
"""Files beyond which the dataset's bytes are not added up: some 100 listings of a store."""
RECENT = 64
"""Versions among which the last commit of a run is looked for, before the mirrors are."""


def look(dataset: Any) -> dict[str, Any]:
    """Figures, schema, tags and last commit of a `lance.LanceDataset` at its newest version."""
    told = dataset.get_version()["metadata"]
    live, physical = _bytes(dataset, int(told["total_files_size"]))
    return {
        "version": dataset.version,
        "rows": int(told["total_rows"]),
        "fragments": int(told["total_fragments"]),
        "liveBytes": live,
        "physicalBytes": physical,
        "formatVersion": dataset.data_storage_version,
        "schema": [{"name": one.name, "type": type_text(one.type)} for one in dataset.schema],
        "tags": tags(dataset),
        "lastCommit": _last_commit(dataset),
    }


def _bytes(dataset: Any, data_files: int) -> tuple[int, int | None]:
    """Bytes of this version, and of everything; None where there are too many files.

    The manifest leaves out blobs in files of their own: where everything is listed, they count.
    """
    stems = {
        file.path.removesuffix(".lance")
        for fragment in dataset.get_fragments()
        for file in fragment.metadata.files
    }
    live = physical = files = 0
    for batch in dataset.all_files():
        files += batch.num_rows
        if files > LISTED_FILES:
            return data_files, None
        names, sizes = batch.column("path").to_pylist(), batch.column("size_bytes").to_pylist()
        physical += sum(sizes)
        live += sum(size for name, size in zip(names, sizes, strict=True) if _stem(name) in stems)
    return live, physical


def _stem(name: str) -> str | None:
    """The data file that a file belongs to: blobs lie in a folder of its name."""
    folder, _, rest = name.partition("/")
    return rest.split("/")[0].removesuffix(".lance") if folder == "data" else None


def _last_commit(dataset: Any) -> dict[str, Any] | None:
    """The newest version that a run made; None where none is known of."""
    recent = history.since(dataset, max(0, dataset.version - RECENT)).entries
    # A run's first version counts: later ones are a lost race's, and are taken back.
    runs: dict[str, history.Entry] = {}
    for entry in recent:
        if history.RUN in entry.properties:
            runs.setdefault(entry.properties[history.RUN], entry)
    found = [(e.version, r, e.properties[history.PIPELINE]) for r, e in runs.items()]
    found += [
        (record.version, record.run, key.removeprefix(history.MIRROR))
        for key in dataset.config()
        if key.startswith(history.MIRROR)
        for record in history.mirrored(dataset, key.removeprefix(history.MIRROR))[:1]
    ]
    if not found:
        return None
    version, run, pipeline = max(found)
    time = _time(dataset, version)
    return {"run": run, "pipeline": pipeline, "version": version, "time": time}


def _time(dataset: Any, version: int) -> str | None:
    """When a version was made; None where it has been cleaned up."""
    try:
        made: datetime = dataset.checkout_version(version).get_version()["timestamp"]
    except (OSError, ValueError):
        return None
    return made.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
