"""One request on its way through the fault proxy: what a fault may do with it.

A fault is an async function of an `Exchange`. It may forward the request or not, answer it or not,
in any order, break the connection, and change what a watch says.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from kube.calls import Call

Fault = Callable[["Exchange"], Awaitable[None]]
Upstream = Callable[[], contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]]
Result = TypeVar("Result")

_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "upgrade"}
)


@dataclass
class Exchange:
    """One request on its way, in the hands of a fault."""

    call: Call
    freeze: Callable[[], None]  # FaultProxy.freeze
    _request: web.Request
    _upstream: Upstream
    _unfinished: set[asyncio.Task[Any]]
    response: web.StreamResponse | None = None

    async def forward(self) -> tuple[int, dict[str, str], bytes]:
        """The API server's answer, which the client has not got yet.

        Once begun it is carried through even when the client hangs up: whether a write was
        committed must not depend on a race.
        """
        self.call.forwarded = True
        return await self.carried_through(self._forwarded())

    async def carried_through(self, work: Coroutine[Any, Any, Result]) -> Result:
        """`work` ends even when the client hangs up, which cancels everything else here."""
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return await asyncio.shield(task)

    async def _forwarded(self) -> tuple[int, dict[str, str], bytes]:
        async with self._upstream() as answer:
            body = await answer.read()
            self.call.committed = answer.status
            return answer.status, end_to_end(answer.headers), body

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """To the client, and sent when this returns."""
        self.call.status = status
        self.response = web.Response(status=status, headers=headers, body=body)
        await self.response.prepare(self._request)
        await self.response.write_eof()

    def reset(self) -> None:
        """RST instead of an answer, whether or not one has begun."""
        transport = self._request.transport
        if transport is not None:
            held = transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()

    async def pass_on(self) -> None:
        """As if there were no proxy."""
        if self.streams:
            await self.stream()
        else:
            await self.answer(*await self.forward())

    @property
    def streams(self) -> bool:
        return self.call.verb == "watch" or self.call.query.get("follow") == "true"

    async def stream(
        self, change: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]] | None = None
    ) -> None:
        """A watch, line by line; `change` gets the lines and yields what the client shall see."""
        self.call.forwarded = True
        async with self._upstream() as answer:
            self.call.committed = self.call.status = answer.status
            self.response = web.StreamResponse(
                status=answer.status, headers=end_to_end(answer.headers)
            )
            await self.response.prepare(self._request)
            lines = _lines(answer.content)
            async for line in change(lines) if change else lines:
                await self.response.write(line)
            await self.response.write_eof()


def end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest
