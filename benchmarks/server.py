"""A small HTTP server with latency: pictures from memory, each answer so many milliseconds later.

It must not be what is measured: one process, one thread, an asyncio protocol that parses just what
clients of this benchmark send (GET and HEAD, one request at a time on a connection, keep-alive).
It prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks.corpus import paths

Files = dict[bytes, bytes]


class Answer(asyncio.Protocol):
    """One connection."""

    def __init__(self, files: Files, latency: float) -> None:
        self.files = files
        self.latency = latency
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            method, path, *_ = head.split(b" ", 2)
            asyncio.get_running_loop().call_later(self.latency, self.answer, method, path)

    def answer(self, method: bytes, path: bytes) -> None:
        body = self.files.get(path.lstrip(b"/"))
        status = b"200 OK" if body is not None else b"404 Not Found"
        head = b"HTTP/1.1 %s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % (status, len(body or b"")))
        if method == b"GET" and body:
            self.transport.write(body)


async def serve(files: Files, latency: float) -> None:
    """Until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answer(files, latency), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve the pictures of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--latency", type=float, default=0.030, help="seconds")
    given = parser.parse_args()
    files = {path.name.encode(): path.read_bytes() for path in paths(given.input)}
    asyncio.run(serve(files, given.latency))


if __name__ == "__main__":
    main()
