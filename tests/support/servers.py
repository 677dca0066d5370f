"""Servers on loopback that tests talk to: an S3, an HTTP file server, and a front that misbehaves.

    with s3_server() as s3:
        s3.put("cats/1.jpg", data)                      # into its bucket "test"
        open_store(s3.uri("cats/"), s3.storage())       # with s3.env() in the environment

    with faulty_http({"a.jpg": data}, fail_every=3) as server:
        fetch(server.uri("a.jpg"));  server.requests    # what was asked, in order

    with s3_server() as s3, faulty_proxy(s3.endpoint, reset_every=5) as front:
        open_store(s3.uri(), s3.storage(endpoint=front.url))

Faults are counted over the requests as they arrive, never drawn by chance, so that a test can say
how many there will be.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True)
class Faults:
    """What goes wrong, and when. The n-th request is counted from 1, those matching `only`."""

    latency: float = 0.0
    """Seconds before each answer."""
    hold: threading.Event | None = None
    """Until it is set, or the server ends, answers are held back..."""
    served: int = 0
    """...but for those to so many first requests."""
    fail_every: int = 0
    """Every n-th request is answered by `fail_status`; 0: none."""
    fail_status: int = 503
    retry_after: str | None = None
    """The Retry-After header of failures."""
    statuses: Sequence[int] | Mapping[str, Sequence[int]] = ()
    """Statuses of the first requests (200: served as usual), of all or by path (`/a.jpg`)."""
    reset_every: int = 0
    """Every n-th request's connection is reset (RST) when half of the body is out."""
    truncate_every: int = 0
    """Every n-th answer promises its whole length and ends, orderly, after half of it."""
    drip: tuple[int, float] | None = None
    """(bytes, seconds): the body comes in such pieces with such pauses."""
    forgets: Sequence[str] = ()
    """Headers of requests (in small letters) that a proxy does not pass on."""
    only: str = ""
    """Regular expression on `METHOD /path`: faults and counting for requests that match."""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What a well-behaved server would say."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpServer:
    """A running server."""

    url: str
    """`http://127.0.0.1:port`, no slash at the end."""
    requests: list[Asked] = field(default_factory=list)
    most_in_flight: int = 0

    def uri(self, path: str = "") -> str:
        return f"{self.url}/{quote(path)}"


@contextlib.contextmanager
def faulty_http(files: Mapping[str, bytes] | Path, **faults: Any) -> Iterator[HttpServer]:
    """Serve `files` (path → bytes, or a folder) with ranges, ETags and index pages; see Faults.

    A key that ends in `/` is the HTML of that folder's index, in place of the usual one.
    """
    with _serving(_FileSite(files), Faults(**faults)) as server:
        yield server


@contextlib.contextmanager
def faulty_proxy(target: str, **faults: Any) -> Iterator[HttpServer]:
    """A front of the HTTP server at `target`: passes requests on, and misbehaves; see Faults."""
    told = Faults(**faults)
    with _serving(_ProxySite(target, told.forgets), told) as server:
        yield server


@dataclass
class S3Server:
    """A running S3 (moto) with a bucket and credentials."""

    endpoint: str
    bucket: str
    client: Any
    """boto3's client of it."""
    region: str = "us-east-1"
    access_key: str = "AKIATESTTESTTESTTEST"
    secret_key: str = "secret-of-the-test-server"

    def connect(self) -> None:
        """Its client, for a server that was started elsewhere."""
        self.client = _boto_client("s3", self)

    def uri(self, key: str = "") -> str:
        return f"s3://{self.bucket}/{key}"

    def storage(self, **changes: Any) -> dict[str, Any]:
        """A manifest's storage block for it; credentials come from `env()` or a secretRef."""
        return {"endpoint": self.endpoint, "region": self.region, "allowHttp": True, **changes}

    def env(self) -> dict[str, str]:
        """Environment variables with its credentials, as boto's users set them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def list_keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def demand_credentials(self) -> None:
        """From now on refuse every request that is not signed by `access_key`."""
        policy = (
            '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
        )
        with contextlib.closing(_boto_client("iam", self)) as iam:
            iam.create_user(UserName="test")
            iam.put_user_policy(UserName="test", PolicyName="all", PolicyDocument=policy)
            key = iam.create_access_key(UserName="test")["AccessKey"]
        self.access_key, self.secret_key = key["AccessKeyId"], key["SecretAccessKey"]
        self.client.close()
        self.client = _boto_client("s3", self)
        _post(f"{self.endpoint}/moto-api/reset-auth", b"0")


@contextlib.contextmanager
def s3_server(bucket: str = "test") -> Iterator[S3Server]:
    """An S3 on a free port of loopback, empty but for `bucket`.

    moto keeps its state in the process: one such server at a time.
    """
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = S3Server(f"http://{host}:{port}", bucket, client=None)
    s3.client = _boto_client("s3", s3)
    try:
        _post(f"{s3.endpoint}/moto-api/reset-auth", b"Infinity")
        _post(f"{s3.endpoint}/moto-api/reset", b"")
        s3.client.create_bucket(Bucket=bucket)
        yield s3
    finally:
        with contextlib.suppress(Exception):
            _post(f"{s3.endpoint}/moto-api/reset-auth", b"Infinity")
        s3.client.close()
        server.stop()


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The address of a server that refuses every connection.

    Its port is held and not listened on, so that nobody else is given it meanwhile.
    """
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def _boto_client(service: str, s3: S3Server) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=s3.endpoint,
        region_name=s3.region,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def _post(url: str, body: bytes) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("POST", parts.path, body)
        connection.getresponse().read()
    finally:
        connection.close()


class _FileSite:
    """Answers as a static file server does."""

    MODIFIED = formatdate(1_700_000_000, usegmt=True)

    def __init__(self, files: Mapping[str, bytes] | Path) -> None:
        if isinstance(files, Path):
            folder = files
            files = {
                str(path.relative_to(folder)): path.read_bytes()
                for path in folder.rglob("*")
                if path.is_file()
            }
        self.files = dict(files)

    def answer(self, asked: Asked, _: bytes) -> Answer:
        path = unquote(urlsplit(asked.path).path).lstrip("/")
        if path in self.files:
            kind = "text/html" if path.endswith("/") else "application/octet-stream"
            return self._file(self.files[path], asked, kind)
        if (not path or path.endswith("/")) and any(name.startswith(path) for name in self.files):
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, self._index(path))
        return Answer(404, {}, b"not found")

    def _file(self, body: bytes, asked: Asked, kind: str) -> Answer:
        headers = {
            "ETag": f'"{hashlib.md5(body).hexdigest()}"',
            "Last-Modified": self.MODIFIED,
            "Accept-Ranges": "bytes",
            "Content-Type": kind,
        }
        asked_range = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        if asked_range is None:
            return Answer(200, headers, body)
        start = int(asked_range[1])
        stop = min(int(asked_range[2] or len(body) - 1) + 1, len(body))
        if start >= len(body):
            return Answer(416, {"Content-Range": f"bytes */{len(body)}"}, b"")
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        return Answer(206, headers, body[start:stop])

    def _index(self, folder: str) -> bytes:
        """The page that `python -m http.server` makes."""
        below = (name[len(folder) :] for name in self.files if name.startswith(folder))
        names = {name.split("/")[0] + "/" * ("/" in name) for name in below} - {"", "/"}
        rows = (f'<li><a href="{quote(name)}">{escape(name)}</a></li>' for name in sorted(names))
        return f"<!DOCTYPE HTML><html><body><ul>{''.join(rows)}</ul></body></html>".encode()


class _ProxySite:
    """Answers by asking another server."""

    OWN = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})

    def __init__(self, target: str, forgets: Sequence[str] = ()) -> None:
        self.netloc = urlsplit(target).netloc
        self.forgets = {"connection", *forgets}

    def answer(self, asked: Asked, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self.netloc, timeout=60)
        try:
            headers = {k: v for k, v in asked.headers.items() if k not in self.forgets}
            connection.request(asked.method, asked.path, body, headers)
            response = connection.getresponse()
            given = response.read()
            kept = {k: v for k, v in response.getheaders() if k.lower() not in self.OWN}
            if asked.method == "HEAD":
                kept["Content-Length"] = response.getheader("Content-Length", "0")
            return Answer(response.status, kept, given)
        finally:
            connection.close()


@contextlib.contextmanager
def _serving(site: _FileSite | _ProxySite, faults: Faults) -> Iterator[HttpServer]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site, server.faults = site, faults
    server.seen = HttpServer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.seen
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    site: _FileSite | _ProxySite
    faults: Faults
    seen: HttpServer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()
        self.counted = 0
        self.counted_by_path: dict[str, int] = {}
        self.in_flight = 0
        self.over = threading.Event()

    def wait_for(self, event: threading.Event) -> None:
        """Until it is set, or this server ends."""
        while not (event.is_set() or self.over.wait(0.02)):
            pass

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        server = self.server
        asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
        body = self._body()
        with server.lock:
            server.seen.requests.append(asked)
            server.in_flight += 1
            server.seen.most_in_flight = max(server.seen.most_in_flight, server.in_flight)
            counted = self._count(asked)
        try:
            self._respond(asked, body, *counted)
        finally:
            with server.lock:
                server.in_flight -= 1

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Silence: what matters is in `HttpServer.requests`."""

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _count(self, asked: Asked) -> tuple[int, int]:
        """This request's number among all and among its path's; (0, 0) when faults spare it."""
        server = self.server
        if not re.search(server.faults.only, f"{asked.method} {asked.path}"):
            return 0, 0
        server.counted += 1
        by_path = server.counted_by_path
        by_path[asked.path] = by_path.get(asked.path, 0) + 1
        return server.counted, by_path[asked.path]

    def _respond(self, asked: Asked, body: bytes, number: int, number_of_path: int) -> None:
        faults = self.server.faults
        if number and faults.latency:
            self.server.over.wait(faults.latency)
        if number > faults.served and faults.hold is not None:
            self.server.wait_for(faults.hold)
        status = _planned_status(faults, asked, number, number_of_path)
        if status != 200:
            headers = {} if faults.retry_after is None else {"Retry-After": faults.retry_after}
            self._send(Answer(status, headers, b"planned failure"), whole=True)
            return
        broken = _every(faults.reset_every, number), _every(faults.truncate_every, number)
        answer = self.server.site.answer(asked, body)
        self._send(answer, whole=not any(broken), drip=faults.drip if number else None)
        if any(broken):
            self._break(reset=broken[0])

    def _send(self, answer: Answer, whole: bool, drip: tuple[int, float] | None = None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = answer.body if whole else answer.body[: len(answer.body) // 2]
        piece, pause = drip or (max(len(body), 1), 0.0)
        for at in range(0, len(body), piece):
            self.wfile.write(body[at : at + piece])
            if pause and self.server.over.wait(pause):
                return

    def _break(self, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Lingering for 0 seconds makes close() send RST in place of FIN.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR) if not reset else self.connection.close()


def _every(n: int, number: int) -> bool:
    return bool(n and number and number % n == 0)


def _planned_status(faults: Faults, asked: Asked, number: int, number_of_path: int) -> int:
    if number == 0:
        return 200
    planned = faults.statuses
    if isinstance(planned, Mapping):
        planned, number_in_plan = planned.get(asked.path, ()), number_of_path
    else:
        number_in_plan = number
    if number_in_plan <= len(planned):
        return planned[number_in_plan - 1]
    return faults.fail_status if _every(faults.fail_every, number) else 200
