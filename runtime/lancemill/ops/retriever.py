"""Retrieves many remote objects at once: from http(s) servers and from object stores.

One event loop on a thread of its own, one semaphore over all requests, one client for http and
one store for each bucket. An attempt has a time limit; what is transient is tried again, and a
request that waits for its next attempt holds no place among those in flight.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lancemill.ops.addresses import Gate, Judge, Resolver, refusal, system_resolver
from lancemill.ops.event_loop import EventLoopThread
from lancemill.ops.http_client import HttpClient
from lancemill.ops.retrieval import RETRIED_STATUS, RetrievalError, wait_before
from lancemill.storage import display, explain, open_store
from lancemill.storage.uris import BUCKET_SCHEMES

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Payload = bytes | memoryview
STORE_SCHEMES = frozenset({*BUCKET_SCHEMES, "memory"})

_BROKEN = re.compile(
    r"connection reset|connection closed|broken pipe|IncompleteMessage|unexpected EOF|"
    r"error decoding response body|response body error|error sending request|kind: Interrupted",
    re.IGNORECASE,
)
_TIMED_OUT = re.compile(r"timed out|kind: Timeout|TimedOut", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one object may cost."""

    attempts: int
    timeout_s: float
    """Of one attempt, from the name's resolution to the last byte."""
    max_bytes: int
    in_flight: int
    """Requests at once, over all callers."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a retriever takes from the world, so that a test can hand in its own."""

    resolve: Resolver = system_resolver
    judge: Judge = refusal
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    chance: Callable[[], float] = random.random
    tls: ssl.SSLContext | None = None


class Retriever:
    """Call `fetch` from any thread; `close` when done."""

    def __init__(
        self,
        limits: Limits,
        *,
        allow_private: bool = False,
        storage: Any = None,
        base: Path | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._limits = limits
        self._world = surroundings or Surroundings()
        self._in_flight = asyncio.Semaphore(limits.in_flight)
        gate = Gate(
            allow_private=allow_private, resolve=self._world.resolve, judge=self._world.judge
        )
        self._http = HttpClient(gate, max_idle=limits.in_flight, tls=self._world.tls)
        self._stores = Stores(storage, base)
        self._thread = EventLoopThread("lancemill-fetch")

    def fetch(self, uris: Sequence[str]) -> list[Payload | RetrievalError]:
        """What came of each URI, in order. Blocks the calling thread."""
        return self._thread.run(self._all(uris))

    def close(self) -> None:
        if not self._thread.closed:
            self._thread.run(self._http.close())
            self._thread.close()

    async def _all(self, uris: Sequence[str]) -> list[Payload | RetrievalError]:
        return await asyncio.gather(*map(self._one, uris))

    async def _one(self, uri: str) -> Payload | RetrievalError:
        attempt = 1
        while True:
            async with self._in_flight:
                try:
                    return await self._attempt(uri)
                except RetrievalError as error:
                    failure = error
            attempt += 1
            wait = wait_before(attempt, failure, self._world.chance())
            if wait is None or attempt > self._limits.attempts:
                return failure
            await self._world.sleep(wait)

    async def _attempt(self, uri: str) -> Payload:
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                if uri.partition("://")[0].lower() in ("http", "https"):
                    return await self._http.get(uri, self._limits.max_bytes)
                return await self._stores.get(uri, self._limits.max_bytes)
        except TimeoutError as error:
            message = f"{display(uri)} took longer than {self._limits.timeout_s:g} s"
            raise RetrievalError("Timeout", message, transient=True) from error


class Stores:
    """Objects of s3, gs and az; a bucket's store is opened once."""

    def __init__(self, storage: Any, base: Path | None) -> None:
        self._storage = storage
        self._base = base
        self._open: dict[str, ObjectStore] = {}

    async def get(self, uri: str, max_bytes: int) -> Payload:
        """The object's bytes; RetrievalError where there is a reason of its own."""
        import obstore

        store, key = self._located(uri)
        try:
            found = await obstore.get_async(store, key)
            size = found.meta["size"]
            if size > max_bytes:
                message = f"{uri}: {size} bytes, more than {max_bytes}"
                raise RetrievalError("TooLarge", message)
            return memoryview(await found.bytes_async())
        except TimeoutError:
            raise
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise store_failure(error, uri) from error

    def _located(self, uri: str) -> tuple[ObjectStore, str]:
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in STORE_SCHEMES:
            message = f"{display(uri)}: there is no way to fetch {scheme}://"
            raise RetrievalError("InvalidUri", message)
        if not (bucket and key):
            raise RetrievalError("InvalidUri", f"{display(uri)} names no object in a bucket")
        root = f"{scheme}://{bucket}"
        if root not in self._open:
            # No retries below ours: two layers of them would multiply attempts and waits.
            place = open_store(root, self._storage, base=self._base, retries=0)
            self._open[root] = place.store
        return self._open[root], key


def store_failure(error: Exception, uri: str) -> RetrievalError:
    """An object store's error as a RetrievalError.

    Its class says little (a refusal may be a GenericError), so the text is looked at.
    """
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text, message = str(error), str(explain(error, uri))
    found = re.search(r"status(?: code)?: (\d{3})", text)
    status = int(found[1]) if found else 0
    if isinstance(error, FileNotFoundError) or status == 404:
        return RetrievalError("NotFound", message)
    forbidden = (PermissionDeniedError, UnauthenticatedError, PermissionError)
    if isinstance(error, forbidden) or status in (401, 403):
        return RetrievalError("Forbidden", message)
    if status:
        transient = status in RETRIED_STATUS
        return RetrievalError("HttpStatus", f"{message} ({status})", transient=transient)
    if _TIMED_OUT.search(text):
        return RetrievalError("Timeout", message, transient=True)
    return RetrievalError("Connection", message, transient=bool(_BROKEN.search(text)))
