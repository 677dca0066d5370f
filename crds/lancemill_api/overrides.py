"""`--set path=value`: a manifest changed from the command line, at places that the models know."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lancemill_api import wording, yaml_text
from lancemill_api.anatomy import Anything, Fields, Many, Shape, step_into
from lancemill_api.mistakes import InvalidManifest, Mistake
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.places import Step, path_text, steps


@dataclass(frozen=True, slots=True)
class Override:
    """One `[NAME:]path=value`."""

    path: str
    value: Any
    document: str = ""
    """Name of the document that it is for (`cats` or `MultimodalPipeline/cats`); empty: the only
    pipeline."""


def parse(text: str) -> Override:
    """The override that `text` writes; the value is read as YAML."""
    target, equals, written = text.partition("=")
    if not equals or not target.strip():
        raise _wrong(text, "expected path=value, such as spec.sink.lance.uri=demo/x.lance")
    document, path = _document_and_path(target.strip())
    try:
        steps(path)
        return Override(path, yaml_text.value_of(written), document)
    except ValueError as error:
        raise _wrong(path, str(error)) from None


def apply_overrides(document: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A pipeline's document with `path=value` texts applied; raises InvalidManifest.

    Lists take an index, one past the end to append, or the name of an entry:
    `spec.stages[decode].decode.mode=L`.
    """
    changed = dict(document)
    mistakes: list[Mistake] = []
    for text in overrides:
        try:
            changed = apply(Fields(MultimodalPipeline), changed, parse(text))
        except InvalidManifest as wrong:
            mistakes += wrong.mistakes
    if mistakes:
        raise InvalidManifest(mistakes)
    return changed


def apply(shape: Shape, document: Any, override: Override) -> Any:
    """`document` with one value put in; mappings that are not there yet are made."""
    return _put(shape, copy.deepcopy(document), steps(override.path), override.value, ())


def _put(shape: Shape, value: Any, way: tuple[Step, ...], put: Any, at: tuple[Step, ...]) -> Any:
    if not way:
        return put
    step, rest = way[0], way[1:]
    if isinstance(shape, Many) or (isinstance(shape, Anything) and isinstance(value, list)):
        entries = list(value) if isinstance(value, list) else []
        index = _index(entries, step, (*at, step))
        inside = step_into(shape, index) or shape
        entries[index : index + 1] = [
            _put(inside, entries[index] if index < len(entries) else None, rest, put, (*at, index))
        ]
        return entries
    mapping = dict(value) if isinstance(value, Mapping) else {}
    below = step_into(shape, step)
    if below is None:
        raise _wrong(path_text((*at, step)), _unknown(shape, step))
    mapping[str(step)] = _put(below, mapping.get(str(step)), rest, put, (*at, step))
    return mapping


def _index(entries: list[Any], step: Step, at: tuple[Step, ...]) -> int:
    if isinstance(step, int) and step <= len(entries):
        return step
    names = [one.get("name") for one in entries if isinstance(one, Mapping)]
    if step in names:
        return [one.get("name") if isinstance(one, Mapping) else None for one in entries].index(
            step
        )
    there = ", ".join(str(name) for name in names if name) or f"{len(entries)} entries"
    raise _wrong(f"{path_text(at[:-1])}[{step}]", f"no such entry; there are: {there}")


def _unknown(shape: Shape, step: Step) -> str:
    if isinstance(shape, Fields) and isinstance(step, str):
        return wording.unknown_field(step, shape.model, {step: None})
    return f"no such field; there stands {wording.expected(shape)}"


def _document_and_path(target: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9/.-]+):(.+)", target)
    return (found[1], found[2].strip()) if found else ("", target)


def _wrong(path: str, message: str) -> InvalidManifest:
    return InvalidManifest([Mistake(path, f"--set: {message}")])
