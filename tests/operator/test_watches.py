"""Hearing of watches: by address, down to the bytes of a bookmark."""

from __future__ import annotations

import asyncio

import aiohttp

from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB
from lancemill_operator.watches import Ages, response_class


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_address_tells_which_watch_it_is() -> None:
    clock = Clock()
    ages = Ages((PIPELINE, DATASET, RAY_JOB, JOB), clock)
    clock.now = 10
    ages.heard("/apis/lancemill.dev/v1alpha1/multimodalpipelines")
    ages.heard("/apis/ray.io/v1/namespaces/a/rayjobs")
    ages.heard("/apis/batch/v1/cronjobs")
    ages.heard("/api/v1/pods")
    assert ages.ages() == {
        "MultimodalPipeline": 0,
        "LanceDataset": 10,
        "RayJob": 0,
        "Job": 10,
    }
    clock.now = 30
    ages.heard("/apis/batch/v1/jobs")
    assert ages.oldest() == ("LanceDataset", 30)


def test_each_piece_of_a_watch_is_heard() -> None:
    async def play() -> None:
        clock, more = Clock(), asyncio.Event()
        ages = Ages((JOB,), clock)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await writer.drain()
            await more.wait()
            writer.write(b"4\r\n{}\r\n\r\n0\r\n\r\n")
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        address = f"http://127.0.0.1:{port}/apis/batch/v1/jobs?watch=true"
        async with aiohttp.ClientSession(response_class=response_class(ages)) as session:
            clock.now = 5
            async with session.get(address) as answer:
                assert ages.ages()["Job"] == 0, "the beginning of an answer was not heard"
                clock.now = 60
                assert ages.ages()["Job"] == 55
                more.set()
                pieces = [piece async for piece in answer.content.iter_chunked(2**20)]
                assert pieces == [b"{}\r\n"]
                assert ages.ages()["Job"] == 0, "a piece of the answer was not heard"
        server.close()
        await server.wait_closed()

    asyncio.run(play())
