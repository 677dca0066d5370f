"""Nodes, pods and KubeRay, played in a thread of their own while a test does what users do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from kube import loops
from kube.control_plane import ControlPlane
from kube.fake_dashboard import Request
from kube.fake_nodes import CPU_NODE, Ending, FakeNodes, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.rayjob import Settings

Object = dict[str, Any]
SECONDS = 120.0
"""How long it may take to begin and to end on a busy machine."""


@contextmanager
def played(
    plane: ControlPlane,
    job_ending: Callable[[Object], Ending],
    *,
    nodes: Sequence[dict[str, str]] = (CPU_NODE,),
    heard: Callable[[Request], None] | None = None,
) -> Iterator[FakeNodes]:
    """`job_ending` says how the probes' pods end, `heard` is told what dashboards are asked."""
    play = _Play(plane, job_ending, nodes, heard)
    thread = threading.Thread(target=lambda: loops.run(play.go()), name="played")
    thread.start()
    try:
        assert play.ready.wait(SECONDS)
        assert play.nodes is not None, "the play could not begin"
        yield play.nodes
    finally:
        play.end()
        thread.join(SECONDS)


class _Play:
    def __init__(
        self,
        plane: ControlPlane,
        job_ending: Callable[[Object], Ending],
        nodes: Sequence[dict[str, str]],
        heard: Callable[[Request], None] | None,
    ) -> None:
        self.ready = threading.Event()
        self.nodes: FakeNodes | None = None
        self._kubeconfig = str(plane.kubeconfig())
        self._job_ending = job_ending
        self._capacities = nodes
        self._heard = heard
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    async def go(self) -> None:
        self._loop = asyncio.get_running_loop()
        settings = Settings(poll=0.2, status_check_timeout=300, after_ttl=0)
        try:
            async with AsyncExitStack() as stack:
                self.nodes = await stack.enter_async_context(
                    played_nodes(
                        self._kubeconfig,
                        nodes=self._capacities,
                        timing=Timing.fast(),
                        job_ending=self._job_ending,
                        heard=self._heard,
                    )
                )
                play = running(self._kubeconfig, Options(settings, (), events=True))
                await stack.enter_async_context(play)
                self.ready.set()
                await self._over.wait()
        finally:
            self.ready.set()

    def end(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._over.set)


def committed(pod: Object, verdict: str = "Committed") -> Ending:
    """A probe's pod that finds its run committed, or its dataset well."""
    command = pod["spec"]["containers"][0]["command"]
    answer: Object = {"ok": True, "exists": True, "version": 3, "rows": 10}
    if "--run-id" in command:
        run = command[command.index("--run-id") + 1]
        answer = {"run": run, "verdict": verdict, "rows": 10, "datasetVersion": 3}
    return Ending(message=json.dumps(answer))
