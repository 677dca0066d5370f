"""Names, labels and ids: a thing done twice has one name, and so is done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lancemill_api.annotations import ATTEMPT as ATTEMPT
from lancemill_api.annotations import CANCEL_RUN as CANCEL_RUN
from lancemill_api.annotations import DATASET as DATASET
from lancemill_api.annotations import DATASET_UID as DATASET_UID
from lancemill_api.annotations import GROUP as GROUP
from lancemill_api.annotations import PIPELINE as PIPELINE
from lancemill_api.annotations import PIPELINE_UID as PIPELINE_UID
from lancemill_api.annotations import PURPOSE as PURPOSE
from lancemill_api.annotations import RUN as RUN
from lancemill_api.annotations import RUN_REQUESTED_AT as RUN_REQUESTED_AT
from lancemill_api.annotations import TOKEN as TOKEN
from lancemill_api.annotations import WORKER_GROUP as WORKER_GROUP

API_VERSION = f"{GROUP}/v1alpha1"
MANAGER = "lancemill-operator"
"""Our field manager, and the `app.kubernetes.io/managed-by` of all that we make."""
MANAGED_BY = "app.kubernetes.io/managed-by"

LONGEST_RAYJOB_NAME = 47
"""KubeRay refuses longer ones after the API server has accepted them (recording 30b)."""


def digest(value: Any, length: int = 10) -> str:
    """A short text for a JSON value: equal values, equal texts."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def cut(name: str, room: int) -> str:
    """`name` in at most `room` characters, not ending in a dash."""
    return name[:room].rstrip("-.")


def config_map(pipeline: str, run: str) -> str:
    """The ConfigMap that holds a run's frozen specification."""
    return f"{cut(pipeline, 40)}-{run}"


def rayjob(pipeline: str, run: str, attempt: int) -> str:
    """The RayJob of an attempt: at most 47 characters, for ids of 10 and attempts below 10,000."""
    end = f"-{run}-{attempt}"
    return cut(pipeline, LONGEST_RAYJOB_NAME - len(end)) + end


def probe(owner: str, purpose: str, token: str) -> str:
    """The Job that answers one question about a store."""
    return f"{cut(owner, 38)}-{purpose}-{digest(token, 8)}"


def labels(owner: Mapping[str, str], **more: str) -> dict[str, str]:
    """The labels of a thing that we made: who manages it, whose it is, and what it is for."""
    return {MANAGED_BY: MANAGER, **owner, **more}
