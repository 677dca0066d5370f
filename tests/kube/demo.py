"""`make operator-demo`: a manifest applied, and its run watched with `kubectl get mmp -w`.

Real: etcd, API server, controllers, scheduler, kubectl, our CRDs, our operator as a process.
Played: KubeRay (the stand-in that is held to recordings of the real one), nodes, pods, and so the
run itself: no picture is read. `make demo` does that, on this machine.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from kube import loops
from kube.control_plane import ControlPlane, control_plane
from kube.fake_nodes import CPU_NODE, GPU_NODE, Timing, played_nodes
from kube.kuberay.controller import Options, running
from kube.kuberay.rayjob import Settings
from kube.namespaces import fresh_namespace
from kube.operator_process import operator
from kube.plays import Director
from kube.probe_answers import well

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "examples" / "cluster.yaml"
SECONDS = 300


def main() -> int:
    print("starting a control plane, our operator and a stand-in for KubeRay …", flush=True)
    with tempfile.TemporaryDirectory() as folder, control_plane() as plane:
        return loops.run(_demo(plane, Path(folder)))


async def _demo(plane: ControlPlane, folder: Path) -> int:
    config = str(plane.kubeconfig())
    options = Options(Settings(poll=1.0, status_check_timeout=300, after_ttl=0), (), True)
    nodes = played_nodes(config, nodes=[CPU_NODE, GPU_NODE], timing=Timing(), job_ending=well)
    async with nodes as played, running(config, options):
        return await asyncio.to_thread(_life, plane, folder, played.director)


def _life(plane: ControlPlane, folder: Path, director: Director) -> int:
    settings: dict[str, object] = {"progress_interval": 1, "log_level": "info"}
    with fresh_namespace(plane) as namespace, operator(plane, folder, **settings):
        director.say(namespace, "seconds=10,lingers=15")
        kubectl = _kubectl(plane, namespace)
        _show(kubectl, "create", "secret", "generic", "lake", "--from-literal=aws_access_key_id=x")
        _show(kubectl, "apply", "-f", str(MANIFEST))
        print("$ kubectl get mmp -w", flush=True)
        watch = subprocess.Popen([*kubectl, "get", "mmp", "-w"])
        try:
            ended = subprocess.run(
                [
                    *kubectl,
                    "wait",
                    "mmp/cats",
                    "--for=condition=Succeeded",
                    f"--timeout={SECONDS}s",
                ],
                stdout=subprocess.DEVNULL,
            ).returncode
        finally:
            watch.terminate()
            watch.wait()
        _show(kubectl, "get", "lds")
        _show(kubectl, "get", "events", "--field-selector=involvedObject.kind=MultimodalPipeline")
        _show(kubectl, "apply", "-f", str(MANIFEST))
        _show(kubectl, "delete", "-f", str(MANIFEST))
    print("all of it was real but for KubeRay, nodes and pods, which were played")
    return ended


def _kubectl(plane: ControlPlane, namespace: str) -> list[str]:
    return [
        str(plane.binaries.path("kubectl")),
        f"--kubeconfig={plane.kubeconfig()}",
        f"--namespace={namespace}",
    ]


def _show(kubectl: list[str], *arguments: str) -> None:
    told = " ".join(one.replace(f"{ROOT}/", "") for one in arguments)
    print(f"$ kubectl {told}", flush=True)
    subprocess.run([*kubectl, *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
