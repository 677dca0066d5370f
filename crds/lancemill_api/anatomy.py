"""What a place in a manifest may hold: the models' annotations, as values that can be walked.

The loader's messages, its suggestions, `--set` and the tests all ask the models by way of this.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from lancemill_api.base import Expected, Model
from lancemill_api.places import Step


@dataclass(frozen=True, slots=True)
class Anything:
    """Free-form: a function's arguments."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number or truth."""

    kind: type
    facts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    item: Shape
    facts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping whose keys are the user's own."""

    key: Shape
    item: Shape
    facts: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping whose keys are a model's fields."""

    model: type[Model]


Shape = Anything | Scalar | Choice | Many | Table | Fields


def shape_of(annotation: Any, facts: tuple[Any, ...] = ()) -> Shape:
    """The shape that a type annotation describes; None beside it is left out."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = (getattr(fact, "metadata", (fact,)) for fact in args[1:])  # of Field(...)
        return shape_of(args[0], (*chain.from_iterable(inner), *facts))
    if origin in (Union, types.UnionType):
        (only,) = (one for one in args if one is not type(None))
        return shape_of(only, facts)
    if origin is Literal:
        return Choice(args)
    if origin is tuple:
        return Many(shape_of(args[0]), facts)
    if origin is dict and args[1] is not Any:
        return Table(shape_of(args[0]), shape_of(args[1]), facts)
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return Fields(annotation)
    return Scalar(annotation, facts) if annotation in (str, int, float, bool) else Anything()


@lru_cache(maxsize=256)
def fields_of(model: type[Model]) -> Mapping[str, Shape]:
    """Shapes of a model's fields by their names in YAML, in order."""
    return {
        field.alias or name: shape_of(field.annotation, tuple(field.metadata))
        for name, field in model.model_fields.items()
    }


@lru_cache(maxsize=256)
def defaults_of(model: type[Model]) -> Mapping[str, Any]:
    """Plain defaults (texts, numbers, truths) of a model's fields, by their names in YAML."""
    return {
        field.alias or name: field.default
        for name, field in model.model_fields.items()
        if isinstance(field.default, str | int | float | bool)
    }


def step_into(shape: Shape, step: Step) -> Shape | None:
    """What stands at `step` below `shape`; None where nothing can."""
    if isinstance(shape, Fields):
        return fields_of(shape.model).get(step) if isinstance(step, str) else None
    if isinstance(shape, Many):
        return shape.item if isinstance(step, int) else None
    if isinstance(shape, Table):
        return shape.item
    return shape if isinstance(shape, Anything) else None


def find(shape: Shape, steps: Iterable[Step]) -> Shape | None:
    """What stands at the end of `steps` below `shape`."""
    for step in steps:
        below = step_into(shape, step)
        if below is None:
            return None
        shape = below
    return shape


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant; letters' case does not matter."""
    candidates = {one.lower(): one for one in words}
    near = difflib.get_close_matches(word.lower().replace("_", ""), candidates, n=1, cutoff=0.6)
    return candidates[near[0]] if near else None


def meant(model: type[Model], value: Mapping[str, Any]) -> dict[str, str]:
    """For each unknown name in `value`: the field that it was probably meant to be."""
    fields = fields_of(model)
    free = [name for name in fields if name not in value]
    return {
        name: near
        for name in value
        if name not in fields and (near := nearest(name, free)) is not None
    }


def expected_words(facts: Iterable[Any]) -> str | None:
    """The words of an `Expected` among `facts`."""
    return next((fact.words for fact in facts if isinstance(fact, Expected)), None)


def bound(facts: Iterable[Any], name: str) -> Any:
    """The bound `name` (ge, gt, le, lt, min_length, max_length) among `facts`; None without."""
    found = (getattr(fact, name, None) for fact in facts)
    return next((one for one in found if one is not None), None)
