"""All of it together: nodes, recorder, operator, scenarios, and what they differ in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from kube.client import Client
from kube.conformance import recordings
from kube.conformance.difference import difference
from kube.conformance.operators import VARIABLE, Operators, Reals, StandIns
from kube.conformance.recorder import Recorder
from kube.conformance.runner import Stage
from kube.conformance.scenario import Scenarios
from kube.fake_dashboard import Request
from kube.fake_nodes import FakeNodes, Timing, played_nodes
from kube.resolver import resolver

_TESTER = "test"


@dataclass(frozen=True)
class Report:
    """By recording: in what it differs, line by line."""

    operator: str
    differences: dict[str, list[str]]

    @property
    def lines(self) -> list[str]:
        found = [f"against the recordings of the real KubeRay was held: {self.operator}"]
        for name, lines in self.differences.items():
            found += [f"{name}: {'as recorded' if not lines else f'{len(lines)} differences'}"]
            found += [f"  {line}" for line in lines]
        return found


async def compare(kubeconfig: str, folder: Path, wanted: Scenarios) -> Report:
    """`folder` holds the recordings."""
    heard: list[Recorder] = []

    def asked(request: Request) -> None:
        for recorder in heard:
            recorder.dashboard_asked(request)

    async with (
        await Client.of(kubeconfig, _TESTER) as client,
        played_nodes(kubeconfig, timing=Timing.patient(), heard=asked, patient=True) as nodes,
        _operators(kubeconfig, nodes) as operators,
        _recording(client) as recorder,
    ):
        heard.append(recorder)
        stage = Stage(client, nodes, recorder, operators, folder, wanted.status_check_timeout)
        played = await stage.play(wanted.all)
    differences = {}
    for scenario in wanted.all:
        end = played[scenario.recording]
        if isinstance(end, Exception):
            differences[scenario.recording] = [f"{type(end).__name__}: {end}"]
            continue
        told = recordings.recorded(folder / scenario.recording)
        differences[scenario.recording] = difference(told, end, scenario.allow)
    return Report(operators.name, differences)


@contextlib.asynccontextmanager
async def _recording(client: Client) -> AsyncIterator[Recorder]:
    recorder = Recorder(client)
    work = asyncio.create_task(recorder.run())
    try:
        await recorder.until_ready()
        yield recorder
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@contextlib.asynccontextmanager
async def _operators(kubeconfig: str, nodes: FakeNodes) -> AsyncIterator[Operators]:
    program = os.environ.get(VARIABLE)
    if not program:
        yield StandIns(kubeconfig)
        return
    with tempfile.TemporaryDirectory() as folder:
        async with resolver(nodes.head_address) as address:
            yield Reals(Path(program), kubeconfig, address, Path(folder))
