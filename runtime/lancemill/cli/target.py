"""What a command's DATASET argument means: a dataset, or the one that a manifest writes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

Dataset = Annotated[
    str,
    typer.Argument(
        help="The dataset's path or URI; or a manifest, for its dataset and its storage options.",
        show_default=False,
    ),
]


class Target(NamedTuple):
    """A dataset and how its store is reached."""

    uri: str
    storage: object | None


def target_of(dataset: str) -> Target:
    """The dataset that the argument means; a manifest also tells the storage block."""
    if Path(dataset).suffix.lower() not in (".yaml", ".yml"):
        return Target(dataset, None)
    from lancemill.manifest import load
    from lancemill.sinks import open_sink

    job = load(Path(dataset)).job()
    sink = open_sink(job.pipeline.spec.sink, job.datasets, base=job.base)
    return Target(sink.uri, sink.storage)
