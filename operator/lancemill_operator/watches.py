"""When each watch was last heard of, down to the bytes: kopf's handlers never see a bookmark.

kopf reconnects a silent stream by itself, but a watcher of it can end while the process lives
(kopf's issues 1145 and 1276), and a list may hang. So the session that kopf works with tells of
each piece of an answer to a watch, and of each listing that came back.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp

from lancemill_operator.kinds import Kind


class Ages:
    """Since when each watch has been silent. Told by one thread, asked by another."""

    def __init__(self, kinds: Iterable[Kind], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kinds = {f"{kind.api_version}/{kind.plural}": kind.name for kind in kinds}
        self._heard = {name: clock() for name in self._kinds.values()}

    def heard(self, path: str) -> None:
        """Something came from that address of the API server."""
        parts = path.strip("/").split("/")
        version = parts[1:3] if parts[0] == "apis" else parts[1:2]
        name = self._kinds.get("/".join((*version, parts[-1])))
        if name is not None:
            self._heard[name] = self._clock()

    def ages(self) -> dict[str, float]:
        """Seconds of silence, by kind."""
        now = self._clock()
        return {name: now - heard for name, heard in self._heard.items()}

    def oldest(self) -> tuple[str, float]:
        """The watch that has been silent longest, and for how long."""
        return max(self.ages().items(), key=lambda one: one[1])


class _Listening:
    """A stream of an answer that tells of each piece that is read from it."""

    def __init__(self, stream: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._stream = stream
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for piece in self._stream.iter_chunked(size):
            self._heard()
            yield piece


def response_class(ages: Ages) -> type[aiohttp.ClientResponse]:
    """The class of answers for a session whose watches are listened to."""

    class Heard(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            started = await super().start(connection)
            path = self.url.path
            if self.status == 200:
                ages.heard(path)
                if self.url.query.get("watch") == "true":
                    listening: Any = _Listening(self.content, lambda: ages.heard(path))
                    self.content = listening
            return started

    return Heard
