"""What arrives on a connection, in whatever pieces, is read as it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancemill.ops.byte_stream import FIRST_HELD, ByteStream

LIMIT = 4 * FIRST_HELD


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Sent:
    """A stream, and the socket's side of it."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.stream = ByteStream(LIMIT)
        self.stream.connection_made(self.transport)
        self.waiting = b""

    def arrive(self, data: bytes) -> None:
        """As much as the stream takes; the rest waits, as it would in the socket."""
        self.waiting += data
        while self.waiting and not self.transport.paused:
            room = self.stream.get_buffer(-1)
            taken = min(len(room), len(self.waiting))
            assert taken > 0
            room[:taken] = self.waiting[:taken]
            self.waiting = self.waiting[taken:]
            self.stream.buffer_updated(taken)

    async def feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.arrive(piece)
            await asyncio.sleep(0)
        while self.waiting:
            self.arrive(b"")
            await asyncio.sleep(0)
        self.stream.eof_received()


MESSAGES = st.lists(st.integers(0, 3 * FIRST_HELD), min_size=1, max_size=6)


@given(sizes=MESSAGES, cuts=st.lists(st.integers(1, 2 * FIRST_HELD), max_size=12))
def test_heads_and_bodies_are_read_whole_however_they_arrive(
    sizes: list[int], cuts: list[int]
) -> None:
    bodies = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    whole = b"".join(b"size %d\r\n\r\n" % len(body) + body for body in bodies)
    ends = [sum(cuts[:count]) for count in range(len(cuts) + 1)]
    pieces = [whole[a:b] for a, b in zip(ends, [*ends[1:], len(whole)], strict=True)]

    async def read() -> tuple[list[bytes], bytes]:
        sent = Sent()
        feeding = asyncio.ensure_future(sent.feed(pieces))
        found = []
        for _ in sizes:
            head = await sent.stream.until(b"\r\n\r\n")
            found.append(bytes(await sent.stream.exactly(int(head.split()[1]))))
        last = await sent.stream.some()
        await feeding
        return found, last

    assert asyncio.run(read()) == (bodies, b"")


def played(play: Any) -> Any:
    async def run() -> Any:
        return await play(Sent())

    return asyncio.run(run())


def test_what_nobody_asks_for_is_left_in_the_socket_beyond_the_limit() -> None:
    async def play(sent: Sent) -> None:
        sent.arrive(b"x" * (2 * LIMIT))
        assert sent.transport.paused
        held = LIMIT * 2 - len(sent.waiting)
        assert LIMIT <= held <= LIMIT + FIRST_HELD

        reading = asyncio.ensure_future(sent.stream.exactly(2 * LIMIT))
        await asyncio.sleep(0)
        assert not sent.transport.paused
        sent.arrive(b"")
        assert await reading == b"x" * (2 * LIMIT)

    played(play)


def test_a_body_that_ends_too_early_is_an_error() -> None:
    async def play(sent: Sent) -> None:
        sent.arrive(b"abc")
        reading = asyncio.ensure_future(sent.stream.exactly(5))
        await asyncio.sleep(0)
        sent.stream.eof_received()
        with pytest.raises(asyncio.IncompleteReadError):
            await reading

    played(play)


def test_a_head_without_an_end_is_an_error_at_the_limit() -> None:
    async def play(sent: Sent) -> None:
        sent.arrive(b"x" * LIMIT)
        with pytest.raises(asyncio.LimitOverrunError):
            await sent.stream.until(b"\r\n\r\n")

    played(play)


def test_a_connection_that_breaks_gives_its_error_to_the_reader() -> None:
    async def play(sent: Sent) -> None:
        reading = asyncio.ensure_future(sent.stream.exactly(5))
        await asyncio.sleep(0)
        sent.stream.connection_lost(ConnectionResetError("reset by peer"))
        with pytest.raises(ConnectionResetError):
            await reading

    played(play)


def test_what_a_broken_connection_has_brought_is_not_taken_for_all_there_is() -> None:
    async def play(sent: Sent) -> None:
        sent.arrive(b"abc")
        sent.stream.connection_lost(ConnectionResetError("reset by peer"))
        assert await sent.stream.some() == b"abc"
        with pytest.raises(ConnectionResetError):
            await sent.stream.some()

    played(play)
