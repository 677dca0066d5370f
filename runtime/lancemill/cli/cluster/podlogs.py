"""Logs of pods, one or several: followed by asking again, so that a pod that comes later is in it.

Lines are told apart by their time, to the nanosecond: Kubernetes gives everything since a second,
and what was printed is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.errors import ClusterError, Refused
from lancemill.cli.cluster.pods import Pod

POLL_SECONDS = 2.0
PER_POD = 0.25
"""Seconds between two rounds for each pod, so that many pods are no load."""


def print_logs(
    api: Api, pods: Callable[[], Sequence[Pod]], *, follow: bool, previous: bool = False
) -> None:
    """Print what they have written; with `follow` until none of them writes any more."""
    found = pods()
    if not any(one.started for one in found) and not follow:
        waiting = ", ".join(sorted(one.name for one in found))
        raise ClusterError(f"nothing has been written yet: {waiting} has not started")
    printed: dict[str, str] = {}
    while True:
        for pod in sorted(found, key=lambda one: one.name):
            if pod.started:
                _print(api, pod, printed, named=len(found) > 1, previous=previous)
        if not follow or all(one.is_over for one in found):
            return
        time.sleep(max(POLL_SECONDS, PER_POD * len(found)))
        try:
            found = pods()
        except ClusterError as gone:
            print(f"■ {gone}", file=sys.stderr)
            return


def _print(api: Api, pod: Pod, printed: dict[str, str], *, named: bool, previous: bool) -> None:
    query = {"container": pod.container, "timestamps": "true"}
    if previous:
        query["previous"] = "true"
    last = printed.get(pod.name, "")
    if last:
        query["sinceTime"] = last.partition(".")[0].removesuffix("Z") + "Z"
    try:
        text = api.text(paths.core("pods", api.namespace, pod.name, "log"), query=query)
    except Refused as refused:
        if refused.code == 404:
            return  # gone since it was listed
        raise
    for line in text.splitlines():
        moment, _, said = line.partition(" ")
        if _later(moment, last):
            printed[pod.name] = moment
            sys.stdout.write(f"{pod.name}  {said}\n" if named else f"{said}\n")
    sys.stdout.flush()


def _later(moment: str, last: str) -> bool:
    """Whether one time comes after another; fractions of a second have no fixed length."""
    return _key(moment) > _key(last)


def _key(moment: str) -> tuple[str, str]:
    second, _, fraction = moment.removesuffix("Z").partition(".")
    return second, fraction.ljust(9, "0")
