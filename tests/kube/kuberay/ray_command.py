"""The arguments of `ray start`: from the container's resources, then from what the group says."""

from __future__ import annotations

import json

from kube.kuberay import quantities
from kube.kuberay.names import Object

GCS_PORT = 6379
METRICS_PORT = 8080
AGENT_PORT = 52365
_VALUED = {"log-color", "include-dashboard"}  # these take true or false as a value


def flags(group: Object, ray: Object, more: dict[str, str]) -> dict[str, str]:
    limits = ray.get("resources", {}).get("limits", {})
    requests = ray.get("resources", {}).get("requests", {})
    found = {
        "block": "true",
        "dashboard-agent-listen-port": str(AGENT_PORT),
        "metrics-export-port": str(METRICS_PORT),
        **more,
    }
    if cpu := limits.get("cpu") or requests.get("cpu"):
        found["num-cpus"] = str(quantities.whole(cpu))
    if memory := limits.get("memory"):
        found["memory"] = str(quantities.whole(memory))
    gpus = [amount for name, amount in limits.items() if name.endswith("gpu")]
    if gpus and quantities.whole(gpus[0]) > 0:
        found["num-gpus"] = str(quantities.whole(gpus[0]))
    found |= group.get("rayStartParams", {})
    return found | _from_group(group)


def _from_group(group: Object) -> dict[str, str]:
    """`resources` and `labels` of the group itself go before rayStartParams."""
    usual = {"CPU": "num-cpus", "GPU": "num-gpus", "memory": "memory"}
    found, others = {}, {}
    for name, amount in group.get("resources", {}).items():
        if name in usual:
            found[usual[name]] = str(quantities.whole(amount))
        else:
            others[name] = float(quantities.parse(amount))
    if others:
        found["resources"] = f"'{json.dumps(others, separators=(',', ':'), sort_keys=True)}'"
    if labels := group.get("labels"):
        found["labels"] = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
    return found


def arguments(given: dict[str, str]) -> str:
    written = []
    for name, value in sorted(given.items()):
        if name not in _VALUED and value.lower() in ("true", "false"):
            written += [f" --{name} "] if value.lower() == "true" else []
        else:
            written.append(f" --{name}={value} ")
    return "".join(written)
