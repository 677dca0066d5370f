"""Values of a CRD's schema: right by structure, and mostly right by its rules."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

Schema = dict[str, Any]
FILES = Path(__file__).parents[3] / "crds"
FEW = 3
"""Optional fields of a mapping, and entries of a list, at most."""
PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
LIKELY = ("s3://photos/cats/", "key", "uri", "bytes", "image", "cats", "a: b", "*.jpg", "0 3 * * *")
LIKELY += ("@daily", "Europe/Berlin", "UTC", "5m", "1h", "0s", "8Gi", "500m")
"""What manifests say, so that some of the texts meet each other."""
words = st.sampled_from(LIKELY) | st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12
)
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


@cache
def specification(plural: str) -> Schema:
    """The schema of `spec` of one kind, as the CRD has it."""
    text = (FILES / f"{plural}.lancemill.dev.yaml").read_text(encoding="utf-8")
    crd = yaml.load(text, Loader=yaml.CSafeLoader)
    (version,) = crd["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def values(node: Schema) -> st.SearchStrategy[Any]:
    """Values of the type and within the bounds that `node` asks for."""
    known = _MADE.get(id(node))
    if known is None:
        known = _MADE[id(node)] = st.deferred(lambda: _values(node))
    return known


_MADE: dict[int, st.SearchStrategy[Any]] = {}
"""By the identity of the schema's node: the schemas are read once and stay."""


def _values(node: Schema) -> st.SearchStrategy[Any]:
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if node.get("x-kubernetes-int-or-string"):
        return st.integers(0, 10**6) | _texts(node)
    match node["type"]:
        case "string":
            return _texts(node)
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(node.get("minimum", -(2**31)), node.get("maximum", 2**31))
        case "number":
            return _numbers(node)
        case "array":
            return _lists(node)
        case "object":
            return _mappings(node)
    raise AssertionError(node)


def _texts(node: Schema) -> st.SearchStrategy[str]:
    least, most = node.get("minLength", 0), node.get("maxLength", 100)
    made = words | st.text(PRINTABLE, max_size=12)
    if "pattern" in node:
        made = st.from_regex(node["pattern"], fullmatch=True, alphabet=PRINTABLE)
        fitting = [one for one in LIKELY if re.search(node["pattern"], one)]
        made = made | st.sampled_from(fitting) if fitting else made
    return made.filter(lambda text: least <= len(text) <= most)


def _numbers(node: Schema) -> st.SearchStrategy[float]:
    low, high = node.get("minimum", -1e6), node.get("maximum", 1e6)
    open_below = bool(node.get("exclusiveMinimum"))
    return st.floats(low, high, exclude_min=open_below) | st.integers(
        int(low) + open_below, max(int(high), int(low) + open_below)
    )


def _lists(node: Schema) -> st.SearchStrategy[list[Any]]:
    least = node.get("minItems", 0)
    made = st.lists(values(node["items"]), min_size=least, max_size=max(least, FEW))
    keys = node.get("x-kubernetes-list-map-keys")
    if keys:
        return made.map(lambda entries: list({one[keys[0]]: one for one in entries}.values()))
    if node.get("x-kubernetes-list-type") == "set":
        return made.map(lambda entries: list(dict.fromkeys(entries)))
    return made


def _mappings(node: Schema) -> st.SearchStrategy[dict[str, Any]]:
    least = node.get("minProperties", 0)
    if "additionalProperties" in node:
        of_its_own = values(node["additionalProperties"])
        return st.dictionaries(words, of_its_own, min_size=least, max_size=max(least, 2))
    if "properties" not in node:
        return st.dictionaries(words, free, max_size=2)
    return _fields(node)


@st.composite
def _fields(draw: st.DrawFn, node: Schema) -> dict[str, Any]:
    """Required fields, one of those that exclude each other, and a few of the others."""
    properties = node["properties"]
    exclusive = exclusive_fields(node)
    required = list(node.get("required", ()))
    others = [name for name in properties if name not in (*required, *exclusive)]
    chosen = draw(st.lists(st.sampled_from(others), max_size=FEW, unique=True)) if others else []
    one = [draw(st.sampled_from(exclusive))] if exclusive else []
    return {
        name: draw(values(properties[name]))
        for name in properties
        if name in (*required, *one, *chosen)
    }


def exclusive_fields(node: Schema) -> list[str]:
    """Fields of which the schema's rules want one, by the words of their messages."""
    for rule in node.get("x-kubernetes-validations", ()):
        if re.match("expected (exactly|at least) one ", rule["message"]):
            return [
                name for name in node["properties"] if re.search(rf"\b{name}\b", rule["message"])
            ]
    return []
