"""A real control plane on loopback: etcd, API server, controller manager, scheduler.

No container, no root, no node: three seconds after the start it serves our CRDs (and KubeRay's,
where they are at hand), collects garbage, enforces quota and binds pods to nodes that a test makes
up. For tests, for `make operator-demo`, for benchmarks: it depends on no test framework.

    with control_plane() as plane:
        plane.rest().get("/version")
        subprocess.run([plane.binaries.path("kubectl"), "--kubeconfig", plane.kubeconfig(), ...])

Start it from a thread that lives as long as it does: the kernel kills the programs with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kube import flags
from kube.binaries import Binaries, crd_layers, find_binaries
from kube.credentials import (
    ADMIN,
    USERS,
    Identity,
    identities,
    write_kubeconfig,
    write_signing_keys,
    write_token_file,
)
from kube.processes import Ended, Program
from kube.rest import Refused, Rest, resource
from kube.seed import Layer, apply_crds, seed_folder

OURS = "lancemill.dev/v1alpha1"
START_SECONDS = 120  # a start takes 4; this is for a machine that has much else to do
ATTEMPTS = 3

API_SERVER, ETCD = "kube-apiserver", "etcd"
CONTROLLER_MANAGER, SCHEDULER = "kube-controller-manager", "kube-scheduler"


@dataclass
class ControlPlane:
    """What runs, and how to reach it. `folder` holds all of its files, logs included."""

    folder: Path
    binaries: Binaries
    known: dict[str, Identity]
    server: str
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def authority(self) -> Path:
        """The certificate that the API server signed for itself."""
        return self.folder / "pki" / "apiserver.crt"

    def rest(self, user: str = ADMIN) -> Rest:
        return Rest(self.server, self.known[user].token, self.authority)

    def kubeconfig(
        self, user: str = ADMIN, *, server: str | None = None, namespace: str = "default"
    ) -> Path:
        """A kubeconfig of one of the `known`; `server` is that of a proxy before the API server."""
        where = server or self.server
        name = f"{user.replace(':', '-')}-{namespace}-{where.rsplit(':', 1)[-1]}"
        path = self.folder / "kubeconfigs" / f"{name}.json"
        return write_kubeconfig(path, self.known[user], where, self.authority, namespace)

    def service_account(self, namespace: str, name: str) -> str:
        """Makes the ServiceAccount known by its user name, `system:serviceaccount:NS:NAME`.

        It is created when it is not there; what it may do is for the test to bind.
        """
        path = resource("v1", "serviceaccounts", namespace)
        with contextlib.suppress(Refused):
            self.rest().create(path, {"metadata": {"name": name}})
        request = {"spec": {"expirationSeconds": 24 * 3600}}
        granted = self.rest().create(f"{path}/{name}/token", request)
        user = f"system:serviceaccount:{namespace}:{name}"
        self.known[user] = Identity(user, granted["status"]["token"])
        return user

    @property
    def runs_controllers(self) -> bool:
        """Whether there is garbage collection, quota, namespace deletion, EndpointSlices."""
        return CONTROLLER_MANAGER in self.programs

    @property
    def runs_scheduler(self) -> bool:
        return SCHEDULER in self.programs

    def serves(self, api: str) -> bool:
        """Whether an API such as ray.io/v1 is there."""
        return self.rest().find(f"/apis/{api}") is not None

    def must_run(self) -> None:
        """Raises, with the end of its log, when one of the programs is gone."""
        for program in self.programs.values():
            program.must_run()

    def restart(self, name: str) -> None:
        """SIGKILL and a new start of one program, as a test of what survives it."""
        self.programs[name].kill()
        self.programs[name].start()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self._wait_for("the API server", self._answers)

    def wait_for_controllers(self) -> None:
        """Until pods may be made in `default`, and owners' children are collected."""
        if not self.runs_controllers:
            return
        account = resource("v1", "serviceaccounts", "default", "default")
        self._wait_for("ServiceAccounts", lambda: self.rest().find(account) is not None)
        path = _orphan(self.rest())
        self._wait_for("the garbage collector", lambda: self.rest().find(path) is None)

    def _answers(self) -> bool:
        try:
            return self.authority.exists() and self.rest().answer("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not holds():
            self.must_run()
            if time.monotonic() > deadline:
                tails = "\n".join(f"-- {one.name}\n{one.tail()}" for one in self.programs.values())
                raise Ended(f"{what} did not come up in {START_SECONDS} s:\n{tails}")
            time.sleep(0.05)

    def run(self, name: str, *arguments: str) -> None:
        command = (self.binaries.path(name), *arguments)
        log = self.folder / "logs" / f"{name}.log"
        self.programs[name] = Program(command, log, os.environ | flags.ENVIRONMENT).start()

    def stop(self) -> None:
        """The API server first: what is left then has nobody to talk to."""
        for name in (API_SERVER, *self.programs):
            if name in self.programs:
                self.programs[name].kill()


@contextlib.contextmanager
def control_plane(
    binaries: Binaries | None = None,
    *,
    users: Mapping[str, Sequence[str]] = USERS,
    crds: Sequence[Path] | None = None,
    controllers: bool = True,
    keep_logs: Callable[[], Path | None] = lambda: None,
) -> Iterator[ControlPlane]:
    """A control plane that is ready, and gone afterwards.

    `users` maps names to groups; more than these are had by `ControlPlane.service_account`.
    `controllers=False` leaves out the controller manager and the scheduler, as KUBE_ASSETS without
    them does. `keep_logs` is asked at the end where the logs shall go, if anywhere.
    """
    found = binaries or find_binaries()
    with tempfile.TemporaryDirectory(prefix="lancemill-kube-", ignore_cleanup_errors=True) as name:
        plane = _started(Path(name), found, users, crds, controllers)
        try:
            yield plane
        finally:
            plane.stop()
            kept = keep_logs()
            if kept is not None:
                shutil.copytree(plane.folder / "logs", kept, dirs_exist_ok=True)


def _started(
    folder: Path,
    binaries: Binaries,
    users: Mapping[str, Sequence[str]],
    crds: Sequence[Path] | None,
    controllers: bool,
) -> ControlPlane:
    seed = seed_folder(binaries, crd_layers() if crds is None else (crds,), seeding)
    for attempt in range(ATTEMPTS):
        plane = _prepared(folder / str(attempt), binaries, identities(users), seed)
        try:
            _start(plane)
            if controllers:
                _start_controllers(plane)
                plane.wait_for_controllers()
            return plane
        except Ended as problem:
            plane.stop()
            # Between our choice of a free port and its use, another process may have taken it.
            if "address already in use" not in str(problem) or attempt + 1 == ATTEMPTS:
                raise
        except BaseException:
            plane.stop()
            raise
    raise AssertionError("unreachable")


def seeding(binaries: Binaries, below: Path | None, crds: Layer, folder: Path) -> Path:
    """etcd's data with the CRDs in it, made by an API server that is killed afterwards."""
    plane = _prepared(folder, binaries, identities({ADMIN: USERS[ADMIN]}), below)
    try:
        _start(plane)
        apply_crds(plane.rest(), crds)
    finally:
        plane.stop()
    return plane.folder / "etcd"


def _prepared(
    folder: Path, binaries: Binaries, known: dict[str, Identity], seed: Path | None
) -> ControlPlane:
    (folder / "logs").mkdir(parents=True)
    write_signing_keys(folder)
    write_token_file(folder / "tokens.csv", known)
    if seed is not None:
        shutil.copytree(seed, folder / "etcd")
    return ControlPlane(folder, binaries, known, f"https://127.0.0.1:{free_port()}")


def _start(plane: ControlPlane) -> None:
    """etcd and the API server, until it is ready."""
    clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    plane.run(ETCD, *flags.etcd(plane.folder, clients, peers))
    plane.run(API_SERVER, *flags.api_server(plane.folder, clients, plane.server))
    plane.wait_until_ready()


def _start_controllers(plane: ControlPlane) -> None:
    """Only after the CRDs are served: the garbage collector looks for new kinds twice a minute."""
    kubeconfig = plane.kubeconfig()
    if plane.binaries.has(CONTROLLER_MANAGER):
        plane.run(CONTROLLER_MANAGER, *flags.controller_manager(plane.folder, kubeconfig))
    if plane.binaries.has(SCHEDULER):
        plane.run(SCHEDULER, *flags.scheduler(plane.folder, kubeconfig))


def _orphan(rest: Rest) -> str:
    """One of our objects whose owner never was: gone when the collector watches our kinds."""
    gone = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "nobody",
        "uid": "00000000-0000-0000-0000-000000000000",
    }
    body = {
        "apiVersion": OURS,
        "kind": "LanceDataset",
        "metadata": {"name": "orphan", "ownerReferences": [gone]},
        "spec": {"uri": "s3://nowhere/orphan.lance"},
    }
    rest.create(resource(OURS, "lancedatasets", "default"), body)
    return resource(OURS, "lancedatasets", "default", "orphan")


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port
