"""Cases in which the operator lives, and what its watches tell it is late, lacking, or too much."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from kube.calls import Call
from kube.crash.matrix import Case, Prepare, Reference
from kube.crash.news import news_in
from kube.crash.stage import Stage
from kube.exchange import Exchange, Fault
from kube.fault_proxy import Rule
from kube.faults import break_stream, events, named

LATE = 1.5
"""Seconds by which a stale picture lags behind."""


def pictures(reference: Reference) -> list[Case]:
    """One of each; and for each kind of news one in which it never comes."""
    life = reference.life
    return [
        Case(life, "late news", "", _always(late(LATE))),
        Case(life, "doubled news", "", _always(events(lambda event: True, copies=2))),
        Case(life, "410 relist", "", _expired),
        Case(life, "two at once", "", lambda stage: (), operators=2),
        *(
            Case(life, "dropped news", f"{resource}: {what}", _dropped(resource, what))
            for resource, what in reference.news
        ),
    ]


def _always(fault: Fault) -> Prepare:
    """In every watch."""

    def prepare(stage: Stage) -> Sequence[Rule]:
        rule = Rule(_watches, fault, times=None)
        stage.rules.append(rule)
        return (rule,)

    return prepare


def _watches(call: Call) -> bool:
    return call.verb == "watch"


def _watches_of(resource: str) -> Callable[[Call], bool]:
    return lambda call: _watches(call) and call.resource == resource


def _expired(stage: Stage) -> Sequence[Rule]:
    """Each watch has come to know something when it is told to list anew, twice."""
    rules = [
        Rule(_watches_of(resource), break_stream(410, after=1), times=2)
        for resource in ("multimodalpipelines", "lancedatasets", "rayjobs", "jobs")
    ]
    stage.rules += rules
    return rules[:1]


def _dropped(resource: str, what: str) -> Prepare:
    """The first news of that kind never comes."""

    def prepare(stage: Stage) -> Sequence[Rule]:
        def wanted(event: dict[str, Any]) -> bool:
            return news_in(resource, event) == what

        rule = Rule(_watches_of(resource), events(wanted, copies=0, times=1))
        stage.rules.append(rule)
        return (rule,)

    return prepare


def late(seconds: float) -> Fault:
    """All of a watch comes so much later, in its order."""

    @named("late")
    async def fault(exchange: Exchange) -> None:
        async def delayed(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            clock = asyncio.get_running_loop().time
            queue: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

            async def read() -> None:
                try:
                    async for line in lines:
                        queue.put_nowait((clock() + seconds, line))
                finally:
                    queue.put_nowait(None)

            reader = asyncio.create_task(read())
            try:
                while (next_one := await queue.get()) is not None:
                    when, line = next_one
                    await asyncio.sleep(when - clock())
                    yield line
            finally:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await reader

        await exchange.stream(delayed)

    return fault
