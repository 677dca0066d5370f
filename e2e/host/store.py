"""containerd's own store: images are imported once and kept there from run to run.

One process at a time may use it. A run that was killed leaves containers in its books, which the
next one takes out before its kubelet could wonder about them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e.cache import CACHE, Unavailable, say
from e2e.host import debian
from e2e.image import archive
from e2e.image.build import Built

CONTAINERD_ROOT = CACHE / "containerd"
IMPORTED = CACHE / "imported.json"
"""Which image, by its identity, each name stands for in the store."""
START_SECONDS = 60


def pause(programs: Path) -> Built:
    folder = programs.parent / f"pause-{programs.name}"
    (folder / "fs").mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.link(programs / "pause", folder / "fs" / "pause")
    return Built(key=programs.name, layers=(folder / "fs",), entrypoint=("/pause",))


def fill(images: Mapping[str, Built], packages: Path) -> None:
    """After this the store holds `images`, by name, and nothing of an earlier run's containers."""
    known = json.loads(IMPORTED.read_text()) if IMPORTED.is_file() else {}
    fresh = {name: image for name, image in images.items() if known.get(name) != image.identity}
    with _containerd(packages) as ctr:
        forget_containers(ctr)
        for name, image in fresh.items():
            _import(ctr, name, image)
            known[name] = image.identity
            IMPORTED.write_text(json.dumps(known, indent=1))


def _import(ctr: list[str], name: str, image: Built) -> None:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        packed = Path(folder) / "image.tar"
        known = set(_said([*ctr, "content", "ls", "--quiet"]).split())
        archive.write(image, name, packed, known)
        _said([*ctr, "images", "import", "--snapshotter", "overlayfs", str(packed)])
    say(f"{name} is in containerd's store: {time.monotonic() - started:.0f} s")


def forget_containers(ctr: list[str]) -> None:
    left = _said([*ctr, "containers", "ls", "--quiet"]).split()
    if left:
        _said([*ctr, "containers", "rm", *left])
    for line in _said([*ctr, "snapshots", "ls"]).splitlines()[1:]:
        name, *_, kind = line.split()
        if kind == "Active":
            _said([*ctr, "snapshots", "rm", name])


@contextlib.contextmanager
def _containerd(packages: Path) -> Iterator[list[str]]:
    """A containerd for the store alone, without the part that runs pods."""
    CONTAINERD_ROOT.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **debian.environment(packages)}
    with tempfile.TemporaryDirectory(prefix="e2e-containerd-") as name:
        folder = Path(name)
        (folder / "config.toml").write_text(
            f'version = 2\nroot = "{CONTAINERD_ROOT}"\nstate = "{folder}/state"\n'
            f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{folder}/socket"\n'
        )
        command = [str(packages / "usr/bin/containerd"), "--config", str(folder / "config.toml")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, folder)
            yield [
                *(str(packages / "usr/bin/ctr"), "--address", f"{folder}/socket"),
                *("--namespace", "k8s.io"),
            ]
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (folder / "socket").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"containerd does not start: {(folder / 'log').read_text()[-800:]}")
        time.sleep(0.05)


def _said(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command[5:7])}: {done.stderr.strip()[-500:]}")
    return done.stdout
