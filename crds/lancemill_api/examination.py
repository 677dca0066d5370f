"""Everything that is wrong with one document, told at once.

Three looks at the same JSON value: fields without a value, pydantic's strict reading, and the
rules between fields, which are applied also where other fields are wrong. A misspelt field counts
as the one that was meant, so that one slip is told once and not as "unknown" and "missing" both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lancemill_api import wording
from lancemill_api.anatomy import (
    Anything,
    Fields,
    Shape,
    Table,
    defaults_of,
    find,
    meant,
    step_into,
)
from lancemill_api.base import RULE_BROKEN, Model
from lancemill_api.places import Step, below, path_text

Found = tuple[str, str]
"""Path, and what is wrong there."""

M = TypeVar("M", bound=Model)

_KEY = "[key]"
_OWN_WORDS = frozenset({"type_text", "login", "regex"})
"""Errors that our own types raise, already in plain words."""


def examine(model: type[M], value: Mapping[str, Any]) -> tuple[M | None, list[Found]]:
    """The model that `value` is, or all that is wrong with it."""
    shape = Fields(model)
    mistakes = list(empty_fields(shape, value, ()))
    whole = without_nulls(shape, value)
    made: M | None = None
    try:
        made = model.model_validate_json(
            json.dumps(whole), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        empty = {path for path, _ in mistakes}
        told = _in_words(shape, whole, error)
        mistakes += [one for one in told if one[0] not in empty]
    mistakes += broken_rules(shape, whole, ())
    if made is None and not mistakes:
        raise AssertionError(f"refused without a word: {whole}")
    mistakes = list(dict.fromkeys(mistakes))
    return (None if mistakes else made), mistakes


def empty_fields(shape: Shape, value: Any, at: tuple[Step, ...]) -> Iterator[Found]:
    """Fields that stand there without a value; Kubernetes would drop or refuse them."""
    if isinstance(shape, Anything) or at == ("metadata",):
        return
    for step, one in _entries(value):
        inside = step_into(shape, step)
        if inside is None:
            continue
        if one is None and not isinstance(inside, Anything):
            yield path_text((*at, step)), wording.empty(inside)
        else:
            yield from empty_fields(inside, one, (*at, step))


def without_nulls(shape: Shape, value: Any) -> Any:
    """`value` without its nulls, but in free-form fields, where a null is a value."""
    if isinstance(shape, Anything):
        return value
    if isinstance(value, Mapping):
        kept: dict[str, Any] = {}
        for key, one in value.items():
            inside = step_into(shape, key) or Anything()
            if one is not None or isinstance(inside, Anything):
                kept[key] = without_nulls(inside, one)
        return kept
    if isinstance(value, list | tuple):
        item = step_into(shape, 0) or shape
        return [without_nulls(item, one) for one in value]
    return value


def broken_rules(shape: Shape, value: Any, at: tuple[Step, ...]) -> Iterator[Found]:
    """What the rules between fields say, at every level."""
    if isinstance(shape, Fields) and isinstance(value, Mapping) and not _refused(shape, value):
        names = meant(shape.model, value)
        filled = dict(defaults_of(shape.model))
        filled |= {names.get(str(name), str(name)): one for name, one in value.items()}
        for rule in shape.model.must_hold:
            for place, message in rule.broken(filled):
                yield below(path_text(at), place), message
    for step, one in _entries(value):
        inside = step_into(shape, step)
        if inside is not None and not isinstance(inside, Anything):
            yield from broken_rules(inside, one, (*at, step))


def _refused(shape: Fields, value: Mapping[str, Any]) -> bool:
    """Whether a field is told as refused, which says already why nothing else stands there."""
    return any(name in shape.model.refused for name in value)


def _entries(value: Any) -> Iterator[tuple[Step, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)


def _in_words(shape: Shape, value: Any, error: ValidationError) -> Iterator[Found]:
    for one in error.errors(include_url=False):
        if one["type"] == RULE_BROKEN:
            continue
        told = _one_in_words(shape, value, one)
        if told is not None:
            yield told


def _one_in_words(shape: Shape, document: Any, error: ErrorDetails) -> Found | None:
    steps, value = error["loc"], error["input"]
    if steps and steps[-1] == _KEY:
        table = find(shape, steps[:-2])
        assert isinstance(table, Table)
        return path_text(steps[:-1]), "the name " + wording.wrong(value, table.key)
    path = path_text(steps)
    if error["type"] == "extra_forbidden":
        owner = find(shape, steps[:-1])
        assert isinstance(owner, Fields)
        return path, wording.unknown_field(
            str(steps[-1]), owner.model, _at(document, steps[:-1]) or {}
        )
    inside = find(shape, steps)
    assert inside is not None, f"no field at {path}"
    if error["type"] == "missing":
        owner = find(shape, steps[:-1])
        assert isinstance(owner, Fields)
        misspelt = meant(owner.model, _at(document, steps[:-1]) or {}).values()
        return None if steps[-1] in misspelt else (path, wording.missing(inside))
    if error["type"] in _OWN_WORDS:
        return path, error["msg"]
    if error["type"] == "too_short" and len(_at(document, steps)) > 0:
        return None  # pydantic counts the entries that are right; the others tell themselves
    return path, wording.wrong(value, inside)


def _at(document: Any, steps: tuple[Step, ...]) -> Any:
    for step in steps:
        document = document[step]
    return document
