"""One operator in this process, from its start to its death."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

import structlog

from kube.crash.clock import Diary
from kube.crash.door import Door
from kube.crash.stage import Stage
from lancemill_operator.api import ApiError, configure
from lancemill_operator.logs import Log
from lancemill_operator.main import Operator
from lancemill_operator.settings import Settings

NEVER = 10_000_000.0
QUICK: dict[str, Any] = {
    "http_host": "127.0.0.1",
    "http_port": 0,
    "workers": 4,
    "backoff_shortest": 0.1,
    "backoff_longest": 2.0,
    "progress_interval": 60.0,
    "progress_via": "proxy",
    "request_timeout": 60.0,
    "resync_interval": NEVER,
    "watch_limit": NEVER,
    "reconcile_limit": NEVER,
    "stop_timeout": 0.01,
}
"""What was missed is not found by a resync in passing: the stage makes each, and counts them."""


def quiet(lines: list[dict[str, Any]]) -> Log:
    """A logger that keeps its lines to itself."""

    def keep(_: Any, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        lines.append({"level": level, **event})
        raise structlog.DropEvent

    log: Log = structlog.wrap_logger(
        None, processors=[keep], wrapper_class=structlog.make_filtering_bound_logger(10)
    )
    return log


@dataclass
class Instance:
    """It lives until it is killed, stopped, or ends itself."""

    door: Door
    operator: Operator
    diary: Diary
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[str] | None = None

    def kill(self) -> None:
        """As SIGKILL, for all that can be seen from outside."""
        self.door.shut()
        self.killed.set()

    def look_at_what_is_due(self) -> None:
        for key in self.diary.due(datetime.now(UTC)):
            self.operator.queue.add(key)

    async def ended(self) -> str:
        """Why; once it has been killed or has ended by itself."""
        assert self.task is not None
        killed = asyncio.create_task(self.killed.wait())
        try:
            await asyncio.wait({self.task, killed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            killed.cancel()
        return "killed" if self.killed.is_set() else self.task.result() or "stopped"

    async def resync(self) -> None:
        if not self.operator.listed:
            return
        try:
            await self.operator.resync.once()
        except ApiError:
            return  # it is asked again
        except Exception:
            if not self.killed.is_set():  # its client was closed under it
                raise

    async def bury(self) -> None:
        """Take down what is left of it. It cannot reach anybody any more."""
        self.door.shut()
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self.task
        await self.door.close()


async def in_this_process(stage: Stage, door: Door, settings: Mapping[str, Any]) -> Instance:
    """An operator of the stage, started."""
    diary = Diary(stage.clock)
    plane = stage.theatre.plane
    kubeconfig = str(plane.kubeconfig(server=door.proxy.url, namespace=stage.namespace))
    operator = Operator(
        Settings(**{**QUICK, **settings}, kubeconfig=kubeconfig, namespaces=(stage.namespace,)),
        await configure(kubeconfig),
        decide_pipeline=diary.pipelines,
        decide_dataset=diary.datasets,
        log=quiet(stage.log),
    )
    instance = Instance(door, operator, diary)
    instance.task = asyncio.create_task(operator.run(instance.stop))
    return instance
