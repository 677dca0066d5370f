"""How many workers, and how many streams for each: rates in, numbers out. Pure.

A device is dear and streams are cheap: while a device waits for input it gets one stream more,
while its streams wait for it one less. What Ray, the nodes or the run do about it is elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

HUNGRY = 0.10
"""Share of its time that a device may wait before it gets another stream."""
FULL = 0.50
"""Share of the time for which the streams are blocked when they are too many."""
IN_LINE = 2
"""Streams of a worker that wait for a place: Ray starts them without asking it."""
AHEAD = 16
"""Workers that are asked for beyond what the cluster has, so that its autoscaler sees the need."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a device worker has seen since it was last asked, as shares of that time."""

    waited: float
    """It had no input."""
    blocked: float
    """Its input had no room."""


def streams(now: int, most: int, seen: Seen) -> int:
    """How many streams a device worker should have: at least one, at most `most`."""
    if seen.waited > HUNGRY:
        return max(1, min(most, now + 1))
    if seen.blocked > FULL:
        return max(1, min(most, now - 1))
    return max(1, min(most, now))


def fair_share(slots: int, workers: int) -> int:
    """Streams that each of `workers` may have where `slots` can run at once.

    More than its share: a stream counts until it has been read, and those that are at work may end
    before it is; whoever takes their places is in line already.
    """
    return max(1, -(-slots // max(1, workers))) + IN_LINE


def workers(slots: int, most: int, shards_left: int, alone: int = 0) -> int:
    """How many workers there should be for so many shards that nobody has finished.

    `alone` of those are done by tasks of their own, each in the place of a worker. `slots` is how
    many the cluster can run as it is, `most` how many when it has grown. More than there are shards
    left would be idle: they are let go, and so are their nodes. Demand grows with the cluster, as
    an autoscaler answers it step by step.
    """
    asked = min(most, slots + max(AHEAD, slots)) if most > slots else slots
    left = shards_left - alone
    return max(1 if left and not alone else 0, min(asked - alone, left), 0)
