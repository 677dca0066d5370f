"""When and how often a run happens in a cluster. A local run reads stallTimeout, nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.quantities import Duration
from lancemill_api.scalars import Name, ResourceName


class Trigger(Model):
    """What starts a run."""

    dataset: ResourceName
    """A LanceDataset of the same namespace: each new version of it starts a run."""


class Sample(Model):
    """A trial on part of the source, before the run."""

    rows: Annotated[int, Field(ge=1, le=2**53)]
    """Rows to take, from all over the source."""


class Run(Model):
    """When a run happens, how long it may take, what is kept. Read in a cluster only, but for
    stallTimeout."""

    suspend: bool = False
    """Start no run, and stop the present one (it can go on later). Default: false."""
    schedule: (
        Annotated[
            str,
            StringConstraints(pattern=r"^(?:@[a-z]{1,16}|\S+(?: +\S+){4})$", max_length=128),
            Expected('five fields of cron such as "0 3 * * *", or @daily'),
        ]
        | None
    ) = None
    """Times of runs in cron's five fields, such as 0 3 * * *, or @daily. Default: none, one run for
    each change of the manifest."""
    time_zone: Annotated[
        str,
        StringConstraints(
            pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}$", max_length=64
        ),
        Expected("a time zone of the IANA database, such as Europe/Berlin"),
    ] = "UTC"
    """Time zone of the schedule, such as Europe/Berlin. Default: UTC."""
    starting_deadline: Duration | None = None
    """Longest delay after which a missed start is still made up for (the latest one only).
    Default: no limit."""
    triggers: Annotated[tuple[Trigger, ...], Field(max_length=16)] = ()
    """Datasets whose new versions start a run. Default: none."""
    concurrency_policy: Literal["Forbid", "Replace"] = "Forbid"
    """What happens when a run is due while another goes on: Forbid (it waits) or Replace (it takes
    its place). Default: Forbid."""
    retries: Annotated[int, Field(ge=0, le=100)] = 3
    """Further attempts after one that failed for a reason that may pass. Default: 3."""
    timeout: Duration = "24h"
    """Longest time of a run, all attempts together. Default: 24h."""
    start_timeout: Duration = "30m"
    """Longest time until the first worker is ready, and for which workers may then be without any
    room, as where a stage's GPUs never come. Default: 30m."""
    ttl_after_finished: Duration = "10m"
    """Time after which a finished run's cluster is deleted. Default: 10m."""
    queue_name: Name | None = None
    """Kueue's LocalQueue to wait in. Kueue admits a whole run, so that there each worker group has
    maxReplicas workers from the start. Default: none."""
    readiness: Literal["Completed", "Accepted"] = "Completed"
    """When Ready is True: when the run has Completed, or when the manifest is Accepted (so that
    GitOps tools do not wait for the run). Default: Completed."""
    history_limit: Annotated[int, Field(ge=0, le=50)] = 5
    """Runs to keep in the status. Default: 5."""
    sample: Sample | None = None
    """Do some rows first and throw away what they make: tells what the whole will take
    (status.progress.estimate), and ends the run early where they do. Default: none."""
    stall_timeout: Duration = "15m"
    """Time without a row in or out of any stage after which an attempt is given up; longer than any
    batch takes, or 0s for never. A local run heeds it where it is given. Default: 15m."""
    keep_cluster_on_failure: Duration = "0s"
    """Time for which the cluster of a failed run is kept, to look at it. Default: 0s."""
