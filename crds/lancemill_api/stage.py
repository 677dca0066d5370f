"""A step of the pipeline: a name, exactly one operation, and where it runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lancemill_api.base import Model
from lancemill_api.operations import (
    Decode,
    Encode,
    Fetch,
    Format,
    Infer,
    Operation,
    Resize,
    Sql,
    Udf,
)
from lancemill_api.rules import ExactlyOne, NotAbove
from lancemill_api.scalars import Name

OPERATIONS = ("fetch", "decode", "resize", "encode", "sql", "udf", "infer", "format")


class Concurrency(Model):
    """How many workers of a stage run at once."""

    must_hold = (NotAbove("min", "max"),)

    min: Annotated[int, Field(ge=0, le=10000)] = 0
    """Fewest actors, kept even when idle. Default: 0."""
    max: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Most actors. Default: as many as the worker group has room for."""


class Placement(Model):
    """Where a stage runs in a cluster. A local run reads batchSize only."""

    group: Name | None = None
    """Worker group of spec.cluster. Default: any that has the resources."""
    gpus: Annotated[float, Field(ge=0, le=64)] = 0
    """GPUs for each actor; a fraction shares one. Default: 0."""
    cpus: Annotated[float, Field(gt=0, le=1024)] | None = None
    """CPUs for each actor. Default: those of one worker."""
    concurrency: Concurrency = Concurrency()
    """How many actors run at once."""
    batch_size: Annotated[int, Field(ge=1, le=65536)] | None = None
    """Most rows in a batch. Default: the operation's."""


class Stage(Model):
    """A step of the pipeline: a name and exactly one operation."""

    must_hold = (ExactlyOne("operation", OPERATIONS),)

    name: Name
    """Name of the stage, unique in the pipeline; progress, metrics and errors carry it."""
    fetch: Fetch | None = None
    """Reads the bytes that a column of URIs points to."""
    decode: Decode | None = None
    """Turns encoded pictures into pixels."""
    resize: Resize | None = None
    """Brings pictures to a size."""
    encode: Encode | None = None
    """Turns pixels into encoded pictures."""
    sql: Sql | None = None
    """Projections, filters and expressions on each batch."""
    udf: Udf | None = None
    """A function or class of your own."""
    infer: Infer | None = None
    """Runs an ONNX model."""
    format: Format | None = None
    """Puts columns together into text."""
    placement: Placement | None = None
    """Where the stage runs in a cluster. Default: together with its neighbours."""

    @property
    def given(self) -> tuple[str, Operation]:
        """Name of the operation, and its specification."""
        ((name, spec),) = (
            (name, spec) for name in OPERATIONS if (spec := getattr(self, name)) is not None
        )
        return name, spec
