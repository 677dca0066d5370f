"""From `kubectl apply` to the first row: what a run passes on its way, and after how long.

It is looked for in the same way whoever has made the RayJob: the RayJob's own words by the API
server, the rest by what appears in the store. A row counts as there once a file of the dataset's
data holds it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from e2e.kubectl import Failed, Kubectl
from e2e.tenant import Tenant, TookTooLong

Object = dict[str, Any]
Took = dict[str, float]
"""Seconds since the apply, by step."""
MADE, READY, SUBMITTED, DRIVING, ROW = STEPS = (
    "RayJob made",
    "cluster ready",
    "job submitted",
    "driver at work",
    "first row",
)
LOOK = 0.2
"""Seconds between two looks; each costs the API server and the store some milliseconds."""
MINUTES = 8.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there at one moment, beside what was there before the apply."""

    rayjob: Object | None
    keys: frozenset[str]


def reached(seen: Seen) -> list[str]:
    """The steps that lie behind a run. Raises Failed where it has ended before its first row."""
    status: Mapping[str, Any] = (seen.rayjob or {}).get("status") or {}
    holds = {
        MADE: seen.rayjob is not None,
        READY: status.get("jobDeploymentStatus") in ("Running", "Complete"),
        SUBMITTED: bool(status.get("jobStatus")),
        DRIVING: any(key.endswith("/run.json") for key in seen.keys),
        ROW: any("/data/" in key for key in seen.keys),
    }
    if status.get("jobDeploymentStatus") == "Failed" and not holds[ROW]:
        raise Failed(f"the RayJob failed: {json.dumps(status)[:2000]}")
    return [step for step in STEPS if holds[step]]


@dataclass
class Watch:
    """Looks at one team's RayJobs and bucket; only what is new since it was made counts."""

    tenant: Tenant
    api: http.client.HTTPConnection
    rayjob: Object | None = None
    """As it was seen last."""
    _rayjobs: frozenset[str] = field(init=False)
    _keys: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._rayjobs = frozenset(self._every_rayjob())
        self._keys = frozenset(self._every_key())

    def start(self, apply: Callable[[], None]) -> Took:
        """Seconds after which each step was reached, from the moment before `apply`."""
        took: Took = {}
        began = time.monotonic()
        apply()
        while ROW not in took:
            steps = reached(self.look())
            passed = time.monotonic() - began
            took |= {step: passed for step in steps if step not in took}
            if passed > MINUTES * 60:
                raise TookTooLong(f"no row after {MINUTES} minutes, but {took}")
            time.sleep(LOOK)
        return took

    def look(self) -> Seen:
        found = self._every_rayjob()
        new = [one for uid, one in found.items() if uid not in self._rayjobs]
        self.rayjob = new[0] if new else self.rayjob
        return Seen(self.rayjob, frozenset(self._every_key()) - self._keys)

    def _every_rayjob(self) -> dict[str, Object]:
        self.api.request("GET", f"/apis/ray.io/v1/namespaces/{self.tenant.namespace}/rayjobs")
        answer = self.api.getresponse()
        body = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise Failed(f"rayjobs: {body}")
        return {one["metadata"]["uid"]: one for one in body["items"]}

    def _every_key(self) -> list[str]:
        pages = self.tenant.s3.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.tenant.bucket)
        return [one["Key"] for page in found for one in page.get("Contents", ())]


@contextlib.contextmanager
def api_server(kubectl: Kubectl) -> Iterator[http.client.HTTPConnection]:
    """The API server without a process for each question: five a second would be felt."""
    with subprocess.Popen(
        kubectl.command("proxy", "--port=0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            if found is None:
                raise Failed(f"kubectl proxy: {process.stderr.read().strip()}")
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", int(found[1]))) as api:
                yield api
        finally:
            process.terminate()


def in_words(took: Took) -> str:
    """When each step was reached."""
    return ", ".join(f"{step} {took[step]:.1f} s" for step in STEPS if step in took)


def compared(ours: list[Took], theirs: list[Took]) -> str:
    """What the operator adds, in all and until its RayJob is there; medians."""

    def between(step: str, one: list[Took]) -> float:
        return median(took[step] for took in one)

    row, made = (between(step, ours) - between(step, theirs) for step in (ROW, MADE))
    return (
        f"from apply to the first row, medians: {between(ROW, ours):.1f} s, "
        f"a bare RayJob {between(ROW, theirs):.1f} s: {row:+.1f} s, "
        f"of which {made:+.1f} s until its RayJob is there"
    )
