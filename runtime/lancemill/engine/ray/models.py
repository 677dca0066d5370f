"""A remote model is fetched once a node, whoever asks first, and checked by its hash."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lancemill.errors import RunError
from lancemill.ops.onnx_model import Model, read
from lancemill.storage import display, is_local


def on_this_node(found: Any, folder: Path | None = None) -> Any:
    """`found` with its file on this node where it is a model from a store; else as it is."""
    if not isinstance(found, Model) or is_local(found.place):
        return found
    folder = folder or models_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / found.sha256
    with (folder / f"{found.sha256}.lock").open("w") as lock:
        # Workers that start together: the first one fetches, the others find its file.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.is_file():
            _fetch(found, path)
    return replace(found, place=str(path), storage=None)


def models_folder() -> Path:
    """Where this user's models lie on this node."""
    return Path(tempfile.gettempdir()) / f"lancemill-models-{os.getuid()}"


def _fetch(model: Model, path: Path) -> None:
    got = read(model.place, model.storage)
    if got.sha256 != model.sha256:
        raise RunError(
            f"{display(model.place)} has SHA-256 {got.sha256}, but the run was planned with "
            f"{model.sha256}",
            final=True,
        )
    made = path.with_suffix(f".{os.getpid()}")
    made.write_bytes(got.content if isinstance(got.content, bytes) else b"")
    made.replace(path)
