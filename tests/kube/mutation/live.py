"""Lives led by the operator itself: it answers each accepted edit, and no reconcile fails."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kube.control_plane import ControlPlane
from kube.mutation.judges import API
from kube.mutation.life import NoRest, says_why
from kube.mutation.lives import PLURALS, Life
from kube.namespaces import fresh_namespace
from kube.operator_process import OperatorProcess, operator
from kube.rest import Object, resource
from lancemill_api.status import Condition

SECONDS = 120


def applied(plane: ControlPlane, folder: Path, lives: Sequence[Life]) -> list[dict[str, Any]]:
    """Everything that is not as it must be: an edit without an answer, a reconcile that fails."""
    with (
        fresh_namespace(plane, "alive") as namespace,
        operator(plane, folder, namespaces=(namespace,)) as process,
    ):
        for at in range(max(len(life.states) for life in lives)):
            for number, life in enumerate(lives):
                if at < len(life.states):
                    _apply(plane, namespace, f"life-{number}", life.kind, life.states[at])
            wrong = _unanswered(plane, namespace, process)
            if wrong:
                return wrong
        failed = [line for line in process.lines() if line.get("level") in ("error", "critical")]
        return [{"why": "the operator said an error", "line": line} for line in failed]


def _apply(plane: ControlPlane, namespace: str, name: str, kind: str, document: Object) -> None:
    """Create it, or replace its specification; what the API server refuses is left."""
    path = resource(API, PLURALS[kind], namespace)
    body = {**document, "metadata": {"name": name}}
    rest, query = plane.rest(), {"fieldValidation": "Strict"}
    there = rest.find(f"{path}/{name}")
    if there is None:
        rest.answer("POST", path, body, query=query)
        return
    body["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
    rest.answer("PUT", f"{path}/{name}", body, query=query)


def _unanswered(
    plane: ControlPlane, namespace: str, process: OperatorProcess
) -> list[dict[str, Any]]:
    """Objects that the operator has not spoken of as they are now, or whose state has no reason."""
    deadline = time.monotonic() + SECONDS
    while True:
        process.must_run()
        wrong = [
            {"why": why, "log": _log(process, one), "object": one}
            for plural in PLURALS.values()
            for one in plane.rest().get(resource(API, plural, namespace))["items"]
            if (why := _problem(one))
        ]
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(0.2)


def _log(process: OperatorProcess, document: Object) -> list[Object]:
    """What the operator said last of the object."""
    name = document["metadata"]["name"]
    return [line for line in process.lines() if line.get("name") == name][-3:]


def _problem(document: Object) -> str:
    status = document.get("status", {})
    if status.get("observedGeneration") != document["metadata"]["generation"]:
        return "not answered"
    try:
        says_why([Condition.model_validate(one) for one in status["conditions"]])
    except (NoRest, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
