"""The faults that a `FaultProxy` injects. Each function here makes one.

Towards one request: `refuse`, `reset`, `lost_answer`, `stall`. In a watch: `events` for what is
dropped, doubled or late, `break_stream` for an error or a reset amid it. Around a write, for
crashes: `killing_before`, `killing_after`, `killing_unanswered`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from kube.exchange import Exchange, Fault
from kube.rest import JSON, Object

Event = dict[str, Any]
Wanted = Callable[[Event], bool]

_REASONS = {
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def refusal(code: int, message: str = "injected by the test") -> Object:
    """An error as the API server words it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, "Unknown"),
        "code": code,
    }


def named(name: str) -> Callable[[Fault], Fault]:
    """What `Call.fault` says afterwards."""

    def rename(fault: Fault) -> Fault:
        fault.__name__ = name
        return fault

    return rename


def refuse(code: int, *, retry_after: int | None = None, committed: bool = False) -> Fault:
    """An error for an answer. `committed`: the API server did it nevertheless, as with a 504."""

    @named(f"refuse {code}")
    async def fault(exchange: Exchange) -> None:
        if committed:
            await exchange.forward()
        headers = {"Content-Type": JSON}
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        await exchange.answer(code, headers, json.dumps(refusal(code)).encode())

    return fault


def reset() -> Fault:
    """The connection breaks before the API server has heard of it."""

    @named("reset")
    async def fault(exchange: Exchange) -> None:
        exchange.reset()

    return fault


def lost_answer() -> Fault:
    """The API server did it, and the connection breaks before the client knows."""

    @named("lost answer")
    async def fault(exchange: Exchange) -> None:
        await exchange.forward()
        exchange.reset()

    return fault


def stall(seconds: float, *, committed: bool = False) -> Fault:
    """Nothing comes for so long, then a reset; the connection looks alive all the while."""

    @named("stall")
    async def fault(exchange: Exchange) -> None:
        if committed:
            await exchange.forward()
        await asyncio.sleep(seconds)
        exchange.reset()

    return fault


def slow(seconds: float) -> Fault:
    """It only takes longer."""

    @named("slow")
    async def fault(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await exchange.pass_on()

    return fault


def stall_stream(seconds: float, *, after: int = 0) -> Fault:
    """A watch that falls silent after some events and stays open: half an open connection."""

    @named("stall stream")
    async def fault(exchange: Exchange) -> None:
        async def silent(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for line in _first(lines, after):
                yield line
            await asyncio.sleep(seconds)

        await exchange.stream(silent)

    return fault


def break_stream(code: int | None = None, *, after: int = 0) -> Fault:
    """A watch that ends after some events: with an ERROR of this code in it, else by a reset."""

    @named(f"stream error {code}" if code else "stream reset")
    async def fault(exchange: Exchange) -> None:
        async def broken(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for line in _first(lines, after):
                yield line
            if code is None:
                exchange.reset()
            else:
                yield json.dumps({"type": "ERROR", "object": refusal(code)}).encode() + b"\n"

        await exchange.stream(broken)

    return fault


async def _first(lines: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    while count > 0:
        try:
            line = await anext(lines)
        except StopAsyncIteration:
            return
        yield line
        count -= json.loads(line)["type"] != "BOOKMARK"


def events(
    wanted: Wanted,
    *,
    copies: int = 1,
    late: float = 0,
    held: threading.Event | None = None,
    times: int | None = None,
) -> Fault:
    """Those events of a watch that are `wanted`, the first `times` of them, come otherwise.

    `copies=0` drops them, `copies=2` doubles them, `late` delays them by seconds and `held` until
    it is set; what comes after an event waits for it, since a watch keeps its order.
    """

    @named("events")
    async def fault(exchange: Exchange) -> None:
        left = times

        async def altered(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            nonlocal left
            async for line in lines:
                if left == 0 or not wanted(json.loads(line)):
                    yield line
                    continue
                left = None if left is None else left - 1
                await asyncio.sleep(late)
                while held is not None and not held.is_set():
                    await asyncio.sleep(0.01)
                for _ in range(copies):
                    yield line

        await exchange.stream(altered)

    return fault


def about(name: str, change: str | None = None) -> Wanted:
    """Events of the object of this name, of one type (ADDED, MODIFIED, DELETED) or of any."""

    def wanted(event: Event) -> bool:
        metadata = event["object"].get("metadata", {})
        return metadata.get("name") == name and change in (None, event["type"])

    return wanted


Kill = Callable[[], Coroutine[Any, Any, None] | None]


async def _done(exchange: Exchange, kill: Kill) -> None:
    result = kill()
    if result is not None:
        await exchange.carried_through(result)


def killing_before(kill: Kill) -> Fault:
    """The client is killed when it has sent the request, and the API server never hears of it.

    As in the two below, the proxy is frozen first: no request of a client that has a moment left
    to live is forwarded. `kill` returns when the client is gone, its connections closed (as
    `Program.kill` does); thaw the proxy when a new one is started.
    """

    @named("killed before")
    async def fault(exchange: Exchange) -> None:
        exchange.freeze()
        await _done(exchange, kill)
        exchange.reset()

    return fault


def killing_after(kill: Kill) -> Fault:
    """The client is killed when it has been sent the answer."""

    @named("killed after")
    async def fault(exchange: Exchange) -> None:
        exchange.freeze()
        await exchange.pass_on()
        await _done(exchange, kill)

    return fault


def killing_unanswered(kill: Kill) -> Fault:
    """The client is killed when the API server has done it, and the answer is lost."""

    @named("killed unanswered")
    async def fault(exchange: Exchange) -> None:
        exchange.freeze()
        await exchange.forward()
        await _done(exchange, kill)
        exchange.reset()

    return fault
