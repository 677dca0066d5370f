"""HTTP/1.1 GET, and nothing else, over connections that go to addresses a `Gate` let through.

A client of our own, because fetching small files is a hot path and the address must be ours to
choose: requesting and reading a body of 60 KB over 64 kept connections costs 0.05 CPU ms by
asyncio alone, 0.13 by aiohttp and 0.36 by urllib3, while decoding and resizing it costs 0.7;
and obstore's HTTP store follows redirects by itself, to wherever they point.

Every method runs inside one event loop. Time is limited by the caller.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urljoin, urlsplit

from lancemill.ops.addresses import ForbiddenAddressError, Gate
from lancemill.ops.byte_stream import ByteStream
from lancemill.ops.retrieval import RETRIED_STATUS, RetrievalError, retry_after
from lancemill.storage import display

Body = bytes | memoryview

MAX_REDIRECTS = 5
MAX_HEAD = 256 * 1024
"""Bytes of status line and headers; also what a connection buffers before it stops reading."""
WORTH_DRAINING = 64 * 1024
"""A longer body that nobody wants costs more to read than a new connection."""
CONNECT_S = 10.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORT = {"http": 80, "https": 443}
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |$)")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart into what a request needs."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return (self.scheme, self.host, self.port)

    def request(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.port != _DEFAULT_PORT[self.scheme]:
            host = f"{host}:{self.port}"
        return (
            f"GET {self.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lancemill\r\n"
            "Accept: */*\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode("ascii")


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer, names in lower case."""

    status: int
    headers: Mapping[str, str]
    keeps_alive: bool

    @property
    def length(self) -> int | None:
        """Bytes that the body will have, None where that is not said beforehand."""
        if self.status in (204, 304):
            return 0
        if self.chunked or "content-length" not in self.headers:
            return None
        return int(self.headers["content-length"])

    @property
    def chunked(self) -> bool:
        return self.headers.get("transfer-encoding", "").lower().endswith("chunked")


@dataclass(frozen=True, slots=True)
class _Connection:
    stream: ByteStream
    transport: asyncio.Transport

    @property
    def usable(self) -> bool:
        return not (self.stream.at_end or self.transport.is_closing())

    def end(self) -> None:
        """Over at once. An orderly end of TLS waits for the server's consent, which may never
        come: the socket would stay open past the loop that could close it."""
        self.transport.abort()


class HttpClient:
    """Keeps connections open between requests; at most `max_idle` for an origin wait unused."""

    def __init__(
        self, gate: Gate, *, max_idle: int = 64, tls: ssl.SSLContext | None = None
    ) -> None:
        self._gate = gate
        self._max_idle = max_idle
        self._tls = tls
        self._idle: dict[tuple[str, str, int], list[_Connection]] = defaultdict(list)

    async def get(self, url: str, max_bytes: int) -> Body:
        """The body at `url`, redirects followed; raises RetrievalError (and TimeoutError)."""
        for _ in range(MAX_REDIRECTS + 1):
            target = parse(url)
            try:
                answer = await self._exchange(target, max_bytes)
            except TimeoutError:
                raise
            except (OSError, EOFError, ValueError, ForbiddenAddressError) as error:
                raise _explained(error, url) from error
            if not isinstance(answer, Head):
                return answer
            url = _redirected(answer, url)
        raise RetrievalError("HttpStatus", f"more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        for connections in self._idle.values():
            for connection in connections:
                connection.end()
        self._idle.clear()

    async def _exchange(self, target: Target, max_bytes: int) -> Body | Head:
        """One request: the body of a success, the head of anything else."""
        connection, head = await self._asked(target)
        reusable = False
        try:
            if head.status == 200:
                body = await _body(connection.stream, head, max_bytes)
                reusable = head.keeps_alive and (head.chunked or head.length is not None)
                return _plain(body, head, max_bytes)
            if head.keeps_alive and head.length is not None and head.length <= WORTH_DRAINING:
                await connection.stream.exactly(head.length)
                reusable = True
            return head
        finally:
            self._give_back(target, connection, reusable)

    async def _asked(self, target: Target) -> tuple[_Connection, Head]:
        """A connection on which the request was sent and the head of its answer read.

        A server may close a kept connection at any moment, also as the request arrives: then,
        and only then, the request is sent again on a fresh one.
        """
        idle = self._idle[target.origin]
        while idle:
            connection = idle.pop()
            if connection.usable:
                try:
                    return connection, await _ask(connection, target)
                except (ConnectionError, asyncio.IncompleteReadError):
                    connection.end()
                except BaseException:
                    connection.end()
                    raise
        connection = await self._connect(target)
        try:
            return connection, await _ask(connection, target)
        except BaseException:
            connection.end()
            raise

    async def _connect(self, target: Target) -> _Connection:
        failure: OSError | None = None
        tls = self._context() if target.scheme == "https" else None
        for address in await self._gate.addresses(target.host, target.port):
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await _opened(address, target, tls)
            except OSError as error:
                failure = error
        assert failure is not None, "a gate gives at least one address or raises"
        raise failure

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _give_back(self, target: Target, connection: _Connection, reusable: bool) -> None:
        idle = self._idle[target.origin]
        if reusable and connection.usable and len(idle) < self._max_idle:
            idle.append(connection)
        else:
            connection.end()


def parse(url: str) -> Target:
    """Take an http(s) URL apart; RetrievalError InvalidUri where it is none."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise RetrievalError("InvalidUri", f"{display(url)}: {error}") from error
    if scheme not in _DEFAULT_PORT:
        raise RetrievalError("InvalidUri", f"{display(url)} is neither http nor https")
    if parts.username is not None or parts.password is not None:
        raise RetrievalError("InvalidUri", f"{display(url)} holds a user name or password")
    if not host:
        raise RetrievalError("InvalidUri", f"{display(url)} has no host")
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*")
    if parts.query:
        path += "?" + quote(parts.query, safe="/%:=&?~+!$,;'@()*[]")
    return Target(scheme, _ascii(host, url), port or _DEFAULT_PORT[scheme], path)


def _ascii(host: str, url: str) -> str:
    try:
        encoded = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise RetrievalError("InvalidUri", f"{display(url)}: the host is no valid name") from error
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", encoded):
        raise RetrievalError("InvalidUri", f"{display(url)}: the host is no valid name")
    return encoded


async def _opened(address: str, target: Target, tls: ssl.SSLContext | None) -> _Connection:
    """A connection to `address`, which is closed again if it does not come about."""
    stream = ByteStream(MAX_HEAD)
    transport: asyncio.Transport
    if tls is None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: stream, address, target.port)
    else:
        transport = await _secured(address, target, tls, stream)
        stream.connection_made(transport)
    return _Connection(stream, transport)


async def _secured(
    address: str, target: Target, tls: ssl.SSLContext, protocol: asyncio.BufferedProtocol
) -> asyncio.Transport:
    """TLS over a connection that stays ours to close.

    Where asyncio connects by TLS itself, and is given up at the very end of the handshake, it ends
    TLS in an orderly way: the socket stays open until the server consents, for half a minute and
    past the end of the loop. What arrives before the handshake goes to a protocol that drops it.
    """
    loop = asyncio.get_running_loop()
    plain, _ = await loop.create_connection(asyncio.Protocol, address, target.port)
    try:
        secure = await loop.start_tls(plain, protocol, tls, server_hostname=target.host)
        if secure is None:
            raise ConnectionResetError("the connection ended with its handshake")
    except BaseException:
        plain.abort()
        raise
    return secure


async def _ask(connection: _Connection, target: Target) -> Head:
    connection.transport.write(target.request())
    while True:
        try:
            head = _head(await connection.stream.until(b"\r\n\r\n"))
        except asyncio.LimitOverrunError as error:
            raise ValueError(f"headers of more than {MAX_HEAD} bytes") from error
        if head.status >= 200:
            return head


def _head(raw: bytes) -> Head:
    first, *lines = raw[:-4].split(b"\r\n")
    found = _STATUS_LINE.match(first)
    if found is None:
        raise ValueError("the answer is not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        name, value = name.lower(), value.strip()
        if not colon or not name or name != name.strip():
            raise ValueError("a header of the answer is malformed")
        if name == "content-length" and (
            not (value.isascii() and value.isdigit()) or headers.get(name, value) != value
        ):
            raise ValueError("the answer's Content-Length is malformed")
        headers[name] = value
    connection = headers.get("connection", "").lower()
    keeps = "close" not in connection if found[1] == b"1" else "keep-alive" in connection
    return Head(int(found[2]), headers, keeps)


async def _body(stream: ByteStream, head: Head, max_bytes: int) -> Body:
    if head.chunked:
        return await _chunks(stream, max_bytes)
    if head.length is None:
        return await _until_closed(stream, max_bytes)
    if head.length > max_bytes:
        raise _too_large(f"{head.length} bytes, more than {max_bytes}")
    return await stream.exactly(head.length)


async def _chunks(stream: ByteStream, max_bytes: int) -> bytes:
    parts: list[Body] = []
    total = 0
    while size := _chunk_size(await _line(stream)):
        total += size
        if total > max_bytes:
            raise _too_large(f"more than {max_bytes} bytes")
        parts.append(await stream.exactly(size))
        if bytes(await stream.exactly(2)) != b"\r\n":
            raise ValueError("a chunk of the answer is malformed")
    while await _line(stream) != b"\r\n":
        pass  # trailers say nothing that is needed
    return b"".join(parts)


async def _line(stream: ByteStream) -> bytes:
    try:
        return await stream.until(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("a line of the answer is too long") from error


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", digits):
        raise ValueError("a chunk of the answer is malformed")
    return int(digits, 16)


async def _until_closed(stream: ByteStream, max_bytes: int) -> bytes:
    parts = bytearray()
    while part := await stream.some():
        parts += part
        if len(parts) > max_bytes:
            raise _too_large(f"more than {max_bytes} bytes")
    return bytes(parts)


def _plain(body: Body, head: Head, max_bytes: int) -> Body:
    """The body without the compression that some stores apply unasked; never over the limit."""
    encoding = head.headers.get("content-encoding", "identity").lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError(f"the answer's Content-Encoding {encoding} is not known")
    try:
        stream = zlib.decompressobj(47)
        plain = stream.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"the answer's {encoding} is broken: {error}") from error
    if len(plain) > max_bytes:
        raise _too_large(f"more than {max_bytes} bytes when decompressed")
    if not stream.eof:
        raise ValueError(f"the answer's {encoding} ends too early")
    return plain


def _too_large(message: str) -> RetrievalError:
    return RetrievalError("TooLarge", message)


def _redirected(head: Head, url: str) -> str:
    """Where a redirect points; RetrievalError for every other status."""
    if head.status in _REDIRECTS and "location" in head.headers:
        return urljoin(url, head.headers["location"])
    message = f"{display(url)} answered {head.status}"
    if head.status in (404, 410):
        raise RetrievalError("NotFound", message)
    if head.status in (401, 403):
        raise RetrievalError("Forbidden", message)
    wait = retry_after(head.headers.get("retry-after"), datetime.now(UTC))
    transient = head.status in RETRIED_STATUS
    raise RetrievalError("HttpStatus", message, transient=transient, wait_s=wait)


def _explained(error: Exception, url: str) -> RetrievalError:
    """A failure below HTTP as a RetrievalError; only what a repetition may mend is transient."""
    if isinstance(error, ForbiddenAddressError):
        return RetrievalError("ForbiddenAddress", f"{display(url)}: {error}")
    if isinstance(error, socket.gaierror):
        again = error.errno == socket.EAI_AGAIN
        message = f"{display(url)}: {error.strerror or error}"
        return RetrievalError("Connection", message, transient=again)
    if isinstance(error, EOFError):
        message = f"{display(url)}: the connection ended before the answer did"
        return RetrievalError("Connection", message, transient=True)
    reset = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
    return RetrievalError("Connection", f"{display(url)}: {error}", transient=reset)
