"""Asking heads how far they are: often enough, not too often, and at nobody's cost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from lancemill_operator import progress
from lancemill_operator.progress import HeadUnreachable, Poller

Answer = Callable[[], Awaitable[bytes]]


def said(rows: int, run: str = "r", attempt: int = 1, **more: Any) -> bytes:
    return json.dumps(
        {"run": run, "attempt": attempt, "progress": {"rowsDone": rows}, "outcome": None, **more}
    ).encode()


class PlayedHeads:
    """Heads that answer what a test says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self.closed = False

    async def ask(self, namespace: str, cluster: str) -> bytes:
        self.asked += 1
        return await self.answer()

    async def close(self) -> None:
        self.closed = True


class Table:
    """A poller with a clock of its own, and what it called."""

    def __init__(self, answer: Answer) -> None:
        self.heads = PlayedHeads(answer)
        self.now = 0.0
        self.counted: list[str] = []
        self.changed = 0
        self.poller = Poller(self.heads, 5.0, lambda: self.now, self.counted.append)

    async def latest(self, attempt: int = 1) -> Any:
        return await self.poller.latest("n", "c", "r", attempt, self.on_change)

    def on_change(self) -> None:
        self.changed += 1


def always(answer: bytes) -> Answer:
    async def give() -> bytes:
        return answer

    return give


def test_a_head_is_asked_at_most_once_in_an_interval() -> None:
    async def play() -> None:
        table = Table(always(said(10)))
        for _ in range(5):
            assert (await table.latest()).progress.rows_done == 10
        assert table.heads.asked == 1
        table.now = 5
        await table.latest()
        assert table.heads.asked == 2
        await table.poller.close()
        assert table.heads.closed

    asyncio.run(play())


def test_a_head_that_does_not_answer_leaves_what_was_known() -> None:
    async def play() -> None:
        answers = [said(10)]

        async def give() -> bytes:
            if not answers:
                raise HeadUnreachable("refused")
            return answers.pop()

        table = Table(give)
        await table.latest()
        table.now = 5
        assert (await table.latest()).progress.rows_done == 10
        assert table.counted == ["answered", "unreachable"]
        await table.poller.close()

    asyncio.run(play())


def test_a_head_that_speaks_of_another_attempt_says_nothing_of_this_one() -> None:
    async def play() -> None:
        table = Table(always(said(10, attempt=2)))
        assert await table.latest(attempt=1) is None
        assert table.counted == ["senseless"]
        await table.poller.close()

    asyncio.run(play())


def test_after_its_last_word_a_head_is_asked_no_more() -> None:
    async def play() -> None:
        table = Table(always(said(10, outcome={"verdict": "Committed", "rows": 10})))
        assert (await table.latest()).outcome.rows == 10
        table.now = 50
        assert (await table.latest()).outcome.rows == 10
        assert table.heads.asked == 1
        await table.poller.close()

    asyncio.run(play())


def test_a_slow_head_holds_up_nobody_and_is_heard_when_it_speaks() -> None:
    async def play() -> None:
        speak = asyncio.Event()

        async def give() -> bytes:
            await speak.wait()
            return said(10)

        table = Table(give)
        began = time.monotonic()
        assert await table.latest() is None
        assert time.monotonic() - began < 30, "the reconcile waited for the head"
        assert table.changed == 0
        speak.set()
        async with asyncio.timeout(30):
            while not table.changed:
                await asyncio.sleep(0.01)
        assert (await table.latest()).progress.rows_done == 10
        await table.poller.close()

    asyncio.run(play())


def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    async def play() -> None:
        table = Table(always(said(10)))
        await table.latest()
        table.now = 601
        table.poller.forget_unwanted(600)
        await table.latest()
        assert table.heads.asked == 2
        await table.poller.close()

    asyncio.run(play())


def test_closing_ends_what_is_under_way() -> None:
    async def play() -> None:
        async def never() -> bytes:
            await asyncio.Event().wait()
            return b""

        table = Table(never)
        await table.latest()
        await table.poller.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())


async def _serve(answer: bytes, status: str = "200 OK") -> tuple[asyncio.Server, int]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


class HereHeads(progress.ByService):
    """By service, with a cluster whose names all mean this machine."""

    def address(self, namespace: str, cluster: str) -> str:
        return f"http://127.0.0.1:{self._port}/progress"


def test_a_head_is_reached_by_its_service_and_may_not_say_too_much() -> None:
    async def play() -> None:
        server, port = await _serve(said(10) + b" " * progress.LARGEST_ANSWER)
        heads = HereHeads(port, 10)
        answer = await heads.ask("n", "c")
        assert len(answer) == progress.LARGEST_ANSWER
        await heads.close()
        server.close()
        await server.wait_closed()

    asyncio.run(play())


def test_anything_but_success_is_no_answer() -> None:
    async def play() -> None:
        server, port = await _serve(b"", "302 Found")
        heads = HereHeads(port, 10)
        for _ in range(2):
            try:
                await heads.ask("n", "c")
            except HeadUnreachable:
                pass
            else:
                raise AssertionError("took it for an answer")
            server.close()
        await heads.close()
        await server.wait_closed()

    asyncio.run(play())


def test_the_service_of_a_head_has_kuberays_name() -> None:
    async def play() -> None:
        heads = progress.ByService(8787, 1)
        assert heads.address("ns", "cats-x") == ("http://cats-x-head-svc.ns.svc:8787/progress")
        await heads.close()

    asyncio.run(play())
