"""/healthz, /readyz and /metrics.

Alive: both event loops turn, no key has been in one worker's hands for minutes, and the watchdog
has found nothing. Ready: everything was listed once, and workers are at work. An API server that
does not answer makes neither false: restarting us would not bring it back.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from lancemill_operator.metrics import CONTENT_TYPE, Metrics

Problem = Callable[[], str]
"""What is wrong, in words; empty where nothing is."""


class Health:
    """A small HTTP server."""

    def __init__(self, metrics: Metrics, dead: Problem, unready: Problem) -> None:
        self._metrics = metrics
        self._dead = dead
        self._unready = unready
        self._runner: web.AppRunner | None = None
        self.port = 0
        """The port that it listens on, once it does."""

    async def start(self, host: str, port: int) -> None:
        app = web.Application()
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._tell)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _alive(self, _: web.Request) -> web.Response:
        return _answer(self._dead())

    async def _ready(self, _: web.Request) -> web.Response:
        return _answer(self._unready())

    async def _tell(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _answer(problem: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")
