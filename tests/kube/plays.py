"""What a played pod or Ray job shall do, as a line of text that a test can put in many places.

    seconds=3,end=FAILED/SUCCEEDED; pod=OOMKilled,group=gpu,after=2

Instructions are separated by `;`. One without `pod` is for the Ray job, one with it for pods.

| key | of | what |
|---|---|---|
| seconds | job | how long it is RUNNING, after a second of PENDING |
| end | job | SUCCEEDED, FAILED or STOPPED; several by `/`, one for each submission |
| rows | job | rows that GET /progress counts up to |
| lingers | job | seconds that our driver stays for its outcome to be read; 0: no GET /progress |
| refuse | job | seconds from the first POST on in which submissions are answered 500 |
| pod | pod | one of the faults below |
| group | pod | `head`, `worker` (any), or the name of a worker group; without it every pod |
| after | pod | seconds: how long it ran before, or for Slow how much later it starts |
| exit | pod | exit code, for Ends |
| times | pod | how many pods of that kind have the fault; the next ones are sound |

Faults: ImagePullBackOff, NeverStarts (ContainerCreating for ever), Slow, CrashLoopBackOff,
OOMKilled, Evicted, Lost (its node is gone: the pod vanishes), Ends (all containers exit).

Where it is looked for, first match wins: what a test said in this process (`Director.say`); the
pod's annotation `test.lancemill.dev/play`; the variable LANCEMILL_TEST_PLAY of its first container;
its image's tag (`lancemill:play.seconds-3.end-FAILED_SUCCEEDED..pod-OOMKilled.group-gpu`, where
`..` is `;`, `.` is `,`, the first `-` is `=` and `_` is `/`); the same annotation on its RayCluster
(KubeRay copies a RayJob's annotations to it) and on its namespace. `--seconds N --end STATE` in the
entrypoint itself goes before all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

ANNOTATION = "test.lancemill.dev/play"
VARIABLE = "LANCEMILL_TEST_PLAY"
MESSAGE_ANNOTATION = "test.lancemill.dev/termination-message"

FAULTS = (
    "ImagePullBackOff",
    "NeverStarts",
    "Slow",
    "CrashLoopBackOff",
    "OOMKilled",
    "Evicted",
    "Lost",
    "Ends",
)
_IN_COMMAND = re.compile(r"--(seconds|end|rows|lingers|refuse)[ =](\S+)")


class WrongPlay(ValueError):
    """A text that cannot be played, and what is wrong with it."""


@dataclass(frozen=True)
class JobPlay:
    """What a Ray job does."""

    seconds: float = 3.0
    ends: tuple[str, ...] = ("SUCCEEDED",)
    rows: int = 1000
    lingers: float = 0.0
    refuse: float = 0.0
    text: str = ""

    def end(self, submission: int) -> str:
        """Of the n-th submission, from 0."""
        return self.ends[min(submission, len(self.ends) - 1)]


@dataclass(frozen=True)
class PodPlay:
    """What goes wrong with a pod."""

    fault: str
    group: str = ""
    after: float = 0.0
    exit: int = 1
    times: int | None = None


@dataclass(frozen=True)
class Play:
    """All instructions of a text."""

    job: JobPlay | None = None
    pods: tuple[PodPlay, ...] = ()


def parse(text: str) -> Play:
    job, pods = None, []
    for instruction in filter(None, (part.strip() for part in text.split(";"))):
        pairs = dict(_pair(part) for part in instruction.split(","))
        if "pod" in pairs:
            pods.append(_pod_play(pairs))
        else:
            job = _job_play(pairs, text)
    return Play(job, tuple(pods))


def of_command(entrypoint: str) -> JobPlay | None:
    pairs = dict(_IN_COMMAND.findall(entrypoint))
    if "end" in pairs:
        pairs["end"] = pairs["end"].replace(",", "/")
    return _job_play(pairs, entrypoint) if pairs else None


def of_image(image: str) -> str:
    """The text in an image's tag; empty where there is none."""
    tag = image.rpartition("/")[2].partition(":")[2]
    if not tag.startswith("play."):
        return ""
    instructions = tag.removeprefix("play.").split("..")
    pairs = [
        ",".join(pair.replace("-", "=", 1).replace("_", "/") for pair in one.split("."))
        for one in instructions
    ]
    return ";".join(pairs)


def of_pod(pod: Object) -> str:
    """What a pod says itself; empty where it says nothing."""
    said = pod["metadata"].get("annotations", {}).get(ANNOTATION)
    if said:
        return str(said)
    container = pod["spec"]["containers"][0]
    for variable in container.get("env", ()):
        if variable["name"] == VARIABLE and variable.get("value"):
            return str(variable["value"])
    return of_image(container["image"])


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.strip().partition("=")
    if not sign:
        raise WrongPlay(f"{text!r} is no key=value")
    return key.strip(), value.strip()


def _number(text: str) -> float:
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text)


def _job_play(pairs: dict[str, str], text: str) -> JobPlay:
    if unknown := pairs.keys() - {"seconds", "end", "rows", "lingers", "refuse"}:
        raise WrongPlay(f"{text!r}: a job has no {', '.join(sorted(unknown))}")
    usual = JobPlay()
    return JobPlay(
        seconds=_number(pairs.get("seconds", str(usual.seconds))),
        ends=tuple(pairs["end"].split("/")) if "end" in pairs else usual.ends,
        rows=int(pairs.get("rows", usual.rows)),
        lingers=_number(pairs.get("lingers", "0")),
        refuse=_number(pairs.get("refuse", "0")),
        text=text,
    )


def _pod_play(pairs: dict[str, str]) -> PodPlay:
    if unknown := pairs.keys() - {"pod", "group", "after", "exit", "times"}:
        raise WrongPlay(f"a pod has no {', '.join(sorted(unknown))}")
    if pairs["pod"] not in FAULTS:
        raise WrongPlay(f"{pairs['pod']} is none of {', '.join(FAULTS)}")
    return PodPlay(
        fault=pairs["pod"],
        group=pairs.get("group", ""),
        after=_number(pairs.get("after", "0")),
        exit=int(pairs.get("exit", "1")),
        times=int(pairs["times"]) if "times" in pairs else None,
    )


@dataclass
class Director:
    """What was said in this process, and how often each instruction was followed."""

    said: dict[str, str] = field(default_factory=dict)
    _followed: Counter[tuple[str, object]] = field(default_factory=Counter)

    def say(self, namespace: str, text: str) -> None:
        """For all pods and jobs of a namespace, from now on."""
        parse(text)
        self.said[namespace] = text

    def fault_of(self, pod: Object, text: str) -> PodPlay | None:
        """What goes wrong with this pod, counted as one of its `times`."""
        namespace = pod["metadata"]["namespace"]
        for play in parse(text).pods:
            if not _concerns(play, pod):
                continue
            if play.times is None or self.count(namespace, play) < play.times:
                return play
        return None

    def count(self, namespace: str, what: object) -> int:
        """How often it happened before, in this namespace."""
        before = self._followed[namespace, what]
        self._followed[namespace, what] += 1
        return before


def _concerns(play: PodPlay, pod: Object) -> bool:
    labels = pod["metadata"].get("labels", {})
    node_type, group = labels.get("ray.io/node-type"), labels.get("ray.io/group")
    return play.group in ("", node_type, group)
