"""From outside to inside: prepares all that needs a network, then runs a command in namespaces.

`unshare --kill-child` ties everything to one process: when it ends, however it ends, etcd and the
last container end with it, and with them addresses, rules and mounts. Only empty cgroups stay, and
the folder of the run; both are taken away here.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e.cache import CACHE, ROOT, alone, forget_all_but, forget_unused, say
from e2e.host import debian, store
from e2e.host.configuration import PAUSE
from e2e.host.programs import programs
from e2e.image.build import LAYERS, Builder, Built
from e2e.image.context import Context
from e2e.image.dockerfile import parse
from e2e.image.images import IMAGES

FOLDER, CGROUP = "E2E_HOST_FOLDER", "E2E_HOST_CGROUP"
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_SECONDS = 20
PREFIX = "lancemill-e2e-"
KEPT_LOGS = 8
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def why_not() -> str | None:
    """What this machine lacks for a node of its own; None where nothing is."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it takes Linux and root"
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        return f"namespaces of one's own are not allowed here ({tried.stderr.strip()})"
    if not shutil.which("apt-get") or not shutil.which("ip"):
        return "it takes Debian's apt-get, dpkg and ip"
    if not Path("/etc/debian_version").read_text().startswith("12"):
        return "it is made for Debian 12 (its containerd, and its Python 3.11 in images)"
    if not (CGROUPS / "memory").is_dir():
        return "it is made for cgroups of version 1, and was never tried with others"
    return None


def prepare() -> None:
    """Everything that is fetched or built, into the cache; seconds when it is there."""
    for command in (("kube-assets", "kubernetes", "helm3"), ("prometheus-assets",)):
        path = str(ROOT / "scripts" / command[0])
        subprocess.run([path, *command[1:]], check=True, stdout=sys.stderr)
    with alone("cache"):
        packages = debian.packages()
        builder = Builder(Context.of(ROOT), debian.base)
        images: dict[str, Built] = {PAUSE: store.pause(programs())}
        for image in IMAGES:
            text = (ROOT / image.dockerfile).read_text()
            images[image.reference] = builder.build(parse(text, image.arguments))
        store.fill(images, packages)
        forget_unused(LAYERS)
        forget_all_but(CACHE / "logs", KEPT_LOGS)


def inside(command: list[str]) -> int:
    """Runs `command` where a node can be started; its exit status."""
    with alone("node"):
        prepare()
        with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as at:
            name = Path(at).name
            environment = {**os.environ, FOLDER: at, CGROUP: f"/{name}"}
            init = [sys.executable, str(Path(__file__).parent / "init.py")]
            try:
                return _ended(["unshare", *NAMESPACES, *init, *command], environment)
            finally:
                _forget_cgroups()


def _ended(command: list[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    # unshare itself does not hear SIGTERM; when it is killed the kernel ends all that is inside.
    with _at_sigterm(process.kill):
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                say("stopping …")


@contextlib.contextmanager
def _at_sigterm(stop: Callable[[], None]) -> Iterator[None]:
    """It ends what was started, and then this process in its own way: cleaning up."""
    before = signal.signal(signal.SIGTERM, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _forget_cgroups() -> None:
    """Those of this run, and of one that was killed; they go when their last process has."""
    deadline = time.monotonic() + CGROUP_SECONDS
    while left := [one for one in CGROUPS.glob(f"*/{PREFIX}*") if not _is_removed(one)]:
        if time.monotonic() > deadline:
            say(f"these cgroups stay: {', '.join(map(str, left))}")
            return
        time.sleep(0.1)


def _is_removed(cgroup: Path) -> bool:
    folders = [one for one in cgroup.rglob("*") if one.is_dir()]
    for folder in (*sorted(folders, reverse=True), cgroup):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return not cgroup.exists()
