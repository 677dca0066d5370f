"""What the operator hands to the pods of a run, and under which names the runtime looks for it.

Neither may import the other, and a name written twice is one day two names. (LANCEMILL_PRICES, with
what it holds, is in `prices`.)
"""

from __future__ import annotations

RUN = "LANCEMILL_RUN"
"""Id of the run, for the user's own code."""
ATTEMPT = "LANCEMILL_ATTEMPT"
"""Which attempt of the run this is, from 1. Also says that an operator has ordered it."""
DEADLINE_SECONDS = "LANCEMILL_DEADLINE_SECONDS"
"""Seconds that the attempt's driver may take."""
PROGRESS_PORT = "LANCEMILL_PROGRESS_PORT"
"""Port on which the driver tells its progress."""
TASK_OOM_RETRIES = {"RAY_task_oom_retries": "1"}
"""Else Ray does a task that it ends for memory again for ever, whatever `max_retries` says. For
every process of Ray's, here and there."""

FOLDER = "/var/run/lancemill"
SECRETS_FOLDER = f"{FOLDER}/secrets"
"""Stores' credentials: a folder for each Secret, a file for each key."""
CODE_FOLDER = f"{FOLDER}/code"
"""The files of `spec.code.configMap`."""
