"""What a played pod or job shall do can be said in many places, in one language."""

from __future__ import annotations

from typing import Any

import pytest

from kube.plays import (
    ANNOTATION,
    VARIABLE,
    Director,
    JobPlay,
    Play,
    PodPlay,
    WrongPlay,
    of_command,
    of_image,
    of_pod,
    parse,
)


def pod(
    image: str = "ray:1",
    annotations: dict[str, str] | None = None,
    env: list[dict[str, str]] | None = None,
    node_type: str = "worker",
    group: str = "gpu",
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "a",
            "namespace": "n",
            "annotations": annotations or {},
            "labels": {"ray.io/node-type": node_type, "ray.io/group": group},
        },
        "spec": {"containers": [{"image": image, "env": env or []}]},
    }


def test_a_line_holds_a_job_and_any_number_of_faults() -> None:
    found = parse("seconds=0.5,end=FAILED/SUCCEEDED; pod=OOMKilled,group=gpu,after=2; pod=Lost")
    job = found.job
    assert job is not None
    assert (job.seconds, job.ends) == (0.5, ("FAILED", "SUCCEEDED"))
    assert found.pods == (PodPlay("OOMKilled", "gpu", 2.0), PodPlay("Lost"))


def test_an_empty_line_says_nothing() -> None:
    assert parse("") == Play()


@pytest.mark.parametrize(
    "text", ["seconds", "pod=Sleepy", "seconds=1,end=FAILED,row=3", "pod=Lost,x=1"]
)
def test_a_line_that_cannot_be_played_is_refused(text: str) -> None:
    with pytest.raises(WrongPlay):
        parse(text)


def test_each_submission_has_its_end_and_the_last_repeats() -> None:
    job = JobPlay(ends=("FAILED", "STOPPED"))
    assert [job.end(number) for number in range(3)] == ["FAILED", "STOPPED", "STOPPED"]


def test_an_entrypoint_says_it_in_its_arguments() -> None:
    found = of_command("python job.py --seconds 7 --end FAILED,SUCCEEDED")
    assert found is not None
    assert (found.seconds, found.ends) == (7.0, ("FAILED", "SUCCEEDED"))
    assert of_command("lancemill run --frozen /run/spec.json") is None


def test_an_image_says_it_in_its_tag() -> None:
    text = of_image(
        "registry.test/lancemill:play.seconds-500ms.end-FAILED_STOPPED..pod-Lost.group-gpu"
    )
    found = parse(text)
    assert found.job is not None
    assert (found.job.seconds, found.job.ends) == (0.5, ("FAILED", "STOPPED"))
    assert found.pods == (PodPlay("Lost", "gpu"),)
    assert of_image("lancemill:1.2") == ""
    assert of_image("localhost:5000/lancemill") == ""


def test_an_annotation_goes_before_a_variable_and_that_before_the_image() -> None:
    image, env = "ray:play.seconds-3", [{"name": VARIABLE, "value": "seconds=2"}]
    assert of_pod(pod(image)) == "seconds=3"
    assert of_pod(pod(image, env=env)) == "seconds=2"
    assert of_pod(pod(image, {ANNOTATION: "seconds=1"}, env)) == "seconds=1"


def test_a_fault_is_for_the_head_for_workers_or_for_one_group() -> None:
    director = Director()
    head = pod(node_type="head", group="headgroup")
    for group, of_worker, of_head in (
        ("gpu", 1, 0),
        ("worker", 1, 0),
        ("head", 0, 1),
        ("cpu", 0, 0),
    ):
        text = f"pod=Lost,group={group}"
        assert (director.fault_of(pod(), text) is not None) == bool(of_worker), group
        assert (director.fault_of(head, text) is not None) == bool(of_head), group


def test_a_fault_may_befall_only_the_first_pods() -> None:
    director = Director()
    found = [director.fault_of(pod(), "pod=Lost,times=2") for _ in range(3)]
    assert [one is not None for one in found] == [True, True, False]
