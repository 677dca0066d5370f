"""Pipelines as an API server gives them, at the moments of their life that people see."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
THREE = ("Ready", "Reconciling", "Stalled")


def pipeline_object(
    phase: str = "",
    three: tuple[str, str, str] = ("Unknown", "True", "False"),
    reason: str = "Running",
    message: str = "",
    *,
    generation: int = 1,
    observed: int | None = None,
    annotations: dict[str, str] | None = None,
    spec: Object | None = None,
    conditions: tuple[Object, ...] = (),
    **status: object,
) -> Object:
    """`status` in the API's own words: currentRun=…, lastRun=…"""
    said = [
        condition(kind, truth, reason, message) for kind, truth in zip(THREE, three, strict=True)
    ]
    return {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {
            "name": "cats",
            "namespace": "lake",
            "uid": "u",
            "resourceVersion": "7",
            "generation": generation,
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "annotations": annotations or {},
        },
        "spec": spec or {"sink": {"lance": {"dataset": "cats-224"}}},
        "status": {
            "observedGeneration": generation if observed is None else observed,
            "phase": phase,
            "conditions": [*said, *conditions],
            **status,
        },
    }


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-21T12:00:00Z",
    }


def current_run(run: str = "7f3a", **more: object) -> Object:
    return {"id": run, "generation": 1, "startTime": "2026-11-21T12:00:00Z", **more}


def finished_run(run: str = "7f3a", result: str = "Succeeded", **more: object) -> Object:
    return {
        "id": run,
        "generation": 1,
        "result": result,
        "startTime": "2026-11-21T12:00:00Z",
        "endTime": "2026-11-21T12:00:31Z",
        **more,
    }
