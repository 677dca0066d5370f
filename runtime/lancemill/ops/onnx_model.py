"""An ONNX file: where it comes from, that it is the right one, what it takes and gives.

Its signature is read once, when a manifest is planned, and again where the model runs: there the
file must still have the hash that was planned with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lancemill.errors import StorageError
from lancemill.storage import display, is_local, local_path, open_store

Array = npt.NDArray[Any]
Dimension = int | str | None
"""A size, the name of an unknown size, or nothing known."""

ELEMENTS: dict[str, type[np.generic]] = {
    "float": np.float32,
    "double": np.float64,
    "float16": np.float16,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
    "string": np.object_,
}
"""ONNX element types and what numpy calls them."""


class ModelError(Exception):
    """The file is not there, not the one that was meant, or no ONNX model."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or an output of a model."""

    name: str
    kind: str
    """As ONNX tells it: `tensor(float)`."""
    shape: tuple[Dimension, ...]

    @property
    def element(self) -> str | None:
        """The element type's name in ELEMENTS, None where it is no tensor of those."""
        name = self.kind.removeprefix("tensor(").removesuffix(")")
        return name if self.kind.startswith("tensor(") and name in ELEMENTS else None

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.kind}[{sizes}]"


@dataclass(frozen=True, slots=True)
class Model:
    """A model file that was read once: which one it is, and its signature."""

    place: str
    """Absolute path or URI."""
    sha256: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    storage: Any = None

    def output_shapes(self, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes of all outputs for inputs of these shapes, by running the model on zeros."""
        key = (self.sha256, *sorted(given.items()))
        if key not in _output_shapes:
            _output_shapes[key] = self._tried(given)
        return _output_shapes[key]

    def _tried(self, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        session = open_session(read(self.place, self.storage), cores=1, optimise=False)
        zeros = {value.name: _zeros(value, given[value.name]) for value in self.inputs}
        names = [value.name for value in self.outputs]
        found = session.run(names, zeros)
        return {name: tuple(np.shape(each)) for name, each in zip(names, found, strict=True)}


_output_shapes: dict[tuple[Any, ...], dict[str, tuple[int, ...]]] = {}
"""By hash and input shapes: a plan is bound more than once."""


def _zeros(value: Value, shape: tuple[int, ...]) -> Array:
    element = ELEMENTS[value.element or "float"]
    return np.full(shape, "", np.object_) if element is np.object_ else np.zeros(shape, element)


@dataclass(frozen=True, slots=True)
class ModelBytes:
    """What was read: a path that onnxruntime opens itself (external weights lie beside it), or
    the bytes of a remote file."""

    content: str | bytes
    sha256: str


def find(spec: Any, base: Path) -> Model:
    """The model of a manifest's `model` block; ModelError, StorageError."""
    uri = str(spec.uri)
    place = str(local_path(uri, base)) if is_local(uri) else uri
    found = read(place, spec.storage)
    if spec.sha256 is not None and spec.sha256.lower() != found.sha256:
        raise ModelError(f"{display(place)} has SHA-256 {found.sha256}, expected {spec.sha256}")
    inputs, outputs = _signature(found)
    return Model(place, found.sha256, inputs, outputs, spec.storage)


def read(place: str, storage: Any) -> ModelBytes:
    """The file at `place`, with its hash."""
    if is_local(place):
        path = Path(place)
        if not path.is_file():
            raise ModelError(f"there is no file {path}")
        changed = path.stat()
        return ModelBytes(place, _hash_of(place, changed.st_mtime_ns, changed.st_size))
    folder, _, name = place.rpartition("/")
    content = open_store(folder, storage).get(name)
    if content is None:
        raise StorageError(f"{display(place)} does not exist")
    return ModelBytes(content, hashlib.sha256(content).hexdigest())


@lru_cache(maxsize=16)
def _hash_of(path: str, _changed: int, _size: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_signatures: dict[str, tuple[tuple[Value, ...], tuple[Value, ...]]] = {}
"""By hash: reading the signature of a large model takes seconds."""


def _signature(found: ModelBytes) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    if found.sha256 not in _signatures:
        session = open_session(found, cores=1, optimise=False)
        _signatures[found.sha256] = (_values(session.get_inputs()), _values(session.get_outputs()))
    return _signatures[found.sha256]


def _values(arguments: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(Value(each.name, each.type, tuple(each.shape)) for each in arguments)


def open_session(found: ModelBytes, *, cores: int, optimise: bool = True) -> Any:
    """An onnxruntime session: on the GPU where onnxruntime has one, else on `cores` threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = cores
    options.inter_op_num_threads = 1
    # Threads that wait busily for the next call would take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    available = onnxruntime.get_available_providers()
    providers = [name for name in wanted if name in available and (optimise or "CPU" in name)]
    try:
        return onnxruntime.InferenceSession(found.content, options, providers=providers)
    except Exception as error:
        shown = found.content if isinstance(found.content, str) else "the file"
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{shown} is no model that onnxruntime can run: {first}") from error
