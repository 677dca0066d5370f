"""A Ray cluster of this machine's own, whose head has no CPU, and what can be done to it.

Its nodes carry the label that worker groups have in Kubernetes. Runs join it by RAY_ADDRESS, each
in a process of its own, as a head's pod does it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .given import SHARD

LABEL = "lancemill.dev/group"


@dataclass
class Stage:
    """The cluster."""

    folder: Path
    cluster: Any
    nodes: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def command(self, manifest: Path, *arguments: str) -> list[str]:
        words = ["run", str(manifest), "--json", "--shard-bytes", SHARD, "--engine", "ray"]
        main = "from lancemill.cli.main import main; main()"
        return [sys.executable, "-c", main, *words, *arguments]

    def start(self, manifest: Path, *arguments: str) -> subprocess.Popen[str]:
        """`lancemill run` on this cluster."""
        return subprocess.Popen(
            self.command(manifest, *arguments),
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
        raylets = {pid for pid, title in _processes() if self._is_raylet(title)}
        return {
            pid: title
            for pid, title in _processes()
            if title.startswith("ray::") and not _is_ray_s(title) and _parent(pid) in raylets
        }

    def _is_raylet(self, title: str) -> bool:
        return "raylet/raylet" in title and str(self.folder) in title


@contextmanager
def stage(*groups: tuple[str, int, int]) -> Iterator[Stage]:
    """A cluster with a node for each group (name, CPUs, GPUs)."""
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    os.environ.update({"RAY_raylet_start_wait_time_s": "200"})  # a busy machine's
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "temp_dir": str(folder),
                "include_dashboard": False,
                "object_store_memory": 100 << 20,
            },
        )
        made = Stage(folder, cluster)
        try:
            for name, cpus, gpus in groups:
                made.nodes[name] = cluster.add_node(
                    num_cpus=cpus,
                    num_gpus=gpus,
                    labels={LABEL: name},
                    object_store_memory=200 << 20,
                )
            yield made
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def kill(pid: int) -> None:
    """End a process at once; it may be gone by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _is_ray_s(title: str) -> bool:
    """Whether it is not at work, or one of a node's own agents: without those the node is lost."""
    return "IDLE" in title or "Agent" in title


def _processes() -> Iterator[tuple[int, str]]:
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
