"""Writes small ONNX models of given inputs, nodes and outputs, without the onnx package.

Just enough of the format's protobuf for tests that must know a model's every number; trained
models come from `material`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

ELEMENTS = {
    "float": 1,
    "uint8": 2,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "double": 11,
}
IR_VERSION, OPSET, INT = 8, 17, 2

Shape = Sequence[int | str]
Node = tuple[str, Sequence[str], Sequence[str], Mapping[str, int]]
"""Operator, its inputs, its outputs, its attributes."""


def write_model(
    path: Path,
    inputs: Mapping[str, tuple[str, Shape]],
    nodes: Sequence[Node | tuple[str, Sequence[str], Sequence[str]]],
    outputs: Mapping[str, tuple[str, Shape]],
) -> Path:
    """A model at `path`; inputs and outputs are {name: (element, shape)}."""
    graph = b"".join(
        [
            *(_message(1, _node(*node)) for node in nodes),
            _text(2, "graph"),
            *(_message(11, _value(name, *kind)) for name, kind in inputs.items()),
            *(_message(12, _value(name, *kind)) for name, kind in outputs.items()),
        ]
    )
    opset = _text(1, "") + _number(2, OPSET)
    path.write_bytes(_number(1, IR_VERSION) + _message(7, graph) + _message(8, opset))
    return path


def _node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, int] | None = None,
) -> bytes:
    parts = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs]
    parts.append(_text(4, operator))
    for name, value in (attributes or {}).items():
        parts.append(_message(5, _text(1, name) + _number(3, value) + _number(20, INT)))
    return b"".join(parts)


def _value(name: str, element: str, shape: Shape) -> bytes:
    sizes = b"".join(
        _message(1, _number(1, size) if isinstance(size, int) else _text(2, size)) for size in shape
    )
    tensor = _number(1, ELEMENTS[element]) + _message(2, sizes)
    return _text(1, name) + _message(2, _message(1, tensor))


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
