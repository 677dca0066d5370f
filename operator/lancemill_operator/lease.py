"""A Lease: so that a second operator waits instead of doing everything twice.

Only thrift rests on it, not correctness: names are deterministic, and two operators at once end
where one does. A holder's time is taken by our own clock, since clocks differ: a Lease that did not
change for as long as it is good may be taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lancemill_operator.api import AlreadyExists, Api, ApiError, Conflict, NotFound
from lancemill_operator.kinds import LEASE
from lancemill_operator.logs import Log

Object = dict[str, Any]


class Lease:
    """Held by at most one at a time."""

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        holder: str,
        duration: float,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._duration = duration
        self._log = log
        self._clock = clock
        self._seen: tuple[str, float] | None = None
        """The version last seen, and since when."""

    async def acquire(self) -> None:
        """Wait until it is ours."""
        told = False
        while not await self._try():
            if not told:
                self._log.info("waiting for the lease", lease=self._name)
            told = True
            await asyncio.sleep(self._duration / 4)
        self._log.info("holds the lease", lease=self._name, holder=self._holder)

    async def keep(self) -> str:
        """Renew it; why it is lost, once it is."""
        renewed = self._clock()
        while True:
            await asyncio.sleep(self._duration / 4)
            if await self._try():
                renewed = self._clock()
            elif self._clock() - renewed > self._duration * 2 / 3:
                return f"the lease {self._name} is lost"

    async def release(self) -> None:
        """Let the next one have it at once."""
        try:
            found = await self._api.get(LEASE, self._namespace, self._name)
            if found["spec"].get("holderIdentity") == self._holder:
                found["spec"] |= {"holderIdentity": "", "renewTime": _now()}
                await self._api.replace(LEASE, self._namespace, found)
        except ApiError as error:
            self._log.info("lease not released", error=str(error))

    async def _try(self) -> bool:
        """Whether it is ours now."""
        try:
            found = await self._api.get(LEASE, self._namespace, self._name)
            if not self._is_free(found):
                return False
            found["spec"] = self._spec(found.get("spec") or {})
            await self._api.replace(LEASE, self._namespace, found)
        except NotFound:
            return await self._make()
        except (Conflict, AlreadyExists):
            return False
        except ApiError as error:
            self._log.warning("lease", error=f"{type(error).__name__}: {error}")
            return False
        return True

    async def _make(self) -> bool:
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec({}),
        }
        try:
            await self._api.create(LEASE, self._namespace, body)
        except ApiError:
            return False
        return True

    def _is_free(self, found: Object) -> bool:
        holder = (found.get("spec") or {}).get("holderIdentity") or ""
        version = found["metadata"]["resourceVersion"]
        if self._seen is None or self._seen[0] != version:
            self._seen = version, self._clock()
        length = (found.get("spec") or {}).get("leaseDurationSeconds") or self._duration
        return holder in ("", self._holder) or self._clock() - self._seen[1] > length

    def _spec(self, before: Object) -> Object:
        same = before.get("holderIdentity") == self._holder
        changes = int(before.get("leaseTransitions") or 0)
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": before.get("acquireTime") if same else _now(),
            "renewTime": _now(),
            "leaseTransitions": changes if same else changes + 1,
        }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
