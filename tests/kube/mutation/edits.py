"""Edits of a manifest, as people and scripts make them: mostly at one place, often wrong."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from kube.mutation.values import Schema, values, words

Path = tuple[str | int, ...]
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3.0, 0.5, 2**31, 2**53 + 1, 2**63, 1e300, "", " ", "1", "true"),
    *("null", "ä", "日本語", "e\u0301", "\u0000", "a\n", "😀" * 20, "x" * 100_000, [], {}),
    *([None], [[]], {"": ""}, {"name": "x"}, "${HOME}", "../../etc", "a b", "A", "-"),
)
"""What stands where something else was meant."""


def places(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in a value, itself first."""
    yield at
    entries = value.items() if isinstance(value, dict) else ()
    entries = enumerate(value) if isinstance(value, list) else entries
    for step, one in entries:
        yield from places(one, (*at, step))


def schema_at(node: Schema | None, path: Path) -> Schema | None:
    """The schema of what stands at `path`; None where nothing may."""
    for step in path:
        if node is None:
            return None
        if isinstance(step, int):
            node = node.get("items")
        else:
            inside = node.get("additionalProperties")
            node = node.get("properties", {}).get(step, inside)
    return node


@st.composite
def edited(draw: st.DrawFn, spec: Any, schema: Schema) -> Any:
    """The specification with one change."""
    changed = copy.deepcopy(spec)
    path = draw(st.sampled_from(list(places(changed))))
    node = schema_at(schema, path)
    holder, here = _at(changed, path[:-1]), _at(changed, path)
    choices = [lambda: draw(st.sampled_from(STRANGE))]
    if node is not None:
        choices += [lambda: draw(values(node))] * 3
        choices.append(lambda: draw(st.sampled_from(_edges(node))))
    if isinstance(here, dict):
        choices += [lambda: _with_field(draw, here, node)] * 3
    if isinstance(here, list) and here:
        choices.append(lambda: [*here, copy.deepcopy(draw(st.sampled_from(here)))])
    if path and draw(st.integers(0, 5)) == 0:
        del holder[path[-1]]
        return changed
    made = draw(st.sampled_from(choices))()
    if not path:
        return made
    holder[path[-1]] = copy.deepcopy(made)
    return changed


def _with_field(draw: st.DrawFn, here: dict[str, Any], node: Schema | None) -> dict[str, Any]:
    """With one field more: one that may be there, or one that nobody knows."""
    known = (node or {}).get("properties", {})
    if known and draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(known)))
        return {**here, name: draw(values(known[name]))}
    name = draw(words | st.sampled_from(["batch_size", "y", "status", "__proto__", "name"]))
    return {**here, name: draw(st.sampled_from(STRANGE))}


def _edges(node: Schema) -> list[Any]:
    """Values at the bounds and just beyond them."""
    found: list[Any] = [""]
    for bound in ("minimum", "maximum"):
        if bound in node:
            found += [node[bound], node[bound] - 1, node[bound] + 1]
    for bound in ("minLength", "maxLength"):
        if bound in node:
            found += ["é" * max(0, node[bound] + more) for more in (-1, 0, 1)]
            found += ["a" * max(0, node[bound] + more) for more in (0, 1)]
    if "default" in node:
        found.append(node["default"])
    if "maxItems" in node and node["maxItems"] <= 64:
        found.append([f"a{at}" for at in range(node["maxItems"] + 1)])
    return found


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value
