"""Whether a run can move rows at all: who only waits for room does not stand still.

Ray does not say whether an actor has a process yet. So each one that has not greeted is asked for
a call that takes no time, which is answered as soon as there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError

from lancemill.engine.ray.cluster import Node, slots
from lancemill.engine.ray.crew import Crew, Member
from lancemill.engine.ray.pools import Pool


class Places:
    """What is known of one crew's workers. Not for several threads."""

    def __init__(self) -> None:
        self._asked: dict[Member, Any] = {}

    def lacking(self, pools: Sequence[Pool], there: Sequence[Node], crew: Crew) -> bool:
        """Whether rows wait for nodes or for room on them: some pool has no node, or no worker of
        the last one has a process."""
        if not all(slots(there, pool) for pool in pools):
            return True
        at_work = crew.ready or crew.alone
        return not at_work and not any(self._has_process(one) for one in crew.members)

    def _has_process(self, member: Member) -> bool:
        answer = self._asked.get(member)
        if answer is None:
            answer = self._asked[member] = member.actor.__ray_ready__.remote()
        ready, _ = ray.wait([answer], timeout=0)
        with suppress(RayError):
            return bool(ready) and ray.get(answer) is not None
        return False
