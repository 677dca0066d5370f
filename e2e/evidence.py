"""What is kept of a scenario that failed: objects, events and logs, as files."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.cache import say
from e2e.cluster import Cluster

KINDS = "mmp,lds,rayjobs,rayclusters,jobs,pods,services,configmaps,networkpolicies"


def collect(cluster: Cluster, namespaces: Sequence[str], scenario: str) -> None:
    folder = cluster.logs / scenario
    folder.mkdir(parents=True, exist_ok=True)
    for namespace in namespaces:
        kubectl = cluster.kubectl.at(namespace)
        texts = {
            "objects.yaml": kubectl("get", KINDS, "-o", "yaml", check=False),
            "events.txt": kubectl("get", "events", "--sort-by=.lastTimestamp", check=False),
            "pods.txt": kubectl("describe", "pods", check=False),
        }
        pods = kubectl("get", "pods", "-o", "name", check=False).split()
        for pod in pods:
            name = pod.partition("/")[2]
            logs = ("logs", pod, "--all-containers", "--prefix", "--tail=3000")
            texts[f"{name}.log"] = kubectl(*logs, check=False)
        for name, text in texts.items():
            (folder / f"{namespace}-{name}").write_text(text)
    say(f"what is left of {scenario}: {folder}")
