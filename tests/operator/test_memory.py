"""Things remembered."""

from __future__ import annotations

import asyncio

import pytest

from lancemill_operator.memory import Memory


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_remembered_as_long_as_it_is_good() -> None:
    clock = Clock()
    memory: Memory[str, int] = Memory(4, 10, clock)
    memory.keep("a", 1)
    clock.now = 9.9
    assert memory.get("a") == 1
    clock.now = 10
    assert memory.get("a") is None


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    memory: Memory[str, int] = Memory(2)
    memory.keep("a", 1)
    memory.keep("b", 2)
    assert memory.get("a") == 1
    memory.keep("c", 3)
    assert [memory.get(key) for key in "abc"] == [1, None, 3]


def test_many_who_want_a_value_at_once_have_it_read_once() -> None:
    async def play() -> None:
        memory: Memory[str, int] = Memory(4)
        reads = []

        async def read() -> int:
            reads.append(1)
            await asyncio.sleep(0)
            return 7

        found = await asyncio.gather(*(memory.once("a", read) for _ in range(5)))
        assert found == [7] * 5
        assert await memory.once("a", read) == 7
        assert len(reads) == 1

    asyncio.run(play())


def test_a_failure_is_told_to_all_who_wait_and_not_remembered() -> None:
    async def play() -> None:
        memory: Memory[str, int] = Memory(4)

        async def fail() -> int:
            raise OSError("gone")

        async def read() -> int:
            return 7

        failures = await asyncio.gather(
            *(memory.once("a", fail) for _ in range(2)), return_exceptions=True
        )
        assert [type(one) for one in failures] == [OSError, OSError]
        assert await memory.once("a", read) == 7

    asyncio.run(play())


def test_one_who_waits_no_longer_leaves_the_others_their_value() -> None:
    async def play() -> None:
        memory: Memory[str, int] = Memory(4)
        go = asyncio.Event()

        async def read() -> int:
            await go.wait()
            return 7

        first, second = (asyncio.create_task(memory.once("a", read)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        assert await second == 7

    asyncio.run(play())
