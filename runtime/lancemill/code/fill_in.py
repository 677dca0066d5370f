"""Address and hash of a zip into a manifest's text: two values change, comments and layout stay.

Writing the parsed document anew would lose what people have written beside it; so the places of the
values are taken from the YAML parser, and only those characters are replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

Edit = tuple[int, int, str]
"""From and to which character, and what comes in place of that."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a manifest says of its code."""

    uri: str | None
    sha256: str | None


class NoPlace(Exception):
    """There is no such pipeline in the text, or no place in it that can be filled in."""


def written(text: str, pipeline: str | None) -> Written:
    """What the text says of the pipeline's code."""
    code = _child(_spec(text, pipeline), "code")
    values = [_child(code, name) for name in ("uri", "sha256")]
    return Written(*(one.value if isinstance(one, yaml.ScalarNode) else None for one in values))


def filled(text: str, pipeline: str | None, uri: str, sha256: str) -> str:
    """The text with both values in `spec.code` of the pipeline; None: of the only one."""
    spec = _spec(text, pipeline)
    code = _child(spec, "code")
    if code is None:
        edits = [_new_code(text, spec, f"{{uri: {_quoted(uri)}, sha256: {_quoted(sha256)}}}")]
    elif isinstance(code, yaml.MappingNode) and code.value:
        edits = _values(text, code, {"uri": uri, "sha256": sha256})
    else:
        raise NoPlace("spec.code is no mapping of uri and sha256")
    for start, stop, put in sorted(edits, reverse=True):
        text = text[:start] + put + text[stop:]
    return text


def _values(text: str, code: yaml.MappingNode, values: dict[str, str]) -> list[Edit]:
    edits: list[Edit] = []
    added: list[str] = []
    for name, value in values.items():
        found = _child(code, name)
        if found is None:
            added.append(f"{name}: {_quoted(value)}")
        elif found.value != value or not isinstance(found, yaml.ScalarNode):
            edits.append((found.start_mark.index, found.end_mark.index, _quoted(value)))
    if added:
        at = code.value[0][0].start_mark
        gap = ", " if code.flow_style else _line_end(text) + " " * at.column
        edits.append((at.index, at.index, "".join(one + gap for one in added)))
    return edits


def _new_code(text: str, spec: yaml.MappingNode, put: str) -> Edit:
    """Before the first field of the specification."""
    at = spec.value[0][0].start_mark
    gap = ", " if spec.flow_style else _line_end(text) + " " * at.column
    return at.index, at.index, f"code: {put}{gap}"


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _quoted(value: str) -> str:
    """As YAML reads it back; hashes too may look like numbers (`1e5…`, all digits)."""
    plain = yaml.safe_load(f"[{value}, 0]") if not set(value) & set("[]{},#'\"\n&*!|>%@`") else None
    if plain == [value, 0] and not value.startswith(("-", "?", ":")) and ": " not in value:
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _spec(text: str, pipeline: str | None) -> yaml.MappingNode:
    found = [
        document
        for document in yaml.compose_all(text, Loader=yaml.SafeLoader)
        if _text(_child(document, "kind")) == "MultimodalPipeline"
        and pipeline in (None, _text(_child(_child(document, "metadata"), "name")))
    ]
    spec = _child(found[0], "spec") if len(found) == 1 else None
    if not isinstance(spec, yaml.MappingNode) or not spec.value:
        raise NoPlace("there is no specification of that pipeline")
    return spec


def _child(node: Any, name: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _text(node: Any) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None
