"""One operator as a process of its own, that is killed by SIGKILL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kube.crash.door import Door
from kube.crash.instance import QUICK
from kube.crash.stage import Stage
from kube.operator_process import OperatorProcess

_NUMBERS = itertools.count()


@dataclass
class Process:
    """It has no clock but the real one: for lives that never jump."""

    door: Door
    process: OperatorProcess

    def kill(self) -> None:
        self.door.shut()
        self.process.kill()

    async def ended(self) -> str:
        while self.process.running:
            await asyncio.sleep(0.05)
        return "ended"

    async def bury(self) -> None:
        if self.process.running:
            self.kill()
        await self.door.close()

    def look_at_what_is_due(self) -> None:
        raise NotImplementedError("a process has no clock but the real one")

    async def resync(self) -> None:
        """It does that when it likes to."""


async def in_its_own_process(stage: Stage, door: Door, settings: Mapping[str, Any]) -> Process:
    """An operator of the stage, started."""
    plane = stage.theatre.plane
    process = OperatorProcess(
        plane.kubeconfig(server=door.proxy.url),
        plane.folder / "logs" / f"operator-{next(_NUMBERS)}.log",
        (stage.namespace,),
        {**QUICK, **settings, "log_level": "debug"},
    )
    process.start(wait=False)
    return Process(door, process)
