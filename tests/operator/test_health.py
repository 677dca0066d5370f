"""What probes and Prometheus are answered."""

from __future__ import annotations

import asyncio

import aiohttp

from lancemill_operator.health import Health
from lancemill_operator.metrics import Metrics


def test_a_problem_is_answered_with_503_and_its_words() -> None:
    async def play() -> None:
        problems = {"dead": "", "unready": "not listed"}
        health = Health(Metrics(), lambda: problems["dead"], lambda: problems["unready"])
        await health.start("127.0.0.1", 0)
        root = f"http://127.0.0.1:{health.port}"

        async def asked(path: str) -> tuple[int, str]:
            async with session.get(root + path) as answer:
                return answer.status, await answer.text()

        async with aiohttp.ClientSession() as session:
            assert await asked("/healthz") == (200, "ok\n")
            assert await asked("/readyz") == (503, "not listed\n")
            problems.update(dead="a watch is silent", unready="")
            assert await asked("/healthz") == (503, "a watch is silent\n")
            assert await asked("/readyz") == (200, "ok\n")
            status, text = await asked("/metrics")
            assert status == 200
            assert "lancemill_operator_reconcile_seconds" in text
            assert (await asked("/secrets"))[0] == 404
        await health.stop()

    asyncio.run(play())
