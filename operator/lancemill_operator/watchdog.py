"""The watchdog: finds what is dead while the process lives, so that the process can end.

A watcher of kopf can end, or hang, without anybody noticing; then nothing that happens is seen but
by the resync. An API server that does not answer looks the same from here and is none of our
faults: so before a silent watch counts as dead, the server is asked whether it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lancemill_operator import kinds
from lancemill_operator.api import Api, ApiError
from lancemill_operator.watches import Ages


class Watchdog:
    """Looks now and then; `problem` says what it has found."""

    def __init__(
        self,
        api: Api,
        ages: Ages,
        namespace: str | None,
        limit: float,
        stuck: Callable[[], str],
    ) -> None:
        self._api = api
        self._ages = ages
        self._namespace = namespace
        self._limit = limit
        self._stuck = stuck
        self.problem = ""

    async def run(self) -> str:
        """What is dead, once something is."""
        while not self.problem:
            await asyncio.sleep(min(15.0, self._limit / 4))
            self.problem = self._stuck() or await self._silent()
        return self.problem

    async def _silent(self) -> str:
        """The watch that is silent though the API server answers, twice in a row."""
        name, age = self._ages.oldest()
        if age <= self._limit or not await self._answers(name):
            return ""
        await asyncio.sleep(min(15.0, self._limit / 4))
        age = self._ages.ages()[name]
        if age <= self._limit or not await self._answers(name):
            return ""
        return f"the watch of {name} has been silent for {age:.0f} s"

    async def _answers(self, name: str) -> bool:
        pages = self._api.pages(kinds.named(name), self._namespace, page=1)
        try:
            async for _ in pages:
                break
        except ApiError:
            return False
        finally:
            await pages.aclose()
        return True
