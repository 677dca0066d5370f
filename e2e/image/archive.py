"""An image as an archive in the layout of the OCI, which containerd imports.

Equal layers give equal archives: names are sorted and times are zero. What the store has already
need not be in it, so a change of our code imports the one small layer that it is in.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Container
from pathlib import Path
from typing import Any

from e2e.image.build import Built

EPOCH = "1970-01-01T00:00:00Z"
OCI = "application/vnd.oci.image"
Descriptor = dict[str, Any]


def write(image: Built, reference: str, target: Path, known: Container[str] = ()) -> None:
    """`reference` is the name that pods use, such as lancemill/runtime:0.1.0; `known` are digests
    that the store has."""
    with tarfile.open(target, "w") as archive:
        layers = [_layer(archive, layer, target, known) for layer in image.layers]
        config = _blob(archive, f"{OCI}.config.v1+json", configuration(image, layers))
        manifest: dict[str, Any] = {"schemaVersion": 2, "config": config, "layers": layers}
        whole = _blob(archive, f"{OCI}.manifest.v1+json", manifest)
        whole["annotations"] = {"io.containerd.image.name": full_name(reference)}
        _add(archive, "index.json", _text({"schemaVersion": 2, "manifests": [whole]}))
        _add(archive, "oci-layout", _text({"imageLayoutVersion": "1.0.0"}))


def full_name(reference: str) -> str:
    """With the registry that a name without one stands for."""
    first, found, _ = reference.partition("/")
    return reference if found and "." in first else f"docker.io/{reference}"


def configuration(image: Built, layers: list[Descriptor]) -> dict[str, Any]:
    """The image's configuration in the form of the OCI."""
    settings: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in image.env.items()],
        "WorkingDir": image.folder,
        "Labels": dict(image.labels),
        "User": image.user,
        "Cmd": list(image.command),
        "Entrypoint": list(image.entrypoint),
    }
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": EPOCH,
        "config": {name: value for name, value in settings.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [one["digest"] for one in layers]},
        "history": [{"created": EPOCH} for _ in layers],
    }


def _layer(
    archive: tarfile.TarFile, layer: Path, target: Path, known: Container[str]
) -> Descriptor:
    noted = layer.parent / "packed.json"
    if noted.is_file():
        found: Descriptor = json.loads(noted.read_text())
        if found["digest"] in known:
            return found
    content = target.with_name(f"{target.name}.layer")
    digest = _packed(layer, content)
    size = content.stat().st_size
    descriptor = {"mediaType": f"{OCI}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}
    if descriptor["digest"] not in known:
        entry = tarfile.TarInfo(f"blobs/sha256/{digest}")
        entry.size = size
        with content.open("rb") as packed:
            archive.addfile(entry, packed)
    content.unlink()
    noted.write_text(json.dumps(descriptor))
    return descriptor


def _packed(layer: Path, target: Path) -> str:
    """The layer as a tar file; its SHA-256."""
    # The other format has headers of its own, with times and the process's number in them.
    packing = ["tar", "--sort=name", "--mtime=@0", "--numeric-owner", "--format=gnu"]
    subprocess.run([*packing, "-C", str(layer), "-cf", str(target), "."], check=True)
    with target.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _blob(archive: tarfile.TarFile, kind: str, value: dict[str, Any]) -> Descriptor:
    content = _text(value)
    digest = hashlib.sha256(content).hexdigest()
    _add(archive, f"blobs/sha256/{digest}", content)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}


def _text(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
