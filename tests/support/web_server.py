"""A real HTTP server on loopback that says exactly what a test wants, byte for byte if need be."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

Wire = bytes | None
"""The bytes of an answer; None closes the connection without one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server saw it."""

    path: str
    headers: dict[str, str]
    connection: int
    """Which connection it came over, counted from 1."""


Handler = Callable[[Request], Wire | Awaitable[Wire]]


def answer(
    body: bytes = b"", status: str = "200 OK", headers: dict[str, str] | None = None
) -> bytes:
    """An HTTP/1.1 answer with a Content-Length."""
    lines = {"Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@dataclass
class WebServer:
    """Serves `routes` (and `otherwise`) from a thread; a context manager. Keeps what was asked."""

    routes: dict[str, Handler | bytes] = field(default_factory=dict)
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    seen: list[Request] = field(default_factory=list)
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def __enter__(self) -> WebServer:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = socket.create_server((self.host, 0), backlog=512)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop.call_soon_threadsafe(self._loop.add_reader, self._listener, self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, path: str = "/", host: str | None = None) -> str:
        return f"http{'s' if self.tls else ''}://{host or self.host}:{self.port}{path}"

    def asked(self, path: str) -> int:
        """How often `path` was asked for."""
        return sum(request.path == path for request in self.seen)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _stop(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()
        # asyncio loses a connection whose handshake is cancelled: it is broken off instead.
        for connection in self._beginning:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        while self._beginning:
            await asyncio.sleep(0.001)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    def _accept(self) -> None:
        """Accepts by hand: asyncio's server forgets a connection that is still in its handshake,
        and one that outlives the loop is warned of long after, in another test."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._beginning.add(connection)
        task = self._loop.create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=1 << 20)
        protocol = asyncio.StreamReaderProtocol(reader)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=self.tls
                )
            finally:
                self._beginning.discard(connection)
            try:
                await self._converse(
                    reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)
                )
            finally:
                transport.abort()
                await asyncio.sleep(0)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        while await self._one(reader, writer, number):
            pass
        writer.close()
        await writer.wait_closed()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = raw[:-4].split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        request = Request(first.split(" ")[1], headers, number)
        self.seen.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            wire = await self._wire(request)
        finally:
            self.in_flight -= 1
        if wire is None:
            return False
        writer.write(wire)
        await writer.drain()
        return b"connection: close" not in wire[:1000].lower()

    async def _wire(self, request: Request) -> Wire:
        handler = self.routes.get(request.path.partition("?")[0], answer(status="404 Not Found"))
        if isinstance(handler, bytes):
            return handler
        wire = handler(request)
        return wire if isinstance(wire, bytes) or wire is None else await wire
