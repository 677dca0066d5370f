"""What Kubernetes keeps about every object; a local run needs the name only.

The fields that an API server adds are known, so that what `kubectl get -o yaml` prints can be run
as it is.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from lancemill_api.base import Model
from lancemill_api.scalars import Name, ResourceName

Texts = dict[str, str]


class Metadata(Model):
    """Name and labels of the object."""

    name: ResourceName
    """Name of the object: lower-case letters, digits and dashes, at most 47."""
    namespace: Name | None = None
    """Namespace. Default: the current one."""
    labels: Texts = Field(default_factory=dict)
    """Labels. Default: none."""
    annotations: Texts = Field(default_factory=dict)
    """Annotations. Default: none."""
    uid: str | None = None
    """Set by the API server."""
    generation: int | None = None
    """Set by the API server; raised by each change of the specification."""
    resource_version: str | None = None
    """Set by the API server."""
    creation_timestamp: str | None = None
    """Set by the API server."""
    deletion_timestamp: str | None = None
    """Set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server."""
    generate_name: str | None = None
    """Set by the API server."""
    self_link: str | None = None
    """Set by the API server."""
    finalizers: tuple[str, ...] = ()
    """Set by controllers."""
    owner_references: Annotated[tuple[dict[str, Any], ...], Field(max_length=64)] = ()
    """Set by controllers."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Set by the API server."""
