"""The live objects of a kind, kept by a watch: a look at them costs no request.

After a break it lists afresh and tells the difference, so nothing that was deleted meanwhile stays
behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from kube.client import ApiError, Client, Kind

Object = dict[str, Any]

RETRY_SECONDS = 0.5


@dataclass(frozen=True)
class Change:
    """ADDED, MODIFIED or DELETED, and the object as it was last seen."""

    type: str
    kind: Kind
    object: Object


@dataclass
class Watch:
    """`objects` by namespace and name, and each change of them told to `tell`, while it runs."""

    client: Client
    kind: Kind
    tell: Callable[[Change], None]
    namespace: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    _deleted: set[str] = field(default_factory=set)

    async def run(self) -> None:
        while True:
            try:
                version = await self._relist()
                self.synced.set()
                while True:
                    version = await self._follow(version)
            except (ApiError, aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                await asyncio.sleep(RETRY_SECONDS)

    def learn(self, found: Object) -> None:
        """Take in what a write of ours answered, before the watch says the same."""
        key = _key(found)
        known = self.objects.get(key)
        if known is None:
            if found["metadata"]["uid"] not in self._deleted:
                self.objects[key] = found
        elif _version(found) > _version(known):
            self.objects[key] = found

    async def _relist(self) -> str:
        found = await self.client.list(self.kind, self.namespace, **self.query)
        listed = {_key(item): item for item in found["items"]}
        for key in self.objects.keys() - listed.keys():
            self.tell(Change("DELETED", self.kind, self.objects.pop(key)))
        for item in listed.values():
            item.setdefault("kind", self.kind.name)
            item.setdefault("apiVersion", self.kind.api)
            self._take("MODIFIED" if _key(item) in self.objects else "ADDED", item)
        return str(found["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> str:
        events = self.client.events(self.kind, self.namespace, version, **self.query)
        async with contextlib.aclosing(events):
            async for event in events:
                found = event["object"]
                version = found["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(event["type"], found)
        return version

    def _take(self, change: str, found: Object) -> None:
        key = _key(found)
        if change == "DELETED":
            self.objects.pop(key, None)
            self._deleted.add(found["metadata"]["uid"])
        else:
            known = self.objects.get(key)
            if known is None or _version(found) >= _version(known):
                self.objects[key] = found
        self.tell(Change(change, self.kind, found))


def _key(found: Object) -> tuple[str, str]:
    meta = found["metadata"]
    return meta.get("namespace", ""), meta["name"]


def _version(found: Object) -> int:
    return int(found["metadata"]["resourceVersion"])


async def until_synced(watches: Iterable[Watch], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        for watch in watches:
            await watch.synced.wait()
