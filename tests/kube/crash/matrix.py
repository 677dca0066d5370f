"""References, and the cases that follow from them: each led, judged, counted."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kube.calls import Call
from kube.crash.ending import End, end_of
from kube.crash.instance import in_this_process
from kube.crash.lives import Life
from kube.crash.news import listening
from kube.crash.stage import PATIENCE, Cast, Stage, stage
from kube.crash.theatre import Theatre
from kube.exchange import Fault
from kube.fault_proxy import Rule
from kube.faults import Kill, killing_after, killing_before, killing_unanswered

MOST_RESYNCS = 2
CALM = 3.0
"""Seconds for which an end must stay as it is."""
TRIES = 3
UNDISTURBED = 90.0
"""Seconds without any change after which a reference, too, counts as stuck."""
LATEST = 90.0
"""Seconds that what is left of a life (garbage, pods) may take to go."""

DEATHS: dict[str, Callable[[Kill], Fault]] = {
    "before": killing_before,
    "after": killing_after,
    "unanswered": killing_unanswered,
}
Prepare = Callable[[Stage], Sequence[Rule]]
"""Puts its faults onto the stage; those given back must be met."""


class WrongReference(Exception):
    """Even an undisturbed life does not go as it should."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed life."""

    life: Life
    end: End
    calls: tuple[Call, ...]
    writes: tuple[tuple[str, int], ...]
    """Each by what it is, and how many of the same came before."""
    news: tuple[tuple[str, str], ...]
    """What its watches told, by resource."""
    seconds: float


@dataclass(frozen=True)
class Case:
    """One life with one disturbance."""

    life: Life
    mode: str
    where: str
    prepare: Prepare = field(repr=False, compare=False)
    settings: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    operators: int = 1
    patience: float = PATIENCE
    cast: Cast = field(default=in_this_process, repr=False)

    def __str__(self) -> str:
        return f"{self.life.name}: {self.mode} {self.where}".strip()


@dataclass(frozen=True)
class Result:
    """What became of a case."""

    case: Case
    seconds: float
    problems: tuple[str, ...] = ()
    met: bool = True
    """Whether the fault befell what it was meant for."""
    resyncs: int = 0

    @property
    def passed(self) -> bool:
        return not self.problems


def signature(call: Call) -> str:
    """What a write is, the same in each life: `apply multimodalpipelines/status cats Running`."""
    body = call.body or {}
    name = re.sub(r"-[0-9a-f]{8,10}\b", "-*", call.name)
    if call.resource == "events":
        regarding = body.get("regarding") or {}
        name = f"{regarding.get('name')} {body.get('reason')}"
    status = body.get("status") or {}
    state = (status.get("currentRun") or {}).get("state", "")
    phase = str(status.get("phase", ""))
    words = (f"{call.verb} {call.resource}", name, phase, state if state != phase else "")
    sub = f"/{call.target.subresource}" if call.target.subresource else ""
    return " ".join(word for word in (words[0] + sub, *words[1:]) if word)


def deaths(
    reference: Reference, cast: Cast = in_this_process, patience: float = PATIENCE
) -> list[Case]:
    """One at every write, in every way."""
    return [
        Case(
            reference.life,
            mode,
            _place(what, number),
            _dying(mode, what, number),
            patience=patience,
            cast=cast,
        )
        for what, number in reference.writes
        for mode in DEATHS
    ]


def _place(what: str, number: int) -> str:
    return what if not number else f"{what} #{number + 1}"


def _dying(mode: str, what: str, number: int) -> Prepare:
    def prepare(stage: Stage) -> Sequence[Rule]:
        fault = DEATHS[mode](stage.kill)
        rule = Rule(lambda call: call.writes and signature(call) == what, fault, number)
        stage.rules.append(rule)
        return (rule,)

    return prepare


async def reference(theatre: Theatre, life: Life) -> Reference:
    """Lead it undisturbed, twice: what is not the same in both is no part of it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_undisturbed(theatre, life)) for _ in range(2)]
    one, other = (task.result() for task in tasks)
    if one.end != other.end:
        raise WrongReference(f"{life.name} ends in two ways: {one.end.difference(other.end)}")
    return replace(
        one,
        writes=tuple(write for write in one.writes if write in other.writes),
        news=tuple(what for what in one.news if what in other.news),
    )


async def _undisturbed(theatre: Theatre, life: Life) -> Reference:
    began = time.monotonic()
    heard: dict[tuple[str, str], None] = {}
    async with stage(theatre, in_this_process) as found:
        found.patience = UNDISTURBED
        found.rules.append(Rule(lambda call: call.verb == "watch", listening(heard), times=None))
        async with _kept(found, 1):
            await life.lead(found)
            end = await _calm(found)
    if found.resyncs or found.ends:
        raise WrongReference(f"{life.name} needed {found.resyncs} resyncs; {found.ends}")
    calls = tuple(found.calls)
    return Reference(
        life, end, calls, tuple(_numbered(calls)), tuple(heard), time.monotonic() - began
    )


def _numbered(calls: Iterable[Call]) -> Iterator[tuple[str, int]]:
    before: Counter[str] = Counter()
    for what in (signature(call) for call in calls if call.writes):
        yield what, before[what]
        before[what] += 1


async def led(theatre: Theatre, case: Case, wanted: Reference) -> Result:
    """Lead it with its disturbance, and compare."""
    began = time.monotonic()
    problems: list[str] = []
    met = True
    async with stage(theatre, case.cast, case.settings, case.life.successor) as found:
        found.patience = case.patience
        rules = case.prepare(found)
        async with _kept(found, case.operators):
            try:
                await case.life.lead(found)
                problems += await _difference(found, wanted.end, bool(case.life.successor))
            except Exception as error:
                problems.append(f"{type(error).__name__}: {error}")
                problems += [str(line) for line in found.log[-8:]]
                problems.append(f"status: {found.status()}")
                problems += [
                    f"RayJob: {one['metadata']} {one.get('status')}" for one in found.rayjobs()
                ]
                problems.append(f"heads: {found.theatre.nodes.dashboards.of(found.namespace)}")
        met = all(rule.done for rule in rules)
    if found.resyncs > MOST_RESYNCS:
        problems.append(f"{found.resyncs} resyncs were needed")
    return Result(case, time.monotonic() - began, tuple(problems), met, found.resyncs)


@contextlib.asynccontextmanager
async def _kept(found: Stage, operators: int) -> AsyncIterator[None]:
    keepers = [asyncio.create_task(found.keep_one()) for _ in range(operators)]
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        for ended in await asyncio.gather(*keepers, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _calm(found: Stage) -> End:
    deadline = time.monotonic() + LATEST
    end, since = await end_of(found), time.monotonic()
    while time.monotonic() - since < CALM:
        if time.monotonic() > deadline:
            raise WrongReference(f"the end of a reference does not stay: {end.lines}")
        await asyncio.sleep(0.5)
        now = await end_of(found)
        if now != end or now.going:
            end, since = now, time.monotonic()
    return end


async def _difference(found: Stage, wanted: End, specs_may_differ: bool) -> list[str]:
    """Waits for equality that lasts; where that does not come, what differs."""
    deadline = time.monotonic() + LATEST

    def comparable(end: End) -> End:
        return end.without_specs() if specs_may_differ else end

    equal_since: float | None = None
    while equal_since is None or time.monotonic() - equal_since < CALM:
        differs = comparable(wanted).difference(comparable(await end_of(found)))
        if differs and time.monotonic() > deadline:
            return differs
        equal_since = None if differs else equal_since or time.monotonic()
        await asyncio.sleep(1.0)
    return []


async def _met(theatre: Theatre, case: Case, wanted: Reference) -> Result:
    """Led until its fault was met: the order of what is not ordered may differ."""
    for _ in range(TRIES):
        result = await led(theatre, case, wanted)
        if result.met or not result.passed:
            break
    return result


async def references(
    theatre: Theatre, lives: Iterable[Life], at_once: int = 4
) -> dict[str, Reference]:
    """All of them, so many side by side, by the lives' names."""
    places = asyncio.Semaphore(at_once)

    async def one(life: Life) -> Reference:
        async with places:
            return await reference(theatre, life)

    async with asyncio.TaskGroup() as group:
        tasks = {life.name: group.create_task(one(life)) for life in lives}
    return {name: task.result() for name, task in tasks.items()}


async def all_led(
    theatre: Theatre,
    cases: Iterable[Case],
    references: dict[str, Reference],
    at_once: int,
    told: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Side by side, in the order of `cases`; those that mostly wait take no place of the others."""
    places = asyncio.Semaphore(at_once)
    waiting_room = asyncio.Semaphore(2 * at_once)

    async def one(case: Case) -> Result:
        async with waiting_room if case.patience > PATIENCE else places:
            result = await _met(theatre, case, references[case.life.name])
            told(result)
            return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(case)) for case in cases]
    return [task.result() for task in tasks]
