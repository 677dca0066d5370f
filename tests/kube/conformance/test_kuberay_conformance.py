"""The stand-in does what the recordings show of the real KubeRay; so does the real one, if given.

The scenarios that are asked for are played side by side, once; each has a test of its own, to be
seen by name.
"""

from __future__ import annotations

import pytest

from kube import loops
from kube.binaries import kuberay_data
from kube.conformance.play import Report, compare
from kube.conformance.scenario import scenarios
from kube.control_plane import ControlPlane
from support.sampled import sampled

pytestmark = pytest.mark.timeout(900)  # the first of them plays them all

ALL = scenarios()
EACH_TIME = (
    "01-success",
    "02-application-failure",
    "05-active-deadline",
    "07-suspend-running",
    "10-deleted-running",
    "12-head-deleted",
    "13-worker-deleted",
    "16-job-forgotten",
    "17b-submission-refused-once",
    "20-quota-forbids-pods",
    "21-retry",
    "24-operator-restarted",
)
"""What a run meets most; the others belong to `make test-thorough`."""
LONGEST_LISTING = 40


@pytest.fixture(scope="module")
def report(request: pytest.FixtureRequest) -> Report:
    data = kuberay_data()
    if data is None:
        pytest.skip("NOT RUN: KubeRay's recordings are not here: name their folder by KUBERAY_DATA")
    plane: ControlPlane = request.getfixturevalue("control_plane")
    request.getfixturevalue("operator_name")
    tests = {one.name for one in request.session.items}
    asked = tuple(one.recording for one in ALL.all if any(f"[{one.recording}]" in t for t in tests))
    return loops.run(compare(str(plane.kubeconfig()), data / "traces", ALL.only(asked)))


@pytest.mark.kube
@pytest.mark.parametrize(
    "recording",
    sampled(
        sorted((one.recording for one in ALL.all), key=lambda name: name not in EACH_TIME),
        first=len(EACH_TIME),
    ),
)
def test_what_happens_is_what_was_recorded(report: Report, recording: str) -> None:
    differences = report.differences[recording]
    listing = "\n".join(line[:400] for line in differences[:LONGEST_LISTING])
    assert not differences, f"{report.operator}, {recording}:\n{listing}"


def test_every_recording_of_http_mode_is_played() -> None:
    data = kuberay_data()
    if data is None:
        pytest.skip("NOT RUN: KubeRay's recordings are not here: name their folder by KUBERAY_DATA")
    recorded = {one.parent.name for one in (data / "traces").glob("*/trace.jsonl")}
    played = {one.recording for one in ALL.all}
    assert {name.partition("-")[0] for name in recorded - played} == {"27", "27b", "27c"}
