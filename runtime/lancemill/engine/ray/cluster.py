"""Which Ray a run is on, and what its nodes have.

RAY_ADDRESS names a cluster; without it one is started on this machine, in a folder and on ports of
its own, and stopped behind the run. A Ray that this process has joined already is used as it is.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import ray

from lancemill.engine.context import usable_cores
from lancemill.engine.ray.pools import Pool
from lancemill.engine.ray.streams import GROUP_LABEL
from lancemill.errors import RunError
from lancemill_api.handed import ATTEMPT, TASK_OOM_RETRIES

log = logging.getLogger(__name__)

STORE_BYTES = 256 << 20
"""Ray's object store of a local Ray where rows stay in the process that read them."""
STREAMS_STORE_BYTES = 1 << 30
"""The same where they pass from process to process: blocks of 8 MiB, four a stream."""
KNOCK_S = 5.0
"""How long a head that is just starting is waited for."""
LONGEST_FOLDER = 40
"""Characters of the folder of a local Ray: its sockets lie below, and a socket's path is short."""
RAYS_OWN = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
    **TASK_OOM_RETRIES,
}
"""What Ray's processes are started with; in a cluster the operator says what matters of it."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive."""

    id: str
    resources: Mapping[str, float]
    labels: Mapping[str, str]
    address: str = ""


def nodes() -> list[Node]:
    """The cluster's nodes that are alive now."""
    told: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [
        Node(one["NodeID"], one["Resources"], one["Labels"], one["NodeManagerAddress"])
        for one in told
        if one["Alive"]
    ]


def slots(there: Sequence[Node], pool: Pool) -> int:
    """How many workers of `pool` these nodes can run at once."""
    return sum(_slots(node, pool) for node in there if _fits(node, pool))


def _fits(node: Node, pool: Pool) -> bool:
    return pool.group is None or node.labels.get(GROUP_LABEL) == pool.group


def _slots(node: Node, pool: Pool) -> int:
    cores = node.resources.get("CPU", 0.0)
    if pool.gpus:
        gpus = int(node.resources.get("GPU", 0.0) / pool.gpus + 1e-6)
        return min(gpus, int(cores / pool.cpus)) if pool.cpus else gpus
    return int(cores / (pool.cpus or 1.0))


def is_grouped(there: Sequence[Node]) -> bool:
    """Whether the cluster has worker groups: its nodes say so, or whoever ordered the attempt is
    an operator, whose groups may have no node yet."""
    return any(GROUP_LABEL in node.labels for node in there) or (
        ATTEMPT in os.environ and "RAY_ADDRESS" in os.environ
    )


@contextmanager
def joined(gpus: float, *, streamed: bool) -> Iterator[str]:
    """Ray, for as long as inside; what a reader should know of it, in words, or nothing.

    RunError where it cannot be had; Stopped where a signal came first.
    `gpus`: the most that one worker needs. `streamed`: whether rows pass through Ray.
    """
    if ray.is_initialized():
        yield ""
        return
    os.environ.update({name: os.environ.get(name, value) for name, value in RAYS_OWN.items()})
    address = os.environ.get("RAY_ADDRESS", "")
    with _left_on_a_signal(), warnings.catch_warnings():
        # Ray's own processes are forked, and become other programs at once.
        warnings.filterwarnings("ignore", "lance is not fork-safe")
        folder, told = (None, "") if address else _started(gpus, streamed)
        if address:
            _connected(address)
    _log_what_ray_says()
    try:
        yield told
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _log_what_ray_says() -> None:
    """A raylet's complaints go to our log. Ray prints them to standard output, between the lines
    of `--json`, and has no option for it; what they tell of is counted and told by us."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = _logged


def _logged(data: Any, ignore_prefix: bool) -> None:
    log.debug("ray: %s", "\n".join(map(str, data.get("lines", ()))))


def _connected(address: str) -> None:
    """Join the cluster. Whether anybody answers is tried first: Ray itself tries for minutes, and
    then ends the process."""
    try:
        _knock(address)
    except (ValueError, OSError) as error:
        raise RunError(
            f"there is no Ray at RAY_ADDRESS={address}: {_first_line(error)}",
            remedy="unset RAY_ADDRESS for a Ray of this machine's own",
        ) from error
    with _wholly(
        f"the Ray at RAY_ADDRESS={address} cannot be joined",
        "see that it is up, and of this machine's version of Ray",
    ):
        ray.init(address=address, **_QUIETLY)


@contextmanager
def _wholly(words: str, remedy: str) -> Iterator[None]:
    """Ray's start inside; where it fails nothing of it stays. RunError, or what a signal raises."""
    try:
        yield
    except BaseException as error:
        ray.shutdown()
        if not isinstance(error, Exception):  # Ray raises plain ones
            raise
        raise RunError(f"{words}: {_first_line(error)}", remedy=remedy) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _knock(address: str) -> None:
    """OSError where nobody listens; ValueError for an address of another kind."""
    host, colon, port = address.rpartition(":")
    if "://" in address:
        raise ValueError("expected HOST:PORT of its head, from a process in the cluster")
    if not colon or not port.isdigit():
        return  # "auto" or "local": Ray knows what that means
    deadline = time.monotonic() + KNOCK_S
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


_QUIETLY: dict[str, Any] = {
    "log_to_driver": False,
    "logging_level": logging.ERROR,
    "configure_logging": True,
}


def _started(gpus: float, streamed: bool) -> tuple[Path, str]:
    """A Ray of this machine's own: no dashboard, nothing printed, its folder gone at the end."""
    has = _gpus_here()
    folder = _folder()
    try:
        with _wholly("Ray does not start on this machine", "try again when it has less to do"):
            ray.init(
                address="local",
                num_cpus=usable_cores(),
                num_gpus=max(has, math.ceil(gpus)),
                include_dashboard=False,
                object_store_memory=STREAMS_STORE_BYTES if streamed else STORE_BYTES,
                _temp_dir=str(folder),
                **_QUIETLY,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if gpus > has:
        return folder, "no GPU on this machine: stages that ask for one run on its cores"
    return folder, ""


def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="lm-"))
    if len(str(made)) > LONGEST_FOLDER:
        with suppress(OSError):
            made.rmdir()
        made = Path(tempfile.mkdtemp(prefix="lm-", dir="/tmp"))
    return made


def _gpus_here() -> int:
    """GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


class Stopped(Exception):
    """A signal came while Ray was starting; whoever minds signals has been told."""


@contextmanager
def _left_on_a_signal() -> Iterator[None]:
    """Ray takes SIGTERM for itself, from its start on, and ends the process by SystemExit. How a
    run ends is its driver's decision: its handlers are called, and Ray's start is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    told: list[int] = []

    def leave(number: int, frame: FrameType | None) -> None:
        told.append(number)
        _call(kept[signal.Signals(number)], number, frame)
        sys.exit(number)

    for one, handler in kept.items():
        signal.signal(one, leave if callable(handler) else handler)
    try:
        yield
    except SystemExit as ended:
        if not told and ended.code != signal.SIGTERM:
            raise RunError(f"Ray ended its start by itself, with status {ended.code}") from ended
        if not told and not _call(kept[signal.SIGTERM], signal.SIGTERM, None):
            raise
        raise Stopped from ended
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _call(handler: Any, number: int, frame: FrameType | None) -> bool:
    """Whether there is anybody to tell of the signal."""
    if not callable(handler):
        return False
    handler(number, frame)
    return True
