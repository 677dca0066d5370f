"""Objects that an ordinary web server shows on its index pages (Apache, nginx, Python, Caddy).

obstore lists over HTTP by WebDAV only. Index pages are read as a person would: links that lead to
direct children of the page's folder, folders followed in turn, nothing outside of the prefix, no
other host. Sizes on such pages are rounded or missing, so each wanted object is asked by HEAD.
"""

from __future__ import annotations

import email.utils
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote, unquote, urljoin, urlsplit

from lancemill.errors import StorageError
from lancemill.sources.listing import Found
from lancemill.storage import display, explain

TIMEOUT_S = 30.0
ATTEMPTS = 5
IN_FLIGHT = 16
MAX_PAGE_BYTES = 64 << 20
MAX_DEPTH = 64
MAX_REDIRECTS = 5
_WORTH_ANOTHER_TRY = (429, 500, 502, 503, 504)

Wanted = Callable[[list[str]], list[bool]]
"""Which of these keys the globs keep: only those are asked for size and etag."""


def list_index(uri: str, wanted: Wanted | None = None, pause_s: float = 0.2) -> Iterator[Found]:
    """The objects below the index page at `uri`, in the order of their keys; the object itself if
    `uri` names one. `pause_s`: the first pause before another attempt, doubled each time."""
    site = _Site(uri, pause_s)
    root = uri if uri.endswith("/") else uri + "/"
    pool = ThreadPoolExecutor(IN_FLIGHT)
    try:
        page = site.get(root)
        if page.status == 404 and not uri.endswith("/"):
            yield site.single(uri)
        else:
            yield from _Walk(site, root, wanted, pool).folder(root, page, depth=0)
    finally:
        # Nobody waits for answers that nobody wants: those under way end with their connections.
        site.close()
        pool.shutdown(wait=False, cancel_futures=True)


def child_uri(prefix: str, key: str) -> str:
    """The URL of `key` below `prefix`."""
    return prefix.rstrip("/") + "/" + quote(key, safe="/!$&'()*+,;=:@~-._")


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class _Walk:
    site: _Site
    root: str
    wanted: Wanted | None
    pool: ThreadPoolExecutor

    def folder(self, url: str, page: _Response, depth: int) -> Iterator[Found]:
        if page.status != 200:
            raise _refused(url, page.status)
        if depth > MAX_DEPTH:
            raise StorageError(f"{display(url)}: more than {MAX_DEPTH} folders deep")
        links = _children(url, page)
        prefix = unquote(url[len(self.root) :], errors="replace")
        facts = self._facts(prefix, {n: u for n, u in links.items() if not n.endswith("/")})
        for name in sorted(links):
            if name.endswith("/"):
                yield from self.folder(links[name], self.site.get(links[name]), depth + 1)
            else:
                yield facts[name]

    def _facts(self, prefix: str, files: dict[str, str]) -> dict[str, Found]:
        keys = [prefix + name for name in files]
        asked = self.wanted(keys) if self.wanted else [True] * len(keys)

        def fact(key: str, url: str, ask: bool) -> Found:
            return self.site.head(key, url) if ask else Found(key, uri=url)

        return dict(zip(files, self.pool.map(fact, keys, files.values(), asked), strict=True))


class _Site:
    """One web server, asked over kept connections, one a thread."""

    def __init__(self, uri: str, pause_s: float) -> None:
        parts = urlsplit(uri)
        self._origin = (parts.scheme, parts.netloc)
        self._pause_s = pause_s
        self._own = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        self._closed = threading.Event()

    def get(self, url: str) -> _Response:
        return self._asked("GET", url)

    def head(self, key: str, url: str) -> Found:
        """What HEAD tells; without size where the server does not answer it for this object."""
        said = self._asked("HEAD", url)
        if said.status in _WORTH_ANOTHER_TRY:
            raise _refused(url, said.status)
        if said.status != 200:
            return Found(key, uri=url)
        length = said.headers.get("content-length", "")
        etag = said.headers.get("etag", "").removeprefix("W/").strip('"')
        return Found(
            key,
            size=int(length) if length.isdigit() else None,
            modified=_microseconds(said.headers.get("last-modified")),
            etag=etag or None,
            uri=url,
        )

    def single(self, url: str) -> Found:
        """The object that `url` itself names."""
        said = self._asked("HEAD", url)
        if said.status != 200:
            raise _refused(url, said.status)
        return self.head(unquote(urlsplit(url).path.rpartition("/")[2]), url)

    def close(self) -> None:
        """End every request, those of other threads too."""
        self._closed.set()
        for connection in self._opened:
            with suppress(OSError):
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _asked(self, method: str, url: str) -> _Response:
        here = url
        for _ in range(MAX_REDIRECTS):
            said = self._persistently(method, here)
            if said.status not in (301, 302, 303, 307, 308):
                return said
            here = urljoin(here, said.headers.get("location", ""))
            if urlsplit(here)[:2] != self._origin:
                raise StorageError(
                    f"{display(url)}: redirects to {display(here)}",
                    remedy="give that address as the uri, if it is meant",
                )
        raise StorageError(f"{display(url)}: redirects in circles")

    def _persistently(self, method: str, url: str) -> _Response:
        for attempt in range(ATTEMPTS):
            try:
                said = self._once(method, url)
                if said.status not in _WORTH_ANOTHER_TRY or attempt == ATTEMPTS - 1:
                    return said
            except (OSError, http.client.HTTPException) as error:
                self._forget()
                if attempt == ATTEMPTS - 1 or isinstance(error, ssl.SSLCertVerificationError):
                    raise explain(_as_os_error(error), url) from error
            if self._closed.wait(self._pause_s * 2**attempt):
                raise StorageError(f"{display(url)}: given up")
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, url: str) -> _Response:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if self._closed.is_set():
            raise ConnectionAbortedError("given up")
        connection = self._connection()
        connection.request(method, path, headers={"User-Agent": "lancemill", "Accept": "*/*"})
        answer = connection.getresponse()
        body = answer.read(MAX_PAGE_BYTES + 1)
        # Reading up to a limit does not notice by itself that the connection ended early.
        if method != "HEAD" and answer.length and len(body) <= MAX_PAGE_BYTES:
            raise http.client.IncompleteRead(body, answer.length)
        if len(body) > MAX_PAGE_BYTES:
            self._forget()
            raise StorageError(f"{display(url)}: an index page of more than {MAX_PAGE_BYTES} bytes")
        if self._closed.is_set():  # too late for `close` to end this connection
            self._forget()
        return _Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, body)

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if kept is None:
            scheme, netloc = self._origin
            secure = scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            kept = kind(netloc.rpartition("@")[2], timeout=TIMEOUT_S)
            self._own.connection = kept
            self._opened.append(kept)
        return kept

    def _forget(self) -> None:
        kept = getattr(self._own, "connection", None)
        if kept is not None:
            kept.close()
            self._own.connection = None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.hrefs += [value for name, value in attrs if name == "href" and value]


def _children(url: str, page: _Response) -> dict[str, str]:
    """Names of direct children (folders end in a slash) and their URLs."""
    if "html" not in page.headers.get("content-type", "html"):
        raise StorageError(
            f"{display(url)}: no index page but {page.headers['content-type']}",
            remedy="give a folder whose index the server shows, or the object without a slash",
        )
    links = _Links()
    links.feed(page.body.decode("utf-8", errors="replace"))
    found = {}
    for href in links.hrefs:
        # A query sorts the page anew (`?C=M;O=A`): never a child.
        target = urljoin(url, href.strip()).partition("#")[0]
        name = target[len(url) :] if target.startswith(url) and "?" not in target else ""
        if name.strip("/") and "/" not in name.rstrip("/"):
            found[unquote(name, errors="replace")] = target
    return found


def _microseconds(date: str | None) -> int | None:
    try:
        moment = email.utils.parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return int(moment.timestamp() * 1_000_000)


def _as_os_error(error: Exception) -> Exception:
    if isinstance(error, http.client.HTTPException):
        return ConnectionError(f"connection closed: {type(error).__name__}")
    return error


def _refused(url: str, status: int) -> StorageError:
    return explain(f"status code: {status}", url)
