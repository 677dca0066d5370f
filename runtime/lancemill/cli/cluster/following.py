"""A pipeline looked at until its run is over: by a watch that may break as often as it likes.

Each round looks at the whole object and then watches from there, so that nothing depends on what a
broken stream would still have told. An API server that goes away is waited for; a user who may not
watch gets a look every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lancemill.cli.cluster import paths
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.errors import ClusterError, Refused, Unreachable
from lancemill.cli.cluster.outcome import Reading, Wanted, read
from lancemill.cli.cluster.seen import Seen, seen

WATCH_SECONDS = 60
"""How long one watch lasts: as long as a connection that died unnoticed goes unnoticed."""
POLL_SECONDS = 2
GRACE_SECONDS = 12.0
"""How long a run may be between two runs before nothing more is taken to come: the operator
starts the next one a second after the last one's end."""
LONGEST_AWAY = 300.0
"""How long an API server that does not answer, or not well, is waited for."""
Show = Callable[[Seen], None]


@dataclass(slots=True)
class _Rest:
    """Since when there has been nothing to follow, while more may come."""

    since: float | None = None

    def patience(self) -> int:
        """How long to watch before the object is looked at again."""
        return WATCH_SECONDS if self.since is None else POLL_SECONDS

    def is_over(self) -> bool:
        """Whether nothing more will come."""
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        return now - self.since >= GRACE_SECONDS


def look(api: Api, name: str) -> Seen:
    """The pipeline as it is now."""
    found = api.find(paths.ours(paths.PIPELINE, api.namespace, name))
    if found is None:
        raise ClusterError(
            f"there is no {paths.PIPELINE} {name} in namespace {api.namespace}",
            remedy=f"`lancemill status -n {api.namespace}` lists what is there, -A everywhere",
        )
    return seen(found)


def follow(api: Api, name: str, wanted: Wanted, show: Show) -> tuple[Reading, Seen]:
    """Until the run that is wanted is over; each state is shown on the way."""
    rest = _Rest()
    for now in looks(api, name, rest.patience):
        reading = read(now, wanted)
        wanted = reading.wanted
        show(now)
        if reading.state in ("unseen", "going"):
            rest.since = None
        elif reading.settled or rest.is_over():
            return reading, now
    raise AssertionError("unreachable")


def looks(api: Api, name: str, patience: Callable[[], int]) -> Iterator[Seen]:
    """The pipeline at every change, and at the latest after `patience` seconds; for ever."""
    away: float | None = None
    while True:
        try:
            found = look(api, name)
            away = None
            yield found
            yield from _changes(api, found, patience)
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.code < 500:
                raise
            away = time.monotonic() if away is None else away
            if time.monotonic() - away > LONGEST_AWAY:
                raise
            time.sleep(POLL_SECONDS)


def _changes(api: Api, found: Seen, patience: Callable[[], int]) -> Iterator[Seen]:
    """What a watch tells from there on, until it breaks or more patience was had than is left."""
    query = {
        "fieldSelector": f"metadata.name={found.name}",
        "resourceVersion": found.version,
        "allowWatchBookmarks": "true",
    }
    seconds = patience()
    path = paths.ours(paths.PIPELINE, api.namespace)
    try:
        for event in api.watch(path, query, seconds):
            if event.get("type") == "DELETED":
                raise ClusterError(f"{found.name} was deleted, and its run with it")
            if event.get("type") in ("ADDED", "MODIFIED"):
                yield seen(event["object"])
            if event.get("type") == "ERROR" or patience() < seconds:
                return  # what it missed, the next look tells
    except Refused as refused:
        if refused.code not in (403, 410):
            raise
        time.sleep(POLL_SECONDS if refused.code == 403 else 0)
