"""Mistakes in plain words: what was found, what is expected, made from the models themselves.

Pydantic's messages speak of Python; a manifest's reader gets `is 'abc', expected a whole number`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lancemill_api.anatomy import (
    Anything,
    Choice,
    Fields,
    Many,
    Scalar,
    Shape,
    Table,
    bound,
    expected_words,
    fields_of,
    meant,
    nearest,
)
from lancemill_api.base import Model
from lancemill_api.rules import ExactlyOne

MOST_SHOWN = 60


def found(value: Any) -> str:
    """A value as a message shows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value if len(value) <= MOST_SHOWN else value[: MOST_SHOWN - 1] + "…"
        return "'" + text.replace("\n", "⏎") + "'"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)


def expected(shape: Shape) -> str:
    """What may stand there."""
    if isinstance(shape, Choice):
        return shape.words[0] if len(shape.words) == 1 else f"one of {', '.join(shape.words)}"
    if isinstance(shape, Fields):
        return _expected_fields(shape.model)
    if isinstance(shape, Anything):
        return "a mapping"
    if words := expected_words(shape.facts):
        return words
    if isinstance(shape, Many):
        return "a list; each entry " + expected(shape.item)
    if isinstance(shape, Table):
        return f"a mapping of {expected(shape.key)} to {expected(shape.item)}"
    return _expected_scalar(shape)


def _expected_fields(model: type[Model]) -> str:
    names = tuple(fields_of(model))
    one = any(isinstance(rule, ExactlyOne) and rule.fields == names for rule in model.must_hold)
    return f"a mapping with {'exactly one of ' if one else ''}{', '.join(names)}"


def _expected_scalar(shape: Scalar) -> str:
    if shape.kind is bool:
        return "true or false"
    if shape.kind is str:
        most = bound(shape.facts, "max_length")
        return f"text of at most {most} characters" if most else "text"
    word = "a whole number" if shape.kind is int else "a number"
    low, high = bound(shape.facts, "ge"), bound(shape.facts, "le")
    above = bound(shape.facts, "gt")
    if above is not None:
        word += f" above {above}"
        return f"{word} and at most {high}" if high is not None else word
    if low is not None and high is not None:
        return f"{word} from {low} to {high}"
    return f"{word} of {low} or more" if low is not None else word


def unknown_field(name: str, model: type[Model], beside: Mapping[str, Any]) -> str:
    """What to say of a field that the model does not have."""
    if reason := model.refused.get(name):
        return f"is refused: {reason}"
    near = meant(model, beside).get(name) or nearest(name, fields_of(model))
    if near:
        return f"unknown field; did you mean {near}?"
    return "unknown field; there are: " + ", ".join(fields_of(model))


def missing(shape: Shape) -> str:
    return f"missing; expected {expected(shape)}"


def empty(shape: Shape) -> str:
    """What to say of a field that is there without a value."""
    if isinstance(shape, Choice) and "null" in shape.words:
        others = ", ".join(word for word in shape.words if word != "null")
        return f'is null without quotes; write "null" with quotes, or one of {others}'
    return f"is empty, expected {expected(shape)}; give it a value or remove the field"


def wrong(value: Any, shape: Shape) -> str:
    """What to say of a value that does not fit."""
    if (text := _wrong_length(value, shape)) is not None:
        return text
    text = f"is {found(value)}, expected {expected(shape)}"
    if isinstance(shape, Choice) and isinstance(value, str):
        near = nearest(value, shape.words) if len(shape.words) > 1 else None
        return f"{text}; did you mean {near}?" if near else text
    if isinstance(value, bool | int | float) and _quoted_would_do(value, shape):
        return text if "quotes" in text else f"{text}; put it in quotes if it is meant as text"
    if isinstance(shape, Scalar) and shape.kind is not str and _is_number_text(value):
        return f"{text}; remove the quotes"
    return text


def _quoted_would_do(value: bool | int | float, shape: Shape) -> bool:
    """Whether the value's text would be right there; a truth may have been any of several."""
    if not isinstance(shape, Scalar) or shape.kind is not str:
        return isinstance(shape, Choice) and found(value) in shape.words
    pattern = bound(shape.facts, "pattern")
    return pattern is None or re.fullmatch(pattern, found(value)) is not None


def _wrong_length(value: Any, shape: Shape) -> str | None:
    if isinstance(shape, Choice | Fields | Anything):
        return None
    is_text = isinstance(value, str) and isinstance(shape, Scalar) and shape.kind is str
    is_many = isinstance(value, list | tuple) and isinstance(shape, Many)
    is_table = isinstance(value, Mapping) and isinstance(shape, Table)
    if not (is_text or is_many or is_table):
        return None
    most, least = bound(shape.facts, "max_length"), bound(shape.facts, "min_length")
    unit = "characters" if is_text else "entries"
    if most is not None and len(value) > most:
        return f"has {len(value)} {unit}, expected at most {most}"
    if least is not None and len(value) < least:
        return f"is empty, expected {expected(shape)}"
    return None


def _is_number_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False
