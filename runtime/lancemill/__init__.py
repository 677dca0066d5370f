"""Lancemill: from one manifest to a curated Lance dataset.

    from lancemill import Pipeline

The command line does the same from YAML. Names are looked up when they are used, so that importing
the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancemill.errors import (
        BudgetExceeded,
        Interrupted,
        LancemillError,
        ManifestError,
        PlanError,
        RunConflict,
        RunError,
        StorageError,
        ValidationFailed,
    )
    from lancemill.pipeline import Pipeline
    from lancemill.report.summary import RunSummary

_HOMES = {
    "BudgetExceeded": "errors",
    "Interrupted": "errors",
    "LancemillError": "errors",
    "ManifestError": "errors",
    "Pipeline": "pipeline",
    "PlanError": "errors",
    "RunConflict": "errors",
    "RunError": "errors",
    "RunSummary": "report.summary",
    "StorageError": "errors",
    "ValidationFailed": "errors",
}

__all__ = [
    "BudgetExceeded",
    "Interrupted",
    "LancemillError",
    "ManifestError",
    "Pipeline",
    "PlanError",
    "RunConflict",
    "RunError",
    "RunSummary",
    "StorageError",
    "ValidationFailed",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lancemill' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lancemill.{_HOMES[name]}"), name)
