"""A Ray cluster of this machine's own, whose head has no CPU, and what can be done to it.

Its nodes carry the label that worker groups have in Kubernetes. Runs join it by RAY_ADDRESS, each
in a process of its own, as a head's pod does it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .given import command

LABEL = "lancemill.dev/group"


Group = tuple[str, int, int]
"""A worker group's name, and the CPUs and GPUs of its node."""


@dataclass
class Stage:
    """The cluster."""

    groups: tuple[Group, ...]
    folder: Path = field(init=False)
    cluster: Any = field(init=False)
    nodes: dict[str, Any] = field(init=False)
    _clusters: list[tuple[Any, Path]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        from ray._common.utils import get_default_ray_temp_dir
        from ray.cluster_utils import Cluster

        # Where it notes its address, whatever folder its head is given; it makes only the latter.
        Path(get_default_ray_temp_dir()).mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "temp_dir": str(self.folder),
                "include_dashboard": False,
                "object_store_memory": 100 << 20,
            },
        )
        self._clusters.append((self.cluster, self.folder))
        self.nodes = {
            name: self.cluster.add_node(
                num_cpus=cpus,
                num_gpus=gpus,
                labels={LABEL: name},
                object_store_memory=200 << 20,
            )
            for name, cpus, gpus in self.groups
        }

    def lose_the_head(self) -> None:
        """As when its pod dies, and another cluster is made for the next attempt: what is at work
        on other nodes lives on until it notices."""
        head = self.cluster.head_node
        head.kill_raylet(check_alive=False)
        head.kill_gcs_server(check_alive=False)
        self._begin()

    def close(self) -> None:
        for cluster, folder in self._clusters:
            for node in (*cluster.worker_nodes, cluster.head_node):
                cluster.remove_node(node, allow_graceful=False)
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def start(self, manifest: Path, *arguments: str) -> subprocess.Popen[str]:
        """`lancemill run` on this cluster."""
        return subprocess.Popen(
            command(manifest, *arguments),
            env={**os.environ, "RAY_ADDRESS": self.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def node_of(self, group: str) -> str:
        """The id of the group's node."""
        return str(self.nodes[group].node_id)

    def workers(self) -> dict[int, str]:
        """Processes that are at work on this cluster, with their titles."""
        raylets = {pid for pid, title in processes() if self._is_raylet(title)}
        return {
            pid: title
            for pid, title in processes()
            if title.startswith("ray::") and not _is_ray_s(title) and _parent(pid) in raylets
        }

    def _is_raylet(self, title: str) -> bool:
        return "raylet/raylet" in title and str(self.folder) in title


@contextmanager
def stage(*groups: Group) -> Iterator[Stage]:
    """A cluster with a node for each group."""
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ.update({"RAY_raylet_start_wait_time_s": "200"})  # a busy machine's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Stage(groups)
        try:
            yield made
        finally:
            made.close()


def kill(pid: int) -> None:
    """End a process at once; it may be gone by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _is_ray_s(title: str) -> bool:
    """Whether it is not at work, or one of a node's own agents: without those the node is lost."""
    return "IDLE" in title or "Agent" in title


def processes() -> Iterator[tuple[int, str]]:
    """All of this machine, with their command lines."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                title = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                yield int(entry.name), title


def _parent(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(status.rpartition(")")[2].split()[1])
    return 0
