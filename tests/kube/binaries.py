"""Where Kubernetes' programs are, and how it is said that one is missing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Missing(Exception):
    """A part that a test needs is not on this machine; the message says what to do."""


@dataclass(frozen=True)
class Binaries:
    folder: Path

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def path(self, name: str) -> str:
        if not self.has(name):
            raise Missing(
                f"{self.folder} has no {name}: unset KUBE_ASSETS and run scripts/kube-assets, "
                "which builds all of them"
            )
        return str(self.folder / name)


def find_binaries(*tools: str) -> Binaries:
    """What `scripts/kube-assets` has built, or KUBE_ASSETS; nothing is built here.

    The default is all that the control plane takes; helm3, helm4 and kstatus are named by the
    tests that use them, so that those alone go without when one of them is missing.
    """
    command = [str(ROOT / "scripts" / "kube-assets"), "--find", *(tools or ("kubernetes",))]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Missing(found.stderr.strip())
    return Binaries(Path(found.stdout.strip()))


def kuberay_data() -> Path | None:
    """KubeRay's CRDs and recordings, which do not belong to this repository."""
    given = os.environ.get("KUBERAY_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "kuberay"
    if given and not folder.is_dir():
        raise Missing(f"KUBERAY_DATA={given} is not a folder")
    return folder if folder.is_dir() else None


def crd_layers() -> tuple[tuple[Path, ...], ...]:
    """KubeRay's CRDs where they are at hand, and ours: what changes seldom comes first."""
    data = kuberay_data()
    theirs = sorted((data / "crds").glob("*.yaml")) if data else ()
    return tuple(theirs), tuple(sorted((ROOT / "crds").glob("*.yaml")))
