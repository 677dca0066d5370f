"""The statuses that a kubelet writes into a pod over its life, as the recordings have them. Pure
but for the time of day.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

NODE_ADDRESS = "10.255.0.1"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(container: Object, state: Object, *, ready: bool = False, **more: Any) -> Object:
    runs = "running" in state
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "sha256:0" if runs or "terminated" in state else "",
        "ready": ready,
        "started": runs,
        "restartCount": 0,
        "state": state,
        "lastState": {},
        **more,
    }


def _conditions(*, initialized: bool, ready: bool) -> list[Object]:
    told = (
        ("PodScheduled", True, ""),
        ("Initialized", initialized, "ContainersNotInitialized"),
        ("ContainersReady", ready, "ContainersNotReady"),
        ("Ready", ready, "ContainersNotReady"),
    )
    return [
        {
            "type": name,
            "status": "True" if holds else "False",
            "lastProbeTime": None,
            "lastTransitionTime": now(),
            **({} if holds else {"reason": reason}),
        }
        for name, holds, reason in told
    ]


def creating(pod: Object) -> Object:
    return waiting(pod, "ContainerCreating")


def waiting(pod: Object, reason: str, message: str = "") -> Object:
    """Nothing runs yet. Where there are init containers, it is they that wait."""
    why = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
    first = pod["spec"].get("initContainers", [])
    behind = {"waiting": {"reason": "PodInitializing"}} if first else why
    found: Object = {
        "phase": "Pending",
        "hostIP": NODE_ADDRESS,
        "startTime": now(),
        "conditions": _conditions(initialized=not first, ready=False),
        "containerStatuses": [_status(one, behind) for one in pod["spec"]["containers"]],
    }
    if first:
        found["initContainerStatuses"] = [_status(one, why) for one in first]
    return found


def running(pod: Object, address: str, restarted_after: Object | None = None) -> Object:
    moment = now()
    state = {"running": {"startedAt": moment}}
    found: Object = {
        "phase": "Running",
        "hostIP": NODE_ADDRESS,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": moment,
        "conditions": _conditions(initialized=True, ready=True),
        "containerStatuses": [_status(one, state, ready=True) for one in pod["spec"]["containers"]],
    }
    if restarted_after is not None:
        found["containerStatuses"][0] |= {"restartCount": 1, "lastState": restarted_after}
    if first := pod["spec"].get("initContainers"):
        over = terminated("Completed", 0)
        found["initContainerStatuses"] = [_status(one, over) for one in first]
    return found


def terminated(reason: str, code: int) -> Object:
    moment = now()
    times = {"startedAt": moment, "finishedAt": moment}
    return {"terminated": {"reason": reason, "exitCode": code, **times}}


def crashed(pod: Object, address: str, how: Object, state_now: str) -> Object:
    """The first container has ended, or waits for its next start; the pod goes on."""
    found = running(pod, address)
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    state = how if state_now == "terminated" else {"waiting": waiting}
    more: Object = {"restartCount": 1, "lastState": how} if state_now == "waiting" else {}
    found["containerStatuses"][0] = _status(pod["spec"]["containers"][0], state, **more)
    found["conditions"] = _conditions(initialized=True, ready=False)
    return found


def ended(pod: Object, how: Object) -> Object:
    phase = "Succeeded" if how["terminated"]["exitCode"] == 0 else "Failed"
    return {
        "phase": phase,
        "conditions": _conditions(initialized=True, ready=False),
        "containerStatuses": [_status(one, how) for one in pod["spec"]["containers"]],
    }
