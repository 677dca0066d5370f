"""How far running attempts are: asked of their heads over HTTP, at most so often, never fatal.

A head may be slow, dead, or a stranger: it gets two seconds and 256 KiB, and a failure only means
that nothing new is known. Asking goes on beside the reconcile that wanted it, so that a thousand
silent heads hold up nobody: what is known is given at once, and when more is known the pipeline is
put on the queue.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import aiohttp

from lancemill_operator.api import Api, ApiError, read_at_most
from lancemill_operator.parse.outcomes import Spoken, spoken

LARGEST_ANSWER = 256 * 1024
AT_ONCE = 32
BRIEFLY = 0.5
"""Seconds that a reconcile waits for an answer before it goes on without."""

Via = Literal["service", "proxy"]


class HeadUnreachable(Exception):
    """The head gave no answer."""


class Heads(Protocol):
    """How a head is reached."""

    async def ask(self, namespace: str, cluster: str) -> bytes:
        """What the head of that RayCluster answers. Raises HeadUnreachable."""
        ...

    async def close(self) -> None: ...


class ByService:
    """Through the head's service, from inside the cluster."""

    def __init__(self, port: int, seconds: float) -> None:
        self._port = port
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds),
            connector=aiohttp.TCPConnector(limit=AT_ONCE, force_close=True),
        )

    def address(self, namespace: str, cluster: str) -> str:
        """Where that cluster's head answers."""
        return f"http://{cluster}-head-svc.{namespace}.svc:{self._port}/progress"

    async def ask(self, namespace: str, cluster: str) -> bytes:
        address = self.address(namespace, cluster)
        try:
            async with self._session.get(address, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise HeadUnreachable(f"HTTP {answer.status}")
                return await read_at_most(answer.content, LARGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise HeadUnreachable(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._session.close()


class ByProxy:
    """Through the API server, from outside the cluster."""

    def __init__(self, api: Api, port: int, seconds: float) -> None:
        self._api = api
        self._port = port
        self._seconds = seconds

    async def ask(self, namespace: str, cluster: str) -> bytes:
        service = f"{cluster}-head-svc:{self._port}"
        path = f"/api/v1/namespaces/{namespace}/services/{service}/proxy/progress"
        try:
            return await self._api.read(path, "proxy", "Service", LARGEST_ANSWER, self._seconds)
        except ApiError as error:
            raise HeadUnreachable(str(error)) from error

    async def close(self) -> None:
        """Nothing of its own to close."""


@dataclass(slots=True)
class _Known:
    """What one attempt has said."""

    said: Spoken | None = None
    asked: float = float("-inf")
    asking: asyncio.Task[None] | None = None
    wanted: float = field(default_factory=time.monotonic)


class Poller:
    """The latest word of each running attempt."""

    def __init__(
        self,
        heads: Heads,
        interval: float,
        clock: Callable[[], float] = time.monotonic,
        counted: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._heads = heads
        self._interval = interval
        self._clock = clock
        self._counted = counted
        self._known: dict[tuple[str, str], _Known] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def latest(
        self,
        namespace: str,
        cluster: str,
        run: str,
        attempt: int,
        changed: Callable[[], None],
    ) -> Spoken | None:
        """What the attempt has said last; asks its head where that is due.

        `changed` is called when something new comes in after this has returned.
        """
        known = self._known.setdefault((namespace, cluster), _Known())
        known.wanted = now = self._clock()
        over = known.said is not None and known.said.outcome is not None
        if known.asking is None and not over and now - known.asked >= self._interval:
            known.asked = now
            known.asking = asyncio.create_task(self._ask(known, namespace, cluster, run, attempt))
        if known.asking is not None:
            await self._briefly(known.asking, changed)
        return known.said

    def forget_unwanted(self, seconds: float) -> None:
        """Drop what nobody has asked for in so long."""
        limit = self._clock() - seconds
        for key, known in list(self._known.items()):
            if known.wanted < limit and known.asking is None:
                del self._known[key]

    async def close(self) -> None:
        tasks = [known.asking for known in self._known.values() if known.asking is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._heads.close()

    async def _briefly(self, asking: asyncio.Task[None], changed: Callable[[], None]) -> None:
        done, _ = await asyncio.wait({asking}, timeout=BRIEFLY)
        if not done:
            asking.add_done_callback(lambda _: changed())

    async def _ask(
        self, known: _Known, namespace: str, cluster: str, run: str, attempt: int
    ) -> None:
        try:
            async with self._turn:
                said = spoken(await self._heads.ask(namespace, cluster))
            # A head that speaks of another run or attempt says nothing about this one.
            if said is not None and (said.run, said.attempt) == (run, attempt):
                known.said = said
                self._counted("answered")
            else:
                self._counted("senseless")
        except HeadUnreachable:
            self._counted("unreachable")
        finally:
            known.asking = None


def heads(via: Via, api: Api, port: int, seconds: float) -> Heads:
    """The way to heads that was chosen."""
    return ByService(port, seconds) if via == "service" else ByProxy(api, port, seconds)
