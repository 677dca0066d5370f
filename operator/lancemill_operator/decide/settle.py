"""The question what came of a run: asked by a short Job, and again where it gives no answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lancemill_api.status import CurrentRun
from lancemill_operator import names, times
from lancemill_operator.decide.case import Case
from lancemill_operator.facts import Outcome, ProbeView
from lancemill_operator.manifests.probe import SETTLE, settle_token
from lancemill_operator.parse.outcomes import outcome


@dataclass(frozen=True, slots=True)
class Question:
    """How far the question has got."""

    outcome: Outcome | None = None
    failed: int = 0
    """Jobs that ended without an answer."""
    problem: str = ""
    ask_now: bool = False
    look_again: timedelta | None = None


def state(case: Case, current: CurrentRun) -> Question:
    """What the settle Jobs of the present attempt have said so far."""
    jobs = _jobs(case, current)
    for job in jobs:
        found = _answer(job, current)
        if found is not None:
            return Question(found)
    failed = [job for job in jobs if job.finished]
    problem = _problem(failed[-1]) if failed else ""
    running = [job for job in jobs if not job.finished]
    if running:
        return Question(None, len(failed), running[-1].problem or problem, False, _LOOK)
    if not failed:
        return Question(ask_now=True, look_again=_LOOK)
    pause = times.doubled(_FIRST, _LONGEST, len(failed))
    created = failed[-1].created
    # No longer than the pause, where our clock lags behind the API server's.
    left = pause if created is None else min(pause, created + pause - case.now)
    if left > timedelta():
        return Question(None, len(failed), problem, False, left)
    return Question(None, len(failed), problem, True, _LOOK)


_LOOK = timedelta(seconds=10)
_FIRST = timedelta(seconds=10)
_LONGEST = timedelta(minutes=5)


def _answer(job: ProbeView, current: CurrentRun) -> Outcome | None:
    """The Outcome that a Job handed back; None where it gave none, or one of another run."""
    if job.answer is None or job.answer.get("run") != current.id:
        return None
    return outcome(job.answer, current.id, current.attempt)


def _jobs(case: Case, current: CurrentRun) -> list[ProbeView]:
    """This attempt's settle Jobs, in the order in which they were asked."""
    tokens = {
        names.digest(settle_token(current.id, current.attempt, number)): number
        for number in range(_MOST_NUMBERS)
    }
    found = [
        (tokens[job.token], job)
        for job in case.facts.probes or ()
        if job.purpose == SETTLE and job.token in tokens
    ]
    return [job for _, job in sorted(found, key=lambda pair: pair[0])]


_MOST_NUMBERS = 16


def _problem(job: ProbeView) -> str:
    told = (job.answer or {}).get("error")
    return str(told or job.problem or "it ended without an answer")
