"""The log of a run's driver: it lies in the head pod, and Ray's dashboard gives it out.

The way there is the API server's proxy to the head's service, with the token of the cluster, which
is in a Secret that the user's own rights read. `kubectl logs` of the head has Ray's log only.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.errors import ClusterError, Refused
from lancemill.cli.cluster.following import look
from lancemill.cli.cluster.pods import Pod, of_run

POLL_SECONDS = 2.0
SHARE = 10
"""The whole log comes each time: the longer that takes, the rarer it is asked for."""
MISSES = 5
"""How often in a row the dashboard may give no answer while a log is followed."""
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
_PORT = "dashboard"


def print_driver_log(api: Api, name: str, attempt: int | None, *, follow: bool) -> None:
    """Print it; with `follow` until the driver has ended."""
    head = _head(of_run(api, look(api, name), attempt))
    dashboard = Dashboard(api, head)
    job = dashboard.job()
    printed = _print_new(dashboard.log(job), 0)
    misses = 0
    while follow and not dashboard.is_over(job):
        began = time.monotonic()
        try:
            printed = _print_new(dashboard.log(job), printed)
            misses = 0
        except ClusterError:
            misses += 1
            if misses >= MISSES:
                raise
        time.sleep(max(POLL_SECONDS, SHARE * (time.monotonic() - began)))
    if follow:
        _print_new(dashboard.log(job), printed)


class Dashboard:
    """The dashboard of one head, through the API server's proxy."""

    def __init__(self, api: Api, head: Pod) -> None:
        self._api = api
        self._head = head
        self._headers = _token(api, head.cluster)

    def job(self) -> str:
        """The id under which the driver of this attempt was submitted."""
        jobs = self._get("api/jobs/")
        submitted = _submitted(jobs if isinstance(jobs, list) else [], self._head)
        if not submitted:
            raise ClusterError(
                f"the driver of attempt {self._head.attempt} has not begun",
                remedy="--group head prints what Ray has written meanwhile",
            )
        return submitted

    def log(self, job: str) -> str:
        """All that the driver has written."""
        found = self._get(f"api/jobs/{job}/logs")
        return str(found.get("logs") or "") if isinstance(found, Mapping) else ""

    def is_over(self, job: str) -> bool:
        """Whether the driver has ended; an answer that makes no sense does not say so."""
        try:
            found = self._get(f"api/jobs/{job}")
        except ClusterError:
            return False
        return isinstance(found, Mapping) and found.get("status") in _OVER

    def _get(self, path: str) -> Any:
        service = f"{self._head.cluster}-head-svc:{_PORT}"
        place = paths.core("services", self._api.namespace, service, f"proxy/{path}")
        try:
            return json.loads(self._api.text(place, headers=self._headers))
        except Refused as refused:
            raise _explained(refused, self._api.namespace, self._head) from None
        except ValueError:
            raise ClusterError(
                "the head's dashboard gives no JSON",
                remedy=_by_hand(self._api.namespace, self._head),
            ) from None


def _head(pods: Sequence[Pod]) -> Pod:
    heads = [one for one in pods if one.is_head]
    if not heads:
        raise ClusterError(
            f"attempt {pods[0].attempt} has no head now, and its driver's log was in it",
            remedy="--group NAME prints what its workers have written",
        )
    return max(heads, key=lambda one: one.created)


def _submitted(jobs: Sequence[Any], head: Pod) -> str:
    """Of the jobs that a head knows, the driver: the one with this run in its command."""
    known = [
        (str(one.get("submission_id") or ""), str(one.get("entrypoint") or ""))
        for one in jobs
        if isinstance(one, Mapping) and one.get("type", "SUBMISSION") == "SUBMISSION"
    ]
    mine = [job for job, entrypoint in known if job and head.run in entrypoint.split()]
    others = [job for job, _ in known if job]
    return (mine or others or [""])[-1]


def _token(api: Api, cluster: str) -> dict[str, str]:
    """The header that the dashboard wants; none where the cluster asks for no token."""
    try:
        secret = api.find(paths.core("secrets", api.namespace, cluster))
    except Refused as refused:
        if refused.code != 403:
            raise
        return {}  # a cluster without a token lets us in; one with a token says so
    data = (secret or {}).get("data") or {}
    try:
        token = base64.b64decode(data.get("auth_token", ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"X-Ray-Authorization": f"Bearer {token}"} if token else {}


def _explained(refused: Refused, namespace: str, head: Pod) -> ClusterError:
    if refused.code in (401, 403) and "cannot" not in str(refused.body.get("message", "")):
        return ClusterError(
            f"the head's dashboard wants the token of Secret {head.cluster}, which you may not read"
            if refused.code == 401
            else f"the head's dashboard does not take the token of Secret {head.cluster}",
            remedy=_by_hand(namespace, head),
        )
    if refused.code == 403:
        return ClusterError(
            "the driver's log is had through services/proxy, which you may not use",
            remedy=f"ask for the role edit in namespace {namespace}, or: "
            + _by_hand(namespace, head),
        )
    return ClusterError(
        f"the head's dashboard does not answer (HTTP {refused.code})",
        remedy=_by_hand(namespace, head),
    )


def _by_hand(namespace: str, head: Pod) -> str:
    inside = "sh -c 'cat /tmp/ray/session_latest/logs/job-driver-*.log'"
    return f"kubectl exec -n {namespace} {head.name} -c {head.container} -- {inside}"


def _print_new(log: str, printed: int) -> int:
    """Print what was not printed yet; how much is printed now."""
    if len(log) < printed:  # another head, another log
        printed = 0
    sys.stdout.write(log[printed:])
    sys.stdout.flush()
    return len(log)
