"""Random manifests that are right, made from what the models say of themselves."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

from hypothesis import strategies as st

from lancemill_api import types
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
)
from lancemill_api.base import Model
from lancemill_api.quantities import QUANTITY, SIZE
from lancemill_api.rules import ExactlyOne, NoRepeats, Unique
from lancemill_api.scalars import TypeText

PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
TYPE_WORDS = expected_words(get_args(TypeText))

column_types = st.recursive(
    st.sampled_from([*types.SCALARS, "timestamp", "timestamp[ms, UTC]", "uint8[2,3,4]"]),
    lambda inner: inner.map("list<{}>".format) | inner.map("struct<a: {}, b: int8>".format),
    max_leaves=3,
)
words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")) | st.just("\n"),
    min_size=1,
    max_size=20,
)
awkward = st.sampled_from(
    ["null", "yes", "y", "1e3", "0x1f", "1:30", "2024-01-01", "*.jpg", "a: b", "~", "=", "- x", " "]
)
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | awkward, inner, max_size=3),
    max_leaves=6,
)


def documents(model: type[Model], **pinned: Any) -> st.SearchStrategy[dict[str, Any]]:
    """JSON values of `model`; some do not keep its rules between fields."""
    return st.builds(lambda made: {**made, **pinned}, _of_model(model, without=(*pinned, "status")))


def _of(shape: Shape) -> st.SearchStrategy[Any]:
    match shape:
        case Anything():
            return st.dictionaries(words | awkward, free, max_size=3)
        case Choice(options):
            return st.sampled_from(options)
        case Many(item, facts):
            least = bound(facts, "min_length") or 0
            return st.lists(_of(item), min_size=least, max_size=least + 1)
        case Table(key, item, facts):
            least = bound(facts, "min_length") or 0
            return st.dictionaries(_of(key), _of(item), min_size=least, max_size=least + 1)
        case Fields(model):
            return _of_model(model)
        case Scalar():
            return _of_scalar(shape)


def _of_scalar(shape: Scalar) -> st.SearchStrategy[Any]:
    if expected_words(shape.facts) == TYPE_WORDS:
        return column_types
    if shape.kind is bool:
        return st.booleans()
    low, high = bound(shape.facts, "ge"), bound(shape.facts, "le")
    if shape.kind is int:
        return st.integers(low, high)
    if shape.kind is float:
        return st.floats(0.5 if low is None else low, 1 if high is None else high)
    words_of = expected_words(shape.facts) or ""
    if words_of.startswith("a size"):
        return st.from_regex(SIZE, fullmatch=True, alphabet=PRINTABLE)
    if words_of.startswith("a quantity"):
        return st.from_regex(QUANTITY, fullmatch=True, alphabet=PRINTABLE)
    pattern, most = bound(shape.facts, "pattern"), bound(shape.facts, "max_length") or 100
    if pattern:
        made = st.from_regex(pattern, fullmatch=True, alphabet=PRINTABLE)
        return made.filter(lambda text: len(text) <= most)
    return words | awkward


@cache
def _of_model(model: type[Model], without: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    needed = {
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    }
    fields = {name: one for name, one in fields_of(model).items() if name not in without}
    exclusive = next((r.fields for r in model.must_hold if isinstance(r, ExactlyOne)), ())
    required = {name: _of(fields[name]) for name in fields if name in needed}
    optional = {name: _of(fields[name]) for name in fields if name not in (*needed, *exclusive)}
    some = st.sets(st.sampled_from(sorted(optional)), max_size=3) if optional else st.just(set())
    made = some.flatmap(
        lambda names: st.fixed_dictionaries(
            required | {name: optional[name] for name in fields if name in names}
        )
    )
    if exclusive:
        one_of = [st.fixed_dictionaries({name: _of(fields[name])}) for name in exclusive]
        made = st.builds(dict.__or__, made, st.one_of(one_of))
    return made.map(lambda value: _without_repeats(model, value))


def _without_repeats(model: type[Model], value: dict[str, Any]) -> dict[str, Any]:
    for rule in model.must_hold:
        if isinstance(rule, NoRepeats) and rule.field in value:
            value[rule.field] = list(dict.fromkeys(value[rule.field]))
        if isinstance(rule, Unique) and rule.field in value:
            entries = {one[rule.key]: one for one in value[rule.field]}
            value[rule.field] = list(entries.values())
    return value
