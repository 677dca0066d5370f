"""etcd's data with all CRDs in it, made once: KubeRay's are megabytes, and take ten seconds.

Each control plane starts on a copy. A copy is named after the binaries and the CRDs' contents, so
a changed model gets a new one. They are made in layers, the one that seldom changes first: then a
change of ours costs seconds. Without a seed, the garbage collector would also know the kinds only
half a minute later.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from kube.binaries import ROOT, Binaries
from kube.rest import Object, Rest

CACHE = ROOT / ".cache" / "kube"
KEPT = 4
ESTABLISHED_SECONDS = 60

Layer = Sequence[Path]
# (binaries, the layer below, CRDs to add, scratch folder) → etcd's data
Make = Callable[[Binaries, Path | None, Layer, Path], Path]


def seed_folder(binaries: Binaries, layers: Sequence[Layer], make: Make) -> Path | None:
    """The uppermost layer, made by `make` where it is not there yet; None without any CRD."""
    CACHE.mkdir(parents=True, exist_ok=True)
    seed: Path | None = None
    below: list[Path] = []
    with (CACHE / ".seed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for layer in layers:
            below += layer
            if layer:
                seed = _layer(binaries, seed, layer, CACHE / f"seed-{_key(binaries, below)}", make)
        _forget_old()
    return seed


def _layer(binaries: Binaries, below: Path | None, crds: Layer, seed: Path, make: Make) -> Path:
    if not seed.is_dir():
        with tempfile.TemporaryDirectory(prefix=".seeding-", dir=CACHE) as scratch:
            data = make(binaries, below, crds, Path(scratch) / "plane")
            for unused in data.rglob("*.tmp"):  # 64 MB that etcd keeps for its next log file
                unused.unlink()
            data.replace(seed)
    os.utime(seed)
    return seed


def _key(binaries: Binaries, crds: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for name in ("etcd", "kube-apiserver"):
        path = Path(binaries.path(name)).resolve()
        digest.update(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    for path in crds:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_old() -> None:
    seeds = sorted(CACHE.glob("seed-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for seed in seeds[KEPT:]:
        shutil.rmtree(seed, ignore_errors=True)


def apply_crds(rest: Rest, crds: Sequence[Path]) -> None:
    """All of them served when this returns."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    paths = []
    for file in crds:
        body = yaml.load(file.read_text(), loader)
        name = body["metadata"]["name"]
        paths.append(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        rest.apply(paths[-1], body)
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while waiting := [path for path in paths if not _established(rest.get(path))]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not established after {ESTABLISHED_SECONDS} s: {waiting}")
        time.sleep(0.05)


def _established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []  # null at first
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
