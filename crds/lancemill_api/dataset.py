"""LanceDataset: a dataset that pipelines write to, with its storage and its schema."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.metadata import Metadata
from lancemill_api.rules import Unique
from lancemill_api.runtime import Runtime
from lancemill_api.scalars import Column, TypeText, WritableUri
from lancemill_api.status import DatasetStatus
from lancemill_api.storage import Storage

__all__ = ["DatasetColumn", "DatasetSpec", "LanceDataset"]


TagName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=63),
    Expected("a tag: letters, digits, -, _ and ., at most 63"),
]


class DatasetColumn(Model):
    """A column of the dataset."""

    name: Column
    """Name of the column, unique in the dataset."""
    type: TypeText
    """Its type, such as string, int64, float32[512], uint8[224,224,3], list<string> or binary."""
    nullable: bool = True
    """Whether it may be null. Default: true."""
    primary_key: bool = False
    """Whether it tells rows apart (with the other such columns). Default: false."""
    storage: Literal["inline", "blob"] = "inline"
    """inline, or blob: large bytes that are read on demand and left out of scans. Default:
    inline."""


class DatasetSpec(Model):
    """Where the dataset lies, and what it must look like."""

    must_hold = (Unique("schema"),)

    uri: WritableUri
    """The dataset, such as s3://lake/cats.lance."""
    storage: Storage | None = None
    """How to reach the store. Default: the environment's usual credentials."""
    schema_: Annotated[
        tuple[DatasetColumn, ...] | None, Field(alias="schema", min_length=1, max_length=1024)
    ] = None
    """Columns, in this order; enforced when given. Default: as the first run writes them."""
    tags: Annotated[dict[TagName, Annotated[int, Field(ge=1, le=2**53)]], Field(max_length=256)] = (
        Field(default_factory=dict)
    )
    """Versions that have a name, such as training-2026-11: 12. One that is taken out of here
    stays in the dataset. Default: none."""
    runtime: Runtime = Runtime()
    """What the pods that look at the dataset hold: image, identity, environment. A local run does
    not read it."""


class LanceDataset(Model):
    """A Lance dataset that pipelines write to."""

    api_version: Literal["lancemill.dev/v1alpha1"]
    """lancemill.dev/v1alpha1."""
    kind: Literal["LanceDataset"]
    """LanceDataset."""
    metadata: Metadata
    """Name and labels of the object."""
    spec: DatasetSpec
    """Where the dataset lies, and what it must look like."""
    status: DatasetStatus | None = None
    """What it is like now; written by the operator."""

    @property
    def name(self) -> str:
        return self.metadata.name
