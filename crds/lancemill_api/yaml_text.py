"""YAML as Kubernetes reads it: to JSON values, with the line of every field.

The same file must mean the same here and by `kubectl apply`, so scalars are resolved as Kubernetes'
reader (go-yaml v2) does it: `on`, `yes` and `y` are true, dates and `1:30` are text, `1e3` is a
number, and a whole number written as `3.0` is 3, since it passes through JSON. What has no JSON
form is a mistake, as are keys that stand twice and keys that are no text (Kubernetes would make
the key `y` into "true").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lancemill_api.mistakes import Mistake
from lancemill_api.places import Step, path_text

MOST_VALUES = 200_000
"""Values in a document, aliases counted each time: a few lines of YAML can stand for billions."""

MOST_DEPTH = 100
"""Mappings and lists within each other: no manifest has a dozen."""

LONGEST_SHOWN = 40
"""Digits of a number that a message repeats."""

_TRUE = {"y", "yes", "true", "on"}
_PREFIX = "tag:yaml.org,2002:"
_RESOLVED: tuple[tuple[str, str, str], ...] = (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN"),
    (
        "bool",
        r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE"
        r"|on|On|ON|off|Off|OFF)$",
        "yYnNtTfFoO",
    ),
    ("int", r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$", "-+0123456789"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+.0123456789",
    ),
    ("merge", r"^<<$", "<"),
)


class _Reader(yaml.CSafeLoader):
    """Composes nodes; the values are made here."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own protocol


class Writer(yaml.SafeDumper):
    """Writes text so that this reader, PyYAML's own and Kubernetes' all read it as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: list(found) for first, found in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _name, _pattern, _first in _RESOLVED:
    for _class in (_Reader, Writer):
        _class.add_implicit_resolver(_PREFIX + _name, re.compile(_pattern), list(_first))
_Reader.add_implicit_resolver(_PREFIX + "null", re.compile("^$"), [""])


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if re.search("[\x85\u2028\u2029]", text):  # line breaks to YAML, unless escaped
        return dumper.represent_scalar(_PREFIX + "str", text, style='"')
    style = "|" if "\n" in text.strip() and not re.search(r"[ \t]\n|[^\S\n ]", text) else None
    return dumper.represent_scalar(_PREFIX + "str", text, style=style)


Writer.add_representer(str, _text)


@dataclass(slots=True)
class Document:
    """One document of a file."""

    value: Any
    line: int
    lines: dict[str, int] = field(default_factory=dict)
    """Line of each field, by path."""
    mistakes: list[Mistake] = field(default_factory=list)


def read(text: str) -> tuple[list[Document], list[Mistake]]:
    """All documents of `text` that are not empty; where the syntax breaks, those before it."""
    documents: list[Document] = []
    reader = _Reader(text)
    try:
        while reader.check_node():
            node = reader.get_node()
            assert node is not None
            document = _Maker().document(node)
            if document.value is not None or document.mistakes:
                documents.append(document)
    except yaml.YAMLError as error:
        return documents, [_syntax(error, text)]
    finally:
        reader.dispose()
    return documents, []


def value_of(text: str) -> Any:
    """The one value that `text` is; raises ValueError."""
    documents, mistakes = read(text)
    mistakes += [mistake for document in documents for mistake in document.mistakes]
    if mistakes:
        raise ValueError(mistakes[0].message)
    return documents[0].value if documents else None


def write(value: Any) -> str:
    """`value` as YAML, in the order of its keys."""
    return yaml.dump(
        value, Dumper=Writer, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def _syntax(error: yaml.YAMLError, text: str) -> Mistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return Mistake("", f"is not YAML: {problem}")
    lines = text.splitlines()
    line = min(mark.line, max(len(lines) - 1, 0))
    hint = _syntax_hint(lines[line] if lines else "", problem)
    return Mistake(
        f"line {line + 1}",
        f"is not YAML: {problem} (column {mark.column + 1}){hint}",
        line=line + 1,
    )


def _syntax_hint(line: str, problem: str) -> str:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent by spaces, not by tabs"
    if "cannot start any token" in problem:
        return "; a text that begins with @, % or ` needs quotes"
    if re.search(r"(?:^|[\s\[,:-])\*[^\s]*[.*/]", line) or "undefined alias" in problem:
        return '; texts that begin with * need quotes: "*.jpg"'
    if "mapping values are not allowed" in problem:
        return "; a text with a colon and a space in it needs quotes"
    return ""


class _TooMuchError(Exception):
    """Says what there is too much of."""


class _Maker:
    """Makes the value of one document and notes lines and mistakes on the way."""

    def __init__(self) -> None:
        self.lines: dict[str, int] = {}
        self.mistakes: list[Mistake] = []
        self.values = 0
        self.open: list[yaml.Node] = []

    def document(self, node: yaml.Node) -> Document:
        line = _line(node)
        try:
            value = self.make(node, ())
        except _TooMuchError as error:
            value = None
            self.mistakes = [Mistake("", str(error), line=line)]
        return Document(value, line, self.lines, self.mistakes)

    def make(self, node: yaml.Node, at: tuple[Step, ...]) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise _TooMuchError(f"holds over {MOST_VALUES} values")
        if len(self.open) >= MOST_DEPTH:
            raise _TooMuchError(f"is nested more than {MOST_DEPTH} deep")
        self.lines.setdefault(path_text(at), _line(node))
        if any(node is one for one in self.open):
            return self.refuse(node, at, "contains itself by an alias; write it out")
        self.open.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
                return self.mapping(node, at)
            if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
                return [self.make(one, (*at, i)) for i, one in enumerate(node.value)]
            return self.scalar(node, at)
        finally:
            self.open.pop()

    def mapping(self, node: yaml.MappingNode, at: tuple[Step, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _PREFIX + "merge":
                for part in reversed(list(_merged(value_node))):
                    value = self.make(part, at)
                    merged |= value if isinstance(value, dict) else {}
                continue
            key = key_node.value if key_node.tag == _PREFIX + "str" else None
            if not isinstance(key, str):
                self.refuse(key_node, at, _key_problem(key_node))
            elif key in made:
                self.refuse(key_node, (*at, key), "stands twice; keep one of them")
            else:
                self.lines[path_text((*at, key))] = _line(key_node)
                made[key] = self.make(value_node, (*at, key))
        return merged | made

    def scalar(self, node: yaml.Node, at: tuple[Step, ...]) -> Any:
        kind, text = node.tag.removeprefix(_PREFIX), node.value
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in _TRUE
        if kind in ("int", "float"):
            value = _number(kind, text)
            if value is not None:
                return value
            shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
            return self.refuse(node, at, f"is {shown}, which JSON cannot hold")
        return self.refuse(node, at, f"has the YAML tag {node.tag}; expected plain values")

    def refuse(self, node: yaml.Node, at: tuple[Step, ...], message: str) -> None:
        self.mistakes.append(Mistake(path_text(at), message, line=_line(node)))


def _merged(node: yaml.Node) -> Iterator[yaml.Node]:
    yield from node.value if isinstance(node, yaml.SequenceNode) else (node,)


def _key_problem(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return (
            f'has the key {node.value}, which is no text in YAML; put it in quotes: "{node.value}"'
        )
    return "has a key that is no text"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _number(kind: str, text: str) -> int | float | None:
    digits = text.replace("_", "").lower()
    if kind == "int":
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
        try:
            return int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
        except ValueError:  # Python reads no more than some thousand digits.
            return None
    if "inf" in digits or "nan" in digits:
        return None
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
