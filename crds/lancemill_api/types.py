"""The types of columns as a manifest writes them: text to a neutral value and back.

    type   = scalar | time | "list<" type ">" | "struct<" name ":" type {"," name ":" type} ">"
           | number "[" size {"," size} "]"
    scalar = bool | int8 … uint64 | float16 | float32 | float64 | string | binary | date | image
    time   = "timestamp" [ "[" (s | ms | us | ns) ["," zone] "]" ]

One size is a vector (`float32[512]`, Arrow's fixed-size list), several are a tensor
(`uint8[224,224,3]`, Arrow's fixed-shape tensor). `image` is a decoded picture of any size. What
these are in Arrow is the runtime's business: this module has no dependency.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

NUMBERS = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
SCALARS = ("bool", *NUMBERS, "string", "large_string", "binary", "large_binary", "date", "image")
OTHER_NAMES = (
    {"int": "int64", "integer": "int64", "long": "int64", "short": "int16", "byte": "int8"}
    | {"float": "float32", "double": "float64", "half": "float16", "boolean": "bool"}
    | {"str": "string", "text": "string", "varchar": "string", "utf8": "string"}
    | {"bytes": "binary", "blob": "binary", "datetime": "timestamp", "date32": "date"}
)
"""What other systems call them, for the message."""
UNITS = ("s", "ms", "us", "ns")
MOST_NESTING = 8

_SIZES = "[1-9][0-9]{0,8}(?: *, *[1-9][0-9]{0,8})*"
OUTLINE = (
    rf"^ *(?:{'|'.join(SCALARS)}|(?:{'|'.join(NUMBERS)})\[ *{_SIZES} *\]"
    rf"|timestamp(?:\[ *(?:{'|'.join(UNITS)}) *(?:, *[A-Za-z0-9_+/:-]* *)?\])?"
    r"|list<.+>|struct<.+>) *$"
)
"""What a regular expression can say of the grammar: all of it but what stands in brackets <>. For
API servers, which have nothing better."""


class UnknownType(ValueError):
    """The text is no type; the message says what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One of SCALARS."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point in time; without `zone` it is a wall clock's reading."""

    unit: str = "us"
    zone: str | None = None

    def __str__(self) -> str:
        if self.zone is None:
            return "timestamp" if self.unit == "us" else f"timestamp[{self.unit}]"
        return f"timestamp[{self.unit}, {self.zone}]"


@dataclass(frozen=True, slots=True)
class Tensor:
    """Numbers in a fixed shape; one dimension is a vector."""

    item: Scalar
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.item}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of values of one type."""

    item: Type

    def __str__(self) -> str:
        return f"list<{self.item}>"


@dataclass(frozen=True, slots=True)
class Struct:
    """Named values of several types."""

    fields: tuple[tuple[str, Type], ...]

    def __str__(self) -> str:
        return f"struct<{', '.join(f'{name}: {kind}' for name, kind in self.fields)}>"


Type = Scalar | Timestamp | Tensor | ListOf | Struct


def parse(text: str, depth: int = 0) -> Type:
    """The type that `text` writes; raises UnknownType."""
    text = text.strip(" ")  # an API server's pattern knows no other blanks
    if depth > MOST_NESTING:
        raise UnknownType(f"is nested deeper than {MOST_NESTING} levels")
    if text in SCALARS:
        return Scalar(text)
    if found := re.fullmatch(r"list<(.+)>", text):
        return ListOf(parse(found[1], depth + 1))
    if found := re.fullmatch(r"struct<(.+)>", text):
        return Struct(tuple(_field(part, depth) for part in _split(found[1])))
    if found := re.fullmatch(r"timestamp(?:\[(.*)\])?", text):
        return _timestamp(text, found[1])
    if found := re.fullmatch(r"(\w+)\[(.*)\]", text):
        return _tensor(text, found[1], found[2])
    raise _unknown(text)


def _timestamp(text: str, inside: str | None) -> Timestamp:
    if inside is None:
        return Timestamp()
    unit, _, zone = (part.strip(" ") for part in inside.partition(","))
    if unit not in UNITS or not re.fullmatch(r"[A-Za-z0-9_+\-/:]*", zone):
        raise UnknownType(
            f"is '{text}', expected timestamp[unit] or timestamp[unit, zone] "
            f"with a unit of {', '.join(UNITS)}"
        )
    return Timestamp(unit, zone or None)


def _tensor(text: str, item: str, inside: str) -> Tensor:
    if item not in NUMBERS:
        raise UnknownType(f"is '{text}', expected a number before the [, one of {_all(NUMBERS)}")
    sizes = [size.strip(" ") for size in inside.split(",")]
    if not all(re.fullmatch(r"[1-9][0-9]{0,8}", size) for size in sizes):
        raise UnknownType(f"is '{text}', expected sizes of 1 or more, as in {item}[224,224,3]")
    return Tensor(Scalar(item), tuple(map(int, sizes)))


def _field(text: str, depth: int) -> tuple[str, Type]:
    name, colon, kind = text.partition(":")
    if not colon or not name.strip():
        raise UnknownType(f"has '{text.strip()}' in a struct, expected a name, a colon and a type")
    return name.strip(), parse(kind, depth + 1)


def _split(text: str) -> list[str]:
    """`text` cut at the commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "<[") - (letter in ">]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _unknown(text: str) -> UnknownType:
    if text.lower() in OTHER_NAMES:
        return UnknownType(
            f"is '{text}', which is no type; did you mean {OTHER_NAMES[text.lower()]}?"
        )
    near = difflib.get_close_matches(text, [*SCALARS, "timestamp"], n=1, cutoff=0.5)
    if near:
        return UnknownType(f"is '{text}', which is no type; did you mean {near[0]}?")
    return UnknownType(
        f"is '{text}', which is no type; expected one of {_all(SCALARS)}, timestamp, "
        "float32[512], uint8[224,224,3], list<string>, struct<a: int32>"
    )


def _all(names: tuple[str, ...]) -> str:
    return ", ".join(names)
