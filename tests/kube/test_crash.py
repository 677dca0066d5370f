"""A sample of the crash matrix; all of it is led by `make crash-matrix`. See `kube.crash`."""

from __future__ import annotations

from dataclasses import dataclass

import kopf
import pytest

from kube import loops
from kube.control_plane import ControlPlane
from kube.crash.api_faults import api_faults
from kube.crash.lives import LIVES
from kube.crash.matrix import DEATHS, Case, Reference, Result, all_led, deaths, references
from kube.crash.pictures import pictures
from kube.crash.process import in_its_own_process
from kube.crash.stage import DEADLINE
from kube.crash.theatre import theatre
from lancemill_operator import informer
from lancemill_operator.informer import settings as informers_own

LIFE = "succeeds"
AT_ONCE = 12
FAULTS = {
    ("409", "apply multimodalpipelines/status"),
    ("429", "create rayjobs"),
    ("504, done", "create rayjobs"),
    ("answer lost", "create jobs"),
    ("ERROR 410", "watch rayjobs"),
    ("silent", "watch rayjobs"),
}
SIGKILLS = {
    ("unanswered", "create rayjobs cats-*-1"),
    ("after", "apply multimodalpipelines/status cats Running"),
}


@dataclass(frozen=True)
class Sample:
    """Cases of one life, and what became of them."""

    deaths: list[Case]
    sigkills: list[Case]
    pictures: list[Case]
    faults: list[Case]
    results: dict[Case, Result]

    def all_end_as_the_reference(self, cases: list[Case]) -> None:
        for case in cases:
            result = self.results[case]
            assert result.passed, "\n".join((str(case), *result.problems))
            assert result.met, f"{case}: nothing befell it"


@pytest.fixture(scope="module")
def sample(control_plane: ControlPlane) -> Sample:
    """All of it side by side: a life mostly waits."""

    async def lead() -> Sample:
        async with theatre(control_plane) as found:
            known = await references(found, [LIVES[LIFE]])
            parts = chosen(known[LIFE])
            cases = [case for part in parts for case in part]
            results = await all_led(found, cases, known, AT_ONCE)
        return Sample(*parts, {one.case: one for one in results})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(informer, "settings", impatient)
        return loops.run(lead())


def impatient() -> kopf.OperatorSettings:
    """A silent watch is opened anew after 7 s instead of 70: these are waited for elsewhere."""
    made = informers_own()
    made.watching.inactivity_timeout /= 10
    return made


def chosen(known: Reference) -> tuple[list[Case], list[Case], list[Case], list[Case]]:
    """Every second write once: before it, another after it, another without an answer …"""
    ways, all_deaths = len(DEATHS), deaths(known)
    processes = deaths(known, in_its_own_process, patience=DEADLINE)
    return (
        [all_deaths[at * ways + at // 2 % ways] for at in range(0, len(known.writes), 2)],
        [one for one in processes if (one.mode, one.where) in SIGKILLS],
        [one for one in pictures(known) if one.mode != "dropped news"],
        [one for one in api_faults(known) if (one.mode, one.where) in FAULTS],
    )


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("controllers", "kuberay_crds")
class TestTheEndIsThatOfAnUndisturbedLife:
    def test_when_the_operator_dies_at_a_write(self, sample: Sample) -> None:
        assert len(sample.deaths) > 5
        sample.all_end_as_the_reference(sample.deaths)

    def test_when_its_process_is_killed(self, sample: Sample) -> None:
        assert len(sample.sigkills) == len(SIGKILLS)
        sample.all_end_as_the_reference(sample.sigkills)

    def test_when_news_is_late_doubled_or_expired_or_a_second_operator_is_at_work(
        self, sample: Sample
    ) -> None:
        assert len(sample.pictures) == 4
        sample.all_end_as_the_reference(sample.pictures)

    def test_when_calls_go_wrong(self, sample: Sample) -> None:
        assert len(sample.faults) == len(FAULTS)
        sample.all_end_as_the_reference(sample.faults)
