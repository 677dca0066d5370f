"""Addresses for pods that are played on this machine.

A pod's address ends up in EndpointSlices, and the API server's proxy connects to it: both refuse
loopback (127.0.0.0/8), so a played dashboard cannot listen there. What this machine offers:

- Root (CAP_NET_ADMIN on Linux, also inside `unshare -rn`): a network of this process's own out of
  198.18.0.0/15, which is set aside for tests, is declared local by one route on the loopback
  interface. Every address of it can then be bound and connected to, and no packet leaves.
- Else: the machine's own first address, the same for all pods. `shared` says so; then two played
  heads cannot both listen on one port, and one server must tell them apart (by submission id).
- Else (no network at all): NoAddress, which tells what would help.

    with pod_addresses() as addresses:
        head = addresses.take()        # "198.18.7.1"
        TCPSite(runner, head, 8265)
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from kube.binaries import Missing

RANGE = IPv4Network("198.18.0.0/15")
PREFIX = 20  # 4,094 addresses for each process that asks: a head each for a thousand runs
_ELSEWHERE = "192.0.2.1"  # asked for the way to it; nothing is sent


class NoAddress(Missing):
    """This machine has no address but loopback's."""


@dataclass
class PodAddresses:
    """Hands out addresses; given back, one may be handed out again."""

    free: list[str]
    shared: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self) -> str:
        with self._lock:
            if not self.free:
                raise NoAddress("all addresses for pods are taken")
            return self.free[0] if self.shared else self.free.pop(0)

    def give_back(self, address: str) -> None:
        with self._lock:
            if not self.shared:
                self.free.append(address)


@contextlib.contextmanager
def pod_addresses() -> Iterator[PodAddresses]:
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(_own_network())
        if network is not None:
            yield PodAddresses([str(address) for address in network.hosts()], shared=False)
        else:
            yield PodAddresses([_address_of_this_machine()], shared=True)


@contextlib.contextmanager
def _own_network() -> Iterator[IPv4Network | None]:
    """A network that this process alone uses, or None where routes may not be set.

    Its lock is held for as long as it is used, so that the route of a process that was killed is
    taken over by the next one and not left for ever.
    """
    program = shutil.which("ip")
    if program is None:
        yield None
        return
    folder = Path(tempfile.gettempdir()) / "lancemill-pod-networks"
    folder.mkdir(mode=0o777, exist_ok=True)
    for network in RANGE.subnets(new_prefix=PREFIX):
        try:
            lock = (folder / str(network.network_address)).open("w")
        except PermissionError:  # somebody else's
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not _route(program, "replace", network):
                yield None
                return
            try:
                yield network
            finally:
                _route(program, "del", network)
            return
    yield None


def _route(program: str, verb: str, network: IPv4Network) -> bool:
    command = [program, "route", verb, "local", str(network), "dev", "lo"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _address_of_this_machine() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE, 9))
        except OSError:
            raise NoAddress(
                "pods cannot be played here: the machine has no address but loopback's, and this "
                "user may not set a route; try `unshare --user --map-root-user --net`"
            ) from None
        address = probe.getsockname()[0]
    if IPv4Address(address).is_loopback:
        raise NoAddress("this machine's own address is a loopback one")
    return str(address)
