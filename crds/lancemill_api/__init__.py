"""The API of Lancemill: models of both resources, their checks, the CRD generator.

Names are looked up when they are asked for, so that `lancemill_api.mistakes` (which the error tree
of the runtime stands on) can be imported without paying for pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancemill_api.dataset import LanceDataset as LanceDataset
    from lancemill_api.manifest import Manifest as Manifest
    from lancemill_api.manifest import load as load
    from lancemill_api.mistakes import InvalidManifest as InvalidManifest
    from lancemill_api.mistakes import Mistake as Mistake
    from lancemill_api.pipeline import MultimodalPipeline as MultimodalPipeline

_HOMES = {
    "InvalidManifest": "mistakes",
    "LanceDataset": "dataset",
    "Manifest": "manifest",
    "Mistake": "mistakes",
    "MultimodalPipeline": "pipeline",
    "load": "manifest",
}

__all__ = [
    "InvalidManifest",
    "LanceDataset",
    "Manifest",
    "Mistake",
    "MultimodalPipeline",
    "load",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
