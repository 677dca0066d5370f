"""Starts the node, inside its namespaces: control plane, containerd, kubelet, DNS, service proxy.

Whoever calls this is already in network, mount and process namespaces of their own (`enter`), so
nothing here is undone: it ends with them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.host import configuration as settings
from e2e.host import debian
from e2e.host.store import CONTAINERD_ROOT
from kube import flags
from kube.binaries import crd_layers, find_binaries
from kube.control_plane import ControlPlane, seeding
from kube.credentials import ADMIN, identities, write_signing_keys, write_token_file
from kube.processes import Ended, Program
from kube.rest import Rest, resource
from kube.seed import seed_folder

START_SECONDS = 180
SHARES = 8192
"""What all pods together weigh beside other processes of the machine, of which each weighs 1024:
as one they would starve, and Ray gives up a head that is not up in 30 s."""
USERS = {
    ADMIN: ("system:masters",),
    f"system:node:{settings.NODE}": ("system:nodes",),
    "system:kube-proxy": (),
}
ETCD_CLIENTS, ETCD_PEERS = "http://127.0.0.1:2379", "http://127.0.0.1:2380"


@dataclass
class Place:
    """What was prepared outside, and the folder of this run."""

    folder: Path
    packages: Path
    programs: Path
    cgroup: str


@contextlib.contextmanager
def node(place: Place) -> Iterator[ControlPlane]:
    """A node that is Ready, with the images of the containerd root."""
    _isolate(place)
    plane = _control_plane(place)
    try:
        _start(plane, place)
        yield plane
    finally:
        plane.stop()


def _isolate(place: Place) -> None:
    """Mounts, cgroups and addresses; the kubelet wants shared mounts, and /run must be ours lest
    network namespaces and shims stay on the machine."""
    resolv = place.folder / "resolv.conf"
    resolv.write_text(settings.RESOLV_CONF)
    _do("mount", "--make-rshared", "/")
    _do("mount", "-t", "tmpfs", "tmpfs", "/run")
    _do("mount", "--bind", str(resolv), "/etc/resolv.conf")
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        _make_cgroup(hierarchy, place.cgroup)
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "link", "add", settings.BRIDGE, "type", "bridge")
    _do("ip", "addr", "add", f"{settings.ADDRESS}/24", "dev", settings.BRIDGE)
    _do("ip", "link", "set", settings.BRIDGE, "up")
    # So that this side, which has no default route, reaches the addresses of services too.
    _do("ip", "route", "add", settings.SERVICES, "dev", settings.BRIDGE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _make_cgroup(hierarchy: Path, name: str) -> None:
    if not hierarchy.is_dir() or hierarchy.is_symlink():
        return
    made = hierarchy / name.strip("/")
    made.mkdir(exist_ok=True)
    for inherited in ("cpuset.cpus", "cpuset.mems"):
        if (hierarchy / inherited).is_file():
            (made / inherited).write_text((hierarchy / inherited).read_text())
    if (made / "cpu.shares").is_file():
        (made / "cpu.shares").write_text(str(SHARES))


def _control_plane(place: Place) -> ControlPlane:
    binaries = find_binaries()
    # KubeRay's CRDs only: ours are the chart's to install. Where they are not at hand KubeRay's
    # own chart must bring them.
    theirs, _ = crd_layers()
    folder = place.folder / "plane"
    (folder / "logs").mkdir(parents=True)
    known = identities(USERS)
    write_signing_keys(folder)
    write_token_file(folder / "tokens.csv", known)
    seed = seed_folder(binaries, (theirs,), seeding)
    if seed is not None:
        shutil.copytree(seed, folder / "etcd")
    return ControlPlane(folder, binaries, known, settings.SERVER)


def _start(plane: ControlPlane, place: Place) -> None:
    environment = {**os.environ, **debian.environment(place.packages)}
    _write(place)
    containerd = _program(plane, environment, place.packages / "usr/bin/containerd")
    containerd("--config", str(place.folder / "containerd.toml"))
    plane.run("etcd", *flags.etcd(plane.folder, ETCD_CLIENTS, ETCD_PEERS))
    plane.run("kube-apiserver", *settings.api_server(plane.folder, ETCD_CLIENTS))
    plane.wait_until_ready()
    admin = plane.kubeconfig()
    plane.run("kube-controller-manager", *settings.controller_manager(plane.folder, admin))
    plane.run("kube-scheduler", *flags.scheduler(plane.folder, admin))
    _start_node(plane, place, environment)


def _start_node(plane: ControlPlane, place: Place, environment: Mapping[str, str]) -> None:
    """kubelet, DNS and service proxy; until pods can be made, and run."""
    _wait(plane, "containerd", lambda: Path("/run/containerd.sock").exists())
    kubelet = _program(plane, environment, Path(plane.binaries.path("kubelet")))
    kubelet(*settings.kubelet_flags(place.folder, plane.kubeconfig(f"system:node:{settings.NODE}")))
    rest = plane.rest()
    for body in settings.dns_service():
        plural = {"Service": "services", "EndpointSlice": "endpointslices"}[body["kind"]]
        rest.create(resource(body["apiVersion"], plural, "kube-system"), body)
    (place.folder / "Corefile").write_text(settings.corefile(plane.kubeconfig()))
    dns = _program(plane, environment, place.programs / "coredns")
    dns("-conf", str(place.folder / "Corefile"))
    proxy = _program(plane, environment, Path(plane.binaries.path("kube-proxy")))
    proxy(*settings.proxy_flags(plane.kubeconfig("system:kube-proxy")))
    account = resource("v1", "serviceaccounts", "default", "default")
    _wait(plane, "ServiceAccounts", lambda: rest.find(account) is not None)
    _wait(plane, "the node", lambda: _is_ready(rest))


def _write(place: Place) -> None:
    cni = place.folder / "cni"
    cni.mkdir()
    (cni / "10-lancemill.conflist").write_text(settings.network())
    texts = {
        "containerd.toml": settings.containerd(CONTAINERD_ROOT, place.folder, place.packages),
        "kubelet.json": settings.kubelet(place.folder, place.cgroup),
    }
    for name, text in texts.items():
        (place.folder / name).write_text(text)


def _program(
    plane: ControlPlane, environment: Mapping[str, str], path: Path
) -> Callable[..., None]:
    def start(*arguments: str) -> None:
        log = plane.folder / "logs" / f"{path.name}.log"
        program = Program((str(path), *arguments), log, environment)
        plane.programs[path.name] = program.start()

    return start


def _is_ready(rest: Rest) -> bool:
    found = rest.find(resource("v1", "nodes", None, settings.NODE)) or {}
    conditions = found.get("status", {}).get("conditions", ())
    tainted = found.get("spec", {}).get("taints")
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not tainted


def _wait(plane: ControlPlane, what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        plane.must_run()
        if time.monotonic() > deadline:
            tails = "\n".join(f"-- {one.name}\n{one.tail()}" for one in plane.programs.values())
            raise Ended(f"{what} did not come up in {START_SECONDS} s:\n{tails}")
        time.sleep(0.1)


def _do(*command: str) -> None:
    subprocess.run(command, check=True)
