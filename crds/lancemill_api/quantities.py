"""Durations, byte sizes and Kubernetes quantities: text in the manifest, numbers where used."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from lancemill_api.base import Expected

DURATION = r"^(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d))+$"
SIZE = r"^[0-9]{1,15}(?:\.[0-9]{1,3})?(?:Ki|Mi|Gi|Ti|k|M|G|T)?$"
QUANTITY = r"^[0-9]{1,15}(?:\.[0-9]{1,3})?(?:m|Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FACTOR = {
    "": 1,
    "m": 0.001,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "P": 10**15,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
    "Pi": 2**50,
}


def seconds(text: str) -> float:
    """Seconds of a duration: `seconds("1h30m")` is 5400.0. Raises ValueError."""
    if not re.fullmatch(DURATION, text):
        raise ValueError(f"is {text!r}, expected a duration such as 30s, 5m or 1h30m")
    parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def byte_size(text: str | int) -> int:
    """Bytes of a size: `byte_size("64Mi")` is 67108864. Raises ValueError."""
    if not re.fullmatch(SIZE, str(text)):
        raise ValueError(f"is {text!r}, expected a size such as 64Mi, 1.5Gi or 100000 (bytes)")
    return int(quantity(text))


def quantity(text: str | int) -> float:
    """Value of a Kubernetes quantity: `quantity("500m")` is 0.5. Raises ValueError."""
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text))
    if not found or not re.fullmatch(QUANTITY, str(text)):
        raise ValueError(f"is {text!r}, expected a quantity such as 4, 500m or 8Gi")
    return float(found[1]) * _FACTOR[found[2]]


class _Written:
    """Checks a whole number or text against a pattern, and keeps it as text."""

    def __init__(self, pattern: str, words: str) -> None:
        self.pattern, self.words = re.compile(pattern), words

    def __call__(self, value: Any) -> str:
        number = isinstance(value, int) and not isinstance(value, bool)
        if (number or isinstance(value, str)) and self.pattern.fullmatch(str(value)):
            return str(value)
        raise PydanticCustomError("quantity", "expected {words}", {"words": self.words})


def _as_in_yaml(text: str) -> int | str:
    return int(text) if re.fullmatch(r"0|[1-9][0-9]*", text) else text


def _int_or_string(pattern: str) -> WithJsonSchema:
    """Kubernetes checks a pattern beside int-or-string on text only, which is what we want."""
    return WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": pattern,
            "maxLength": 32,
        }
    )


_SIZE_WORDS = "a size in bytes such as 64Mi, 1.5Gi or 100000"
_QUANTITY_WORDS = 'a quantity such as 4, "500m" or 8Gi'

Duration = Annotated[
    str,
    StringConstraints(pattern=DURATION, max_length=32),
    Expected("a duration such as 30s, 5m or 1h30m"),
]
"""A length of time, as text; `seconds` gives its value."""

ByteSize = Annotated[
    str,
    PlainValidator(_Written(SIZE, _SIZE_WORDS)),
    PlainSerializer(_as_in_yaml),
    _int_or_string(SIZE),
    Expected(_SIZE_WORDS),
]
"""A number of bytes, as text; `byte_size` gives its value."""

Quantity = Annotated[
    str,
    PlainValidator(_Written(QUANTITY, _QUANTITY_WORDS)),
    PlainSerializer(_as_in_yaml),
    _int_or_string(QUANTITY),
    Expected(_QUANTITY_WORDS),
]
"""An amount of CPU or memory as Kubernetes writes it, as text; `quantity` gives its value."""
