"""What arrives on a connection, read straight to where it is wanted.

asyncio's StreamReader makes a `bytes` of each piece that arrives, adds it to a buffer, and copies
out of that what is asked for. A body of known length is not copied here at all: the socket writes
into what the caller gets.
"""

from __future__ import annotations

import asyncio

FIRST_HELD = 64 * 1024
"""Bytes that a connection holds at first: a head and a small body arrive in one piece."""


class ByteStream(asyncio.BufferedProtocol):
    """The reading side of one connection; one reader at a time.

    What nobody has asked for yet is held up to `limit` bytes; then the socket is left alone until
    somebody does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray(FIRST_HELD)
        self._start = self._end = 0
        self._body: memoryview | None = None
        self._filled = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._error: Exception | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def at_end(self) -> bool:
        return self._ended and self._start == self._end

    async def until(self, separator: bytes) -> bytes:
        """What comes up to and with `separator`.

        Raises LimitOverrunError where that is more than `limit`, IncompleteReadError at the end.
        """
        looked_at = 0
        while True:
            found = self._held.find(separator, self._start + looked_at, self._end)
            if found >= 0:
                return self._take(found + len(separator) - self._start)
            looked_at = max(0, self._end - self._start - len(separator) + 1)
            if self._end - self._start >= self._limit:
                raise asyncio.LimitOverrunError("no separator within the limit", looked_at)
            await self._more()

    async def exactly(self, size: int) -> memoryview:
        """The next `size` bytes; IncompleteReadError where it ends before."""
        body = memoryview(bytearray(size))
        held = min(size, self._end - self._start)
        body[:held] = self._take(held)
        self._filled = held
        self._body = body
        try:
            while self._filled < size:
                await self._more()
        finally:
            self._body = None
        return body

    async def some(self) -> bytes:
        """What there is, at least a byte; nothing at the end."""
        while self._start == self._end and (self._error is not None or not self._ended):
            await self._more()
        return self._take(self._end - self._start)

    def _take(self, size: int) -> bytes:
        taken = bytes(memoryview(self._held)[self._start : self._start + size])
        self._start += size
        if self._start == self._end:
            self._start = self._end = 0
        return taken

    async def _more(self) -> None:
        """Until something has arrived; IncompleteReadError where nothing will."""
        if self._error is not None:
            raise self._error
        if self._ended:
            raise asyncio.IncompleteReadError(self._take(self._end - self._start), None)
        self._waiter = asyncio.get_running_loop().create_future()
        if self._transport is not None:
            self._transport.resume_reading()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        if self._body is not None:
            return self._body[self._filled :]
        self._make_room()
        return memoryview(self._held)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._body is not None:
            self._filled += nbytes
            if self._filled < len(self._body):
                return
            self._body = None  # what else arrives, before its reader runs, is not its
        else:
            self._end += nbytes
            if self._end - self._start >= self._limit and self._transport is not None:
                self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._error = True, exc
        self._wake()

    def _make_room(self) -> None:
        if self._end < len(self._held):
            return
        # Anew, not in place: whoever asked for the buffer before may still hold a view of it.
        kept = self._held[self._start : self._end]
        size = len(self._held) if self._start > 0 else 2 * len(self._held)
        self._held = kept + bytes(size - len(kept))
        self._start, self._end = 0, len(kept)
