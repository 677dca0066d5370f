"""A sample of the crash matrix; all of it is led by `make crash-matrix`. See `kube.crash`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kube.control_plane import ControlPlane
from kube.crash.api_faults import api_faults
from kube.crash.lives import LIVES
from kube.crash.matrix import DEATHS, Case, Reference, all_led, deaths, references
from kube.crash.pictures import pictures
from kube.crash.process import in_its_own_process
from kube.crash.theatre import Theatre, theatre

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")
AT_ONCE = 8
SOME_FAULTS = {
    ("409", "apply multimodalpipelines/status"),
    ("429", "create rayjobs"),
    ("504, done", "create rayjobs"),
    ("answer lost", "create jobs"),
    ("reset", "apply networkpolicies"),
    ("500", "list rayjobs"),
    ("ERROR 410", "watch rayjobs"),
}
SOME_SIGKILLS = {
    ("before", "create rayjobs cats-*-1"),
    ("unanswered", "create rayjobs cats-*-1"),
    ("after", "apply multimodalpipelines/status cats Running"),
}


def lead(plane: ControlPlane, life: str, choose: Callable[[Reference], list[Case]]) -> None:
    """The cases that are chosen from a life's all end as the reference does."""

    async def play(found: Theatre) -> None:
        known = await references(found, [LIVES[life]])
        cases = choose(known[life])
        results = await all_led(found, cases, known, AT_ONCE)
        wrong = ["\n".join((str(one.case), *one.problems)) for one in results if one.problems]
        assert not wrong, "\n\n".join(wrong)
        assert len(results) == len(cases) > 0
        assert all(one.met for one in results), [str(one.case) for one in results if not one.met]

    asyncio.run(_on_stage(plane, play))


async def _on_stage(plane: ControlPlane, play: Callable[[Theatre], Awaitable[None]]) -> None:
    async with theatre(plane) as found:
        await play(found)


def test_an_operator_that_dies_at_any_write_leaves_what_an_undisturbed_one_does(
    control_plane: ControlPlane,
) -> None:
    def in_turn(known: Reference) -> list[Case]:
        """Each write once: before it, after it, after it without an answer, before the next …"""
        ways, cases = len(DEATHS), deaths(known)
        assert len(cases) == ways * len(known.writes) > 30
        return [cases[at * ways + at % ways] for at in range(len(known.writes))]

    lead(control_plane, "succeeds", in_turn)


def test_an_operator_process_killed_by_sigkill_is_followed_by_one_that_ends_the_same(
    control_plane: ControlPlane,
) -> None:
    def some(known: Reference) -> list[Case]:
        cases = deaths(known, in_its_own_process)
        return [case for case in cases if (case.mode, case.where) in SOME_SIGKILLS]

    lead(control_plane, "is-cancelled", some)


def test_late_doubled_and_expired_news_and_a_second_operator_change_nothing(
    control_plane: ControlPlane,
) -> None:
    lead(
        control_plane,
        "deleted-running",
        lambda known: [case for case in pictures(known) if case.mode != "dropped news"],
    )


def test_calls_that_go_wrong_change_nothing(control_plane: ControlPlane) -> None:
    def some(known: Reference) -> list[Case]:
        return [case for case in api_faults(known) if (case.mode, case.where) in SOME_FAULTS]

    lead(control_plane, "succeeds", some)
