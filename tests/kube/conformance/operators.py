"""Who is held to the recordings: the stand-in, or the real operator where one is given.

Either is started for some namespaces, stopped as abruptly as a process that is killed, and started
again. The real one finds heads by name, so it runs with a resolver that knows the played ones
(`kube.resolver`), which takes root.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kube.kuberay.controller import Options, running
from kube.kuberay.steps import Settings
from kube.ports import free_port

VARIABLE = "KUBERAY_OPERATOR"
START_SECONDS = 120


def name_of(program: str | None) -> str:
    """What a report calls it."""
    if program:
        return f"the real KubeRay ({program})"
    return "the stand-in for KubeRay (tests/kube/kuberay)"


class Operator(Protocol):
    """Something that does what KubeRay does, for the namespaces that it was made for."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Operators(Protocol):
    """Makes operators; `name` is what a report calls them."""

    @property
    def name(self) -> str: ...

    def of(self, namespaces: list[str], status_check_timeout: float) -> Operator: ...


@dataclass
class StandIn:
    """The stand-in in this process."""

    kubeconfig: str
    options: Options
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        await self._stack.enter_async_context(running(self.kubeconfig, self.options))

    async def stop(self) -> None:
        await self._stack.aclose()


@dataclass(frozen=True)
class StandIns:
    kubeconfig: str

    @property
    def name(self) -> str:
        return name_of(None)

    def of(self, namespaces: list[str], status_check_timeout: float) -> StandIn:
        settings = Settings(status_check_timeout=status_check_timeout)
        return StandIn(self.kubeconfig, Options(settings, tuple(namespaces)))


@dataclass
class Real:
    """KubeRay's own operator as a process, with the flags that the recordings were made with."""

    program: Path
    kubeconfig: str
    namespaces: list[str]
    status_check_timeout: float
    resolver: str
    folder: Path
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        log = self.folder / f"operator-{free_port()}.log"
        resolv = self.folder / "resolv.conf"
        resolv.write_text(f"nameserver {self.resolver}\nsearch svc.cluster.local cluster.local\n")
        command = [
            str(self.program),
            "-kubeconfig",
            self.kubeconfig,
            "-enable-leader-election=false",
            "-metrics-addr",
            f"127.0.0.1:{free_port()}",
            "-health-probe-bind-address",
            f"127.0.0.1:{free_port()}",
            "-log-stdout-encoder",
            "console",
            "-watch-namespace",
            ",".join(self.namespaces),
        ]
        timeout = str(int(self.status_check_timeout))
        with log.open("wb") as output:
            self._process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "--kill-child", "--fork", "sh", "-c"),
                'mount --bind "$0" /etc/resolv.conf && exec "$@"',
                str(resolv),
                *command,
                stdout=output,
                stderr=output,
                env={**os.environ, "RAYJOB_STATUS_CHECK_TIMEOUT_SECONDS": timeout},
            )
        # Its readyz answers before its workers run.
        async with asyncio.timeout(START_SECONDS):
            while "Starting workers" not in log.read_text(errors="replace"):
                if self._process.returncode is not None:
                    raise RuntimeError(f"{self.program} ended:\n{log.read_text()[-2000:]}")
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@dataclass(frozen=True)
class Reals:
    program: Path
    kubeconfig: str
    resolver: str
    folder: Path

    @property
    def name(self) -> str:
        return name_of(str(self.program))

    def of(self, namespaces: list[str], status_check_timeout: float) -> Real:
        return Real(
            self.program,
            self.kubeconfig,
            namespaces,
            status_check_timeout,
            self.resolver,
            self.folder,
        )
