"""A way to the API server for one operator alone, that can be shut for good.

An operator that dies in its own process takes its connections with it. One that dies in ours is
shut out instead: from that moment on nothing it has sent or will send reaches the API server.
"""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp
from aiohttp import web

from kube.calls import Call
from kube.control_plane import ControlPlane
from kube.fault_proxy import FaultProxy, Relay, Rule


@dataclass
class Door:
    """An open door. It and whoever uses it live in the same event loop."""

    proxy: FaultProxy
    _runner: web.AppRunner

    @classmethod
    async def open(
        cls,
        plane: ControlPlane,
        session: aiohttp.ClientSession,
        calls: list[Call],
        rules: list[Rule],
    ) -> Door:
        """Its calls are noted in `calls` and meet the faults of `rules`.

        Without TLS: its user is an operator of ours, which sends its token nevertheless.
        """
        proxy = FaultProxy("", calls, rules)
        proxy.thaw()
        runner = Relay(plane, proxy, session).runner()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return cls(proxy, runner)

    def shut(self) -> None:
        """Nothing gets through any more, in either direction."""
        self.proxy.shut()

    async def close(self) -> None:
        self.shut()
        await self._runner.cleanup()
