"""What KubeRay refuses in a RayJob that the API server has accepted, in its own words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from kube.kuberay.names import LONGEST_JOB_NAME

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Fault:
    """The reason of the event, and the message of event and status."""

    reason: str
    message: str


def fault(job: dict[str, Any]) -> Fault | None:
    if text := _of_name(job["metadata"]["name"]):
        return Fault("InvalidRayJobMetadata", f"The RayJob metadata is invalid: {text}")
    spec = job["spec"]
    if text := _of_spec(spec) or _of_groups(spec.get("rayClusterSpec", {})):
        return Fault("InvalidRayJobSpec", f"The RayJob spec is invalid: {text}")
    if text := _of_runtime_env(spec.get("runtimeEnvYAML", "")):
        return Fault("InvalidRayJobSpec", text)
    return None


def _of_name(name: str) -> str:
    if len(name) > LONGEST_JOB_NAME:
        return f"RayJob name should be no more than {LONGEST_JOB_NAME} characters"
    if not _DNS_1035.fullmatch(name):
        return "RayJob name should be a valid DNS1035 label"
    return ""


def _of_spec(spec: dict[str, Any]) -> str:
    shuts_down = spec.get("shutdownAfterJobFinishes", False)
    rules = spec.get("deletionStrategy", {}).get("deletionRules")
    kept = "a RayJob with shutdownAfterJobFinishes set to false"
    if spec.get("suspend") and not shuts_down:
        return f"{kept} is not allowed to be suspended"
    if spec.get("ttlSecondsAfterFinished", 0) > 0 and not shuts_down:
        return f"{kept} cannot have TTLSecondsAfterFinished"
    if spec.get("backoffLimit", 0) < 0:
        return "backoffLimit must be a positive integer"
    if spec.get("activeDeadlineSeconds", 1) <= 0:
        return "activeDeadlineSeconds must be a positive integer"
    if rules and shuts_down:
        fields = "spec.shutdownAfterJobFinishes and spec.deletionStrategy.deletionRules"
        return f"{fields} are mutually exclusive"
    return ""


def _of_groups(cluster: dict[str, Any]) -> str:
    for group in cluster.get("workerGroupSpecs", ()):
        low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
        if low > high:
            name = group["groupName"]
            return f"worker group {name} has minReplicas {low} greater than maxReplicas {high}"
    return ""


def _of_runtime_env(text: str) -> str:
    try:
        yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = max(error.problem_mark.line if error.problem_mark else 0, 1)
        said = f"yaml: line {line}: {error.problem}"
        return f"failed to unmarshal RuntimeEnvYAML: {text}: error converting YAML to JSON: {said}"
    return ""


def runtime_env(text: str) -> Any:
    return yaml.load(text, Loader=_Loader) if text else None
