"""Models that have Kubernetes' own shape, as Kubernetes reads them."""

from __future__ import annotations

from typing import Any

from lancemill_api.base import Model


def written(model: Model, include: set[str] | None = None) -> dict[str, Any]:
    """The model as a JSON value: what the manifest says, in the manifest's names."""
    made: dict[str, Any] = model.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True, include=include
    )
    return made
