"""A remote model is fetched once a node, whoever asks first, and checked by its hash."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lancemill.code.cache import made_once
from lancemill.errors import RunError
from lancemill.ops.onnx_model import Model, read
from lancemill.storage import display, is_local

KIND, NAME = "models", "model.onnx"


def on_this_node(found: Any) -> Any:
    """`found` with its file on this node where it is a model from a store; else as it is."""
    if not isinstance(found, Model) or is_local(found.place):
        return found
    folder, _ = made_once(KIND, found.sha256, partial(_fetch, found))
    return replace(found, place=str(folder / NAME), storage=None)


def _fetch(model: Model, folder: Path) -> None:
    got = read(model.place, model.storage)
    if got.sha256 != model.sha256:
        raise RunError(
            f"{display(model.place)} has SHA-256 {got.sha256}, but the run was planned with "
            f"{model.sha256}",
            final=True,
        )
    assert isinstance(got.content, bytes), "it is remote"
    (folder / NAME).write_bytes(got.content)
