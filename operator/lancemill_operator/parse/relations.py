"""Which datasets a pipeline has to do with, read from the raw object.

Raw, since a manifest that the models refuse names them too, and since this is asked for each event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]


def datasets_of(spec: Spec) -> list[str]:
    """Names of the LanceDatasets that the pipeline writes to or waits for."""
    return list(dict.fromkeys(name for name in _names(spec) if isinstance(name, str)))


def sink_of(spec: Spec) -> Any:
    """Name of the LanceDataset that the pipeline writes to; None where it writes elsewhere."""
    return ((spec.get("sink") or {}).get("lance") or {}).get("dataset")


def committed(status: Mapping[str, Any]) -> int:
    """The latest version that the pipeline's runs say they committed; 0 where they say none."""
    runs = [status.get("lastRun") or {}, *(status.get("runs") or ())]
    return max((run.get("datasetVersion") or 0 for run in runs), default=0)


def _names(spec: Spec) -> Iterator[Any]:
    yield sink_of(spec)
    for trigger in (spec.get("run") or {}).get("triggers") or ():
        yield trigger.get("dataset")
