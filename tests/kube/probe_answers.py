"""What a played probe says at its end, where all is well: a run has committed, a dataset is there.

The probes' own answers are tested with real stores (tests/runtime); here nothing is read.
"""

from __future__ import annotations

import json
from typing import Any

from kube.fake_nodes import Ending
from lancemill_operator import names

ROWS = 1000
DATASET = {
    "ok": True,
    "exists": True,
    "version": 1,
    "rows": ROWS,
    "fragments": 1,
    "liveBytes": 52_000_000,
    "physicalBytes": 52_000_000,
    "formatVersion": "2.2",
    "schema": [{"name": "key", "type": "string"}],
    "tags": {},
}


def well(pod: dict[str, Any]) -> Ending:
    """The end of a probe's pod."""
    if pod["metadata"]["labels"][names.PURPOSE] == "dataset":
        return Ending(message=json.dumps(DATASET))
    command = pod["spec"]["containers"][0]["command"]
    run = command[command.index("--run-id") + 1]
    return Ending(message=json.dumps({"run": run, "verdict": "Committed", "rows": ROWS}))
