"""Writes docs/guide/manifest.md from the API's models: `python docs/reference.py`.

The models document each field with its unit and default, and that text is the only place where it
is written: the CRDs, `kubectl explain` and this page are made from it. A test fails when the page
is not what the models give.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from lancemill_api import LanceDataset, MultimodalPipeline
from lancemill_api.base import Model
from lancemill_api.status import Observed

PAGE = Path(__file__).parent / "guide" / "manifest.md"
HEAD = """\
# The manifest, field by field

Made from the models by `python docs/reference.py`; do not edit it here.

A file holds any number of documents, separated by `---`: `MultimodalPipeline` and `LanceDataset`.
Unknown fields are refused. Relative paths start at the manifest's folder.

- **Duration**: `30s`, `5m`, `1h30m`, `250ms`, `2d`.
- **Size**: bytes as `64Mi`, `1.5Gi`, `10M` or a plain number.
- **Column type**: `bool`, `int8` … `uint64`, `float16`, `float32`, `float64`, `string`, `binary`,
  `date`, `timestamp`, `timestamp[ms, UTC]`, `image` (a decoded picture of any size),
  `float32[512]` (a vector), `uint8[224,224,3]` (a tensor), `list<string>`,
  `struct<x: int32, label: string>`.
- **`"null"`** as a word is written in quotes: plain `null` is YAML's nothing.
- SQL or text with a comma, a colon or a brace stands in quotes inside `{…}`.

Fields in **bold** must be given.
"""
KINDS = {MultimodalPipeline: "", LanceDataset: "LanceDataset "}
"""Both kinds, with what tells their headings apart."""
WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    seen: dict[type[Model], str] = {}
    for kind, prefix in KINDS.items():
        parts.append(f"## {kind.__name__}\n\n{_text(kind.__doc__)}\n")
        for model, heading in _models(kind, "", prefix, seen):
            parts.append(_section(model, heading))
    return "\n".join(parts)


def _models(
    model: type[Model], path: str, prefix: str, seen: dict[type[Model], str]
) -> Iterator[tuple[type[Model], str]]:
    """`model` and all below it, each once, headed by the path at which it is first met."""
    if model in seen:
        return
    seen[model] = prefix + path if path else ""
    yield model, seen[model]
    for name, field in model.model_fields.items():
        alias = field.alias or name
        for below, many in _inner(field.annotation, False):
            place = f"{path}.{alias}" if path else alias
            yield from _models(below, place + ("[]" if many else ""), prefix, seen)


def _inner(annotation: Any, many: bool) -> Iterator[tuple[type[Model], bool]]:
    """The models in an annotation, and whether they stand in a list."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation, many
        return
    origin = get_origin(annotation)
    for argument in get_args(annotation) if origin is not Literal else ():
        yield from _inner(argument, many or origin in (tuple, list))


def _section(model: type[Model], heading: str) -> str:
    status = " (written by the operator)" if issubclass(model, Observed) else ""
    lines = []
    if heading:
        lines += [f"### {heading}{status}", "", _text(model.__doc__), ""]
    lines += ["| field | is | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        alias = f"`{field.alias or name}`"
        told = f"**{alias}**" if field.is_required() else alias
        lines.append(f"| {told} | {_words(field.annotation)} | {_text(field.description)} |")
    return "\n".join(lines) + "\n"


def _words(annotation: Any) -> str:
    """What may stand there, in words."""
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in arguments if one is not type(None))
    if origin in (tuple, list):
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return "mapping"
    if origin is not None:  # Annotated
        return _words(arguments[0])
    return f"[{annotation.__name__}](#{_anchor(annotation)})"


def _anchor(model: type[Model]) -> str:
    status = " (written by the operator)" if issubclass(model, Observed) else ""
    heading = _places()[model] + status or model.__name__
    kept = (one for one in heading.lower() if one.isalnum() or one in "-_ ")
    return "".join(kept).replace(" ", "-")


def _places() -> dict[type[Model], str]:
    seen: dict[type[Model], str] = {}
    for kind, prefix in KINDS.items():
        for _ in _models(kind, "", prefix, seen):
            pass
    return seen


def _text(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
