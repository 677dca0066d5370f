"""All that a worker needs to know of a run: small, so that it travels to every process.

A plan holds functions and cannot travel; it is pure, and so each worker builds the same one from
what the driver's was built from. The driver's look-ups (schema, models) travel as their answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from lancemill.engine.prepare import Prepared
from lancemill.engine.ray.pools import Pool
from lancemill.sources.source import Snapshot
from lancemill_api import LanceDataset, MultimodalPipeline


@dataclass(frozen=True, slots=True)
class Brief:
    """What a run is made of."""

    pipeline: MultimodalPipeline
    datasets: Mapping[str, LanceDataset]
    base: Path
    source: pa.Schema
    resolved: Mapping[str, Any]
    snapshot: Mapping[str, Any]
    """The snapshot's document."""
    sink_base: Any
    pools: tuple[Pool, ...]
    code_sha256: str | None = None
    """What the user's code is, as the driver found it."""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What processes keep it by."""


def brief_of(
    prepared: Prepared, snapshot: Snapshot, sink_base: Any, pools: tuple[Pool, ...]
) -> Brief:
    """The brief of a prepared run."""
    plan = prepared.plan
    return Brief(
        pipeline=prepared.pipeline,
        datasets=dict(prepared.datasets),
        base=prepared.context.base,
        source=plan.source,
        resolved=dict(plan.resolved),
        snapshot=snapshot.document,
        sink_base=sink_base,
        pools=pools,
        code_sha256=prepared.context.code_sha256,
    )
