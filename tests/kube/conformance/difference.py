"""What two stories differ in, one line each. Empty is what is wanted."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from typing import Any

from kube.conformance.story import Asked, Life, Story

Object = dict[str, Any]
Lines = list[str]

COMPARED = (
    "RayJob",
    "RayCluster",
    "Pod",
    "Service",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "Secret",
)
_STALE = "FailedToCreateRayCluster"  # KubeRay's cache may be behind its own write


def difference(wanted: Story, found: Story, allow: frozenset[str] = frozenset()) -> Lines:
    """`wanted` is the recording. `allow` is the scenario's: see scenarios.yaml."""
    views: list[tuple[str, Callable[[Story], Lines]]] = [
        ("states of the RayJob", _transitions),
        ("status of the RayJob", lambda one: _job_statuses(one, allow)),
        ("writes of the RayJob's specification", _job_specs),
        ("states of the RayCluster", lambda one: _cluster_statuses(one, allow)),
        ("objects made", lambda one: _made(one, allow)),
        ("what objects are", lambda one: _as_made(one, allow)),
        ("states of pods", lambda one: _pod_states(one, allow)),
        ("objects left", lambda one: _left(one, allow)),
        ("events", lambda one: _events(one, allow)),
        ("requests to the dashboard", lambda one: _requests(one, allow)),
    ]
    return [f"{name}: {line}" for name, view in views for line in _diff(view(wanted), view(found))]


def _diff(wanted: Lines, found: Lines) -> Lines:
    lines = difflib.unified_diff(wanted, found, "recorded", "here", lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _distinct(lines: Iterable[str]) -> Lines:
    found: Lines = []
    for line in lines:
        if not found or found[-1] != line:
            found.append(line)
    return found


def _jobs(story: Story) -> list[Life]:
    return sorted(story.of_kind("RayJob"), key=lambda life: life.name)


def _transitions(story: Story) -> Lines:
    names = ("jobDeploymentStatus", "jobStatus", "reason")
    lines: Lines = []
    for life in _jobs(story):
        statuses = (state.get("status", {}) for state in life.states)
        told = (tuple(status.get(name, "") for name in names) for status in statuses)
        lines += _distinct(f"{life.name} {' / '.join(states)}" for states in told)
    return lines


def _job_statuses(story: Story, allow: frozenset[str]) -> Lines:
    """Without the steps of its copy of the cluster's status: they depend on who is first.

    So does its last one where no dashboard ever answered, and where all is deleted at once.
    """
    lines: Lines = []
    for life in _jobs(story):
        statuses = [dict(state.get("status", {})) for state in life.states]
        last = statuses[-1]
        settled = "jobStatus" in last and "deletion" not in allow
        copied = _cluster_status(last.get("rayClusterStatus", {})) if settled else {}
        for status in statuses:
            status.pop("rayClusterStatus", None)
        lines += _distinct(f"{life.name} {_text(status)}" for status in statuses)
        lines.append(f"{life.name} at the end: {_text(copied)}")
    return lines


def _job_specs(story: Story) -> Lines:
    lines: Lines = []
    for life in _jobs(story):
        for state in life.states:
            meta = {key: value for key, value in state["metadata"].items() if key != "deleting"}
            lines.append(f"{life.name} {_text(meta)} {_text(state['spec'])}")
    return _distinct(lines)


def _cluster_status(status: Object) -> Object:
    kept = {key: value for key, value in status.items() if key != "lastUpdateTime"}
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    return kept | {"conditions": conditions}


def _cluster_statuses(story: Story, allow: frozenset[str]) -> Lines:
    """Each aspect by itself: which of two pods is seen ready first is up to chance."""
    lines: Lines = []
    for life in sorted(story.of_kind("RayCluster"), key=lambda one: one.name):
        statuses = [state.get("status", {}) for state in life.states]
        if "deletion" in allow:
            statuses = [status for status in statuses if not _is_failing(status)]
        told = [_aspects(status, allow) for status in statuses]
        for aspect in sorted({name for aspects in told for name in aspects}):
            values = _distinct(_text(one[aspect]) for one in told if aspect in one)
            lines += [f"{life.name} {aspect}: {value}" for value in values]
    return lines


def _aspects(status: Object, allow: frozenset[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in _cluster_status(status).items():
        if key == "conditions":
            found |= {name: one for name, one in value.items() if not _is_chance(one, allow)}
        elif key.startswith("desired"):
            found["desired"] = {**_object(found.get("desired")), key: value}
        else:
            found[key] = value
    return found


def _is_chance(condition: Object, allow: frozenset[str]) -> bool:
    """A new head pod says nothing for a moment: who looks late does not see that."""
    if "pods" in allow and condition["type"] == "RayClusterProvisioned":
        return True
    return bool(condition["type"] == "HeadPodReady" and condition["reason"] == "Unknown")


def _object(value: object) -> Object:
    return value if isinstance(value, dict) else {}


def _is_failing(status: Object) -> bool:
    return any(one["type"] == "ReplicaFailure" for one in status.get("conditions", ()))


def _is_scenery(life: Life) -> bool:
    return life.kind == "ServiceAccount" and life.name == "default"


def _counted(story: Story, allow: frozenset[str]) -> list[Life]:
    lives = [life for life in story.of_kind(*COMPARED) if not _is_scenery(life)]
    if "pods" in allow:
        lives = [life for life in lives if not _is_later_worker(life)]
    return lives


def _is_later_worker(life: Life) -> bool:
    return life.kind == "Pod" and "-worker-" in life.name and not life.name.endswith("<p1>")


def _made(story: Story, allow: frozenset[str]) -> Lines:
    lines = [f"{life.kind} {life.name}" for life in _counted(story, allow)]
    return sorted(lines) if "order" in allow else lines


def _as_made(story: Story, allow: frozenset[str]) -> Lines:
    """Everything but the status, when it was made; a Service also as it was changed."""
    lines: Lines = []
    for life in _counted(story, allow):
        if life.kind == "RayJob":
            continue
        states = life.states if life.kind == "Service" else life.states[:1]
        for state in states:
            kept = {key: value for key, value in state.items() if key != "status"}
            kept["metadata"] = {
                key: value for key, value in kept["metadata"].items() if key != "deleting"
            }
            kept.get("spec", {}).pop("nodeName", None)
            lines += [f"{life.kind} {life.name} {line}" for line in _fields(kept)]
    return sorted(set(lines))


def _fields(value: Any, path: str = "") -> Lines:
    if isinstance(value, dict) and value:
        return [line for key, one in value.items() for line in _fields(one, f"{path}.{key}")]
    if isinstance(value, list) and value:
        return [
            line for index, one in enumerate(value) for line in _fields(one, f"{path}[{index}]")
        ]
    return [f"{path} = {_text(value)}"]


def _pod_states(story: Story, allow: frozenset[str]) -> Lines:
    lines: Lines = []
    for life in sorted(_counted(story, allow), key=lambda one: one.name):
        if life.kind == "Pod" and "pods" not in allow and "deletion" not in allow:
            states = (_text(_pod_state(state)) for state in life.states)
            lines += [f"{life.name} {state}" for state in _distinct(states)]
    return lines


def _pod_state(state: Object) -> Object:
    status = dict(state["status"])
    status["conditions"] = {
        one["type"]: (one["status"], one.get("reason"), one.get("message"))
        for one in status.get("conditions", ())
    }
    return {"deleting": state["metadata"]["deleting"], **status}


def _left(story: Story, allow: frozenset[str]) -> Lines:
    lives = (life for life in _counted(story, allow) if not life.deleted)
    return sorted(f"{life.kind} {life.name}" for life in lives)


def _events(story: Story, allow: frozenset[str]) -> Lines:
    lines = set()
    for life in story.of_kind("Event"):
        event = life.states[0] if life.states else {}
        about = event.get("involvedObject", {})
        if about.get("kind") not in ("RayJob", "RayCluster") or event["reason"] == _STALE:
            continue
        if "pods" in allow and "worker" in event["message"]:
            continue
        told = (about["kind"], about["name"], event["reason"], event["message"], event["type"])
        lines.add(_text([*told, event.get("action"), event.get("reportingComponent")]))
    return sorted(lines)


def _requests(story: Story, allow: frozenset[str]) -> Lines:
    """By head, since two clusters are asked independently. The same answer again is no news."""
    lines: Lines = []
    for head in sorted({one.head for one in story.asked}):
        told = _distinct(_request(one) for one in story.asked if one.head == head)
        lines += dict.fromkeys(told) if "tries" in allow else told
    return lines


def _request(one: Asked) -> str:
    told = (one.head, one.method, one.path, one.body, one.token, one.status, one.answer)
    return _text(told)
