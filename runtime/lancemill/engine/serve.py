"""The driver's HTTP: `GET /progress` for the operator, `/metrics` for Prometheus, `/healthz`.

It may be reached by strangers, and it must never hold up or end the run: a few requests at a time,
each in a thread and for some seconds at most, reads only. A port that is taken costs the telling
and not the run.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lancemill.engine.exposition import CONTENT_TYPE
from lancemill.engine.signals import handled_by
from lancemill.engine.telling import Telling

AT_ONCE = 32
"""Requests that are answered at the same time; more are turned away."""
PATIENCE_S = 5.0
"""Seconds that a client may take."""
LINGER_S = 15.0
"""How long a driver that has ended stays for its outcome to be read."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the driver listens; an empty host means every address of the machine."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str, host: str = "127.0.0.1") -> Door:
        """`8787`, `0.0.0.0:8787` or `[::1]:8787`. Raises ValueError."""
        before, colon, port = text.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"is {text!r}, expected a port such as 8787, or HOST:PORT")
        return cls(before.strip("[]") if colon else host, int(port))


class Server:
    """Answers until it is closed. `open` gives None where it cannot listen, and says why."""

    def __init__(self, listening: socket.socket, telling: Telling) -> None:
        self._http = _Http(listening, telling)
        self.port: int = listening.getsockname()[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.1,), name="lancemill-http", daemon=True
        )
        self._thread.start()

    @classmethod
    def open(cls, door: Door, telling: Telling, say: Callable[[str], None]) -> Server | None:
        try:
            return cls(_listen(door), telling)
        except OSError as error:
            where = f"{door.host}:{door.port}" if door.host else f"port {door.port}"
            say(f"progress is not served on {where}: {error.strerror or error}; the run goes on")
            return None

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@contextmanager
def serving(door: Door | None, telling: Telling, say: Callable[[str], None]) -> Iterator[bool]:
    """Tell while inside, if there is a door to tell at; gives whether anybody is told."""
    server = Server.open(door, telling, say) if door is not None else None
    try:
        yield server is not None
    finally:
        if server is not None:
            server.close()


def linger(telling: Telling, seconds: float = LINGER_S) -> None:
    """Stay until the outcome was read; not where there is none, and no longer than until a signal.

    The process's status is the run's by then, and no signal may make it another one.
    """
    if telling.outcome is None or not (telling.attempt or telling.asked):
        return
    with handled_by(lambda *_: telling.heard.set()):
        telling.heard.wait(seconds)


def _listen(door: Door) -> socket.socket:
    if door.host:
        family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
        return socket.create_server((door.host, door.port), family=family)
    if socket.has_dualstack_ipv6():
        with suppress(OSError):  # a kernel that knows IPv6, in a container that has none
            return socket.create_server(
                ("", door.port), family=socket.AF_INET6, dualstack_ipv6=True
            )
    return socket.create_server(("", door.port))


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, telling: Telling) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.telling = telling
        self._room = threading.BoundedSemaphore(AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    timeout = PATIENCE_S
    server_version = "lancemill"
    sys_version = ""

    def do_GET(self) -> None:
        telling = self.server.telling
        path = self.path.partition("?")[0]
        if path == "/progress":
            answer, last = telling.progress()
            self._answer(200, answer, "application/json")
            if last:
                telling.heard.set()
        elif path == "/metrics":
            self._answer(200, telling.metrics(), CONTENT_TYPE)
        elif path == "/healthz":
            self._answer(200, b"ok\n", "text/plain")
        else:
            self._answer(404, b"there are /progress, /metrics and /healthz\n", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Standard error is the run's."""
