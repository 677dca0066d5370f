"""Labels and annotations that the operator and the command line both know: one list for the two.

The command line asks by annotation (a run more, a run less) and finds a run's pods by label; it
must not depend on the operator to do so.
"""

from __future__ import annotations

GROUP = "lancemill.dev"

RUN_REQUESTED_AT = f"{GROUP}/run-requested-at"
"""Annotation of a pipeline: a new value starts a run."""
CANCEL_RUN = f"{GROUP}/cancel-run"
"""Annotation of a pipeline: the id of the run that is to be cancelled."""

PIPELINE_UID = f"{GROUP}/pipeline-uid"
PIPELINE = f"{GROUP}/pipeline"
DATASET_UID = f"{GROUP}/dataset-uid"
DATASET = f"{GROUP}/dataset"
RUN = f"{GROUP}/run"
ATTEMPT = f"{GROUP}/attempt"
WORKER_GROUP = f"{GROUP}/group"
"""Label of the pods of a group of workers."""
PURPOSE = f"{GROUP}/purpose"
"""Label of a probe's Job and pod: settle or dataset."""
TOKEN = f"{GROUP}/token"
"""Label of a probe's Job and pod: a digest of the question that it answers."""
