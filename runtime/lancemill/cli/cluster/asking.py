"""What is asked of the operator by annotation: a run more, or the present one stopped.

Annotations are no part of the manifest: a GitOps tool or `kubectl apply` leaves them alone, and
they leave its fields alone. The object's uid goes with them, so that nothing is asked of another
object of that name.
"""

from __future__ import annotations

import json as encoder
import sys
from datetime import UTC, datetime
from typing import TextIO

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.attending import INTERRUPTED
from lancemill.cli.cluster.errors import ClusterError
from lancemill.cli.cluster.following import follow, look
from lancemill.cli.cluster.outcome import Wanted
from lancemill.cli.cluster.seen import Seen
from lancemill.report.lines import write_lines
from lancemill_api.annotations import CANCEL_RUN, RUN_REQUESTED_AT
from lancemill_api.status import FinishedRun


def requested(api: Api, name: str, people: TextIO | None) -> Wanted:
    """Ask for a run; the one that will answer. Tells people, or (None) scripts."""
    moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    before = look(api, name)
    _annotate(api, before, RUN_REQUESTED_AT, moment)
    if people is None:
        _print_json(before, "requested", requestedAt=moment)
        return Wanted(requested=moment)
    lines = [f"a run of {name} is asked for{_when(before)}"]
    within = f"{name} -n {api.namespace}"
    lines += [
        f"  follow:  lancemill status {within} --follow",
        f"  undo:    lancemill cancel {within}     (once it has begun)",
    ]
    write_lines(lines, people)
    return Wanted(requested=moment)


def cancelled(api: Api, name: str, *, wait: bool, json: bool) -> int:
    """Cancel the run that goes on; 0 where that is what became of it."""
    before = look(api, name)
    if before.current is None:
        raise ClusterError(
            f"no run of {name} goes on{_last(before.last)}",
            remedy=f"`lancemill status {name} -n {api.namespace}` tells more",
        )
    run = before.current.id
    _annotate(api, before, CANCEL_RUN, run)
    if not wait:
        if json:
            _print_json(before, "cancelling", run=run)
        else:
            write_lines([f"run {run} of {name} is being cancelled"], sys.stdout)
        return 0
    try:
        reading, after = follow(api, name, Wanted(run=run), lambda seen: None)
    except KeyboardInterrupt:
        print(f"■ no longer waited for; run {run} is being cancelled", file=sys.stderr)
        return INTERRUPTED
    if json:
        ended = reading.run
        record = None if ended is None else ended.model_dump(mode="json", by_alias=True)
        _print_json(after, "finished", state=reading.state, run=record)
    else:
        write_lines(_told(name, run, reading.run, api.namespace), sys.stdout)
    return 0 if reading.run is not None and reading.run.result == "Cancelled" else 1


def _annotate(api: Api, seen: Seen, annotation: str, value: str) -> None:
    body = {"metadata": {"uid": seen.uid, "annotations": {annotation: value}}}
    api.merge(paths.ours(paths.PIPELINE, api.namespace, seen.name), body)


def _when(seen: Seen) -> str:
    """When the run will begin, where that is not now."""
    if seen.phase == "Suspended":
        return "; it begins when spec.run.suspend is false"
    if seen.current is not None:
        replaces = (seen.spec.get("run") or {}).get("concurrencyPolicy") == "Replace"
        what = "it takes the place of" if replaces else "it begins after"
        return f"; {what} run {seen.current.id}"
    return ""


def _told(name: str, run: str, ended: FinishedRun | None, namespace: str) -> list[str]:
    again = f"  again:   lancemill rerun {name} -n {namespace}"
    if ended is None:
        return [f"✗ run {run} of {name} is no longer in its status"]
    if ended.result == "Cancelled":
        return [f"✓ run {run} of {name} is cancelled; nothing was committed", again]
    if ended.result == "Succeeded":
        version = f" as version {ended.dataset_version}" if ended.dataset_version else ""
        return [
            f"✗ run {run} of {name} was committed{version} before it could be cancelled",
            f"  {ended.message}",
        ]
    return [f"✗ run {run} of {name} had failed before it could be cancelled: {ended.message}"]


def _last(run: FinishedRun | None) -> str:
    return "" if run is None else f"; the last one, {run.id}, has ended: {run.result}"


def _print_json(seen: Seen, event: str, **facts: object) -> None:
    told = {"event": event, "name": seen.name, "namespace": seen.namespace, **facts}
    print(encoder.dumps(told, ensure_ascii=False), flush=True)
