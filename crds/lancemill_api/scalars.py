"""Names, places and queries: the bounded texts of which a manifest is made."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from lancemill_api import types
from lancemill_api.base import Expected

LABEL = r"^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$"

Name = Annotated[
    str,
    StringConstraints(pattern=LABEL, max_length=63),
    Expected("lower-case letters, digits and dashes, at most 63"),
]
"""The name of a thing within a manifest."""

ResourceName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z](?:[-a-z0-9]*[a-z0-9])?$", max_length=47),
    Expected("lower-case letters, digits and dashes, at most 47, beginning with a letter"),
]
"""The name of one of our resources: 47 characters, since KubeRay's jobs that carry it allow 47."""

ObjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$", max_length=253),
    Expected("a Kubernetes name: lower-case letters, digits, dashes and dots, at most 253"),
]
"""The name of some other Kubernetes object (a Secret)."""

Column = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Expected("the name of a column, 1 to 256 characters"),
]

_REST = r"(?:[^/?#@\n]+(?:[/?#].*)?|[/?#].*)"
"""What follows :// in an address that names no user."""


def _without_login(value: Any) -> Any:
    if isinstance(value, str) and re.match(r"[a-z][a-z0-9+.-]*://[^/?#]*@", value):
        raise PydanticCustomError(
            "login",
            "holds a user or password before the host; put credentials into a Secret, and give "
            "its name as storage.secretRef",
        )
    return value


def without_login() -> BeforeValidator:
    """A manifest lies in Git: no credentials in addresses. The value is not told again."""
    return BeforeValidator(_without_login)


Uri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(?:(?:file|s3|gs|az|https?)://{_REST}|(?:[^:]|:[^/])+)$", max_length=2048
    ),
    without_login(),
    Expected("a path, or a URI that begins with file://, s3://, gs://, az://, http:// or https://"),
]
"""A place to read from. Relative paths start at the manifest's folder."""

WritableUri = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(?:(?:file|s3|gs|az)://{_REST}|(?:[^:]|:[^/])+)$", max_length=2048
    ),
    without_login(),
    Expected("a path, or a URI that begins with file://, s3://, gs:// or az://"),
]
"""A place to write to. Relative paths start at the manifest's folder."""

Endpoint = Annotated[
    str,
    StringConstraints(pattern=rf"^https?://{_REST}$", max_length=2048),
    without_login(),
    Expected("an address that begins with http:// or https://"),
]
"""The address of a service."""

Query = Annotated[
    str, StringConstraints(min_length=1, max_length=65536), Expected("SQL, as DuckDB reads it")
]

Glob = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1024),
    Expected('a pattern such as "*.jpg" or "2024/**/*.png", in quotes'),
]

Sha256 = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64),
    Expected("a SHA-256 in hexadecimal: 64 of 0-9 and a-f"),
]


def _type(text: str) -> str:
    try:
        types.parse(text)
    except types.UnknownType as unknown:
        raise PydanticCustomError("type_text", "{text}", {"text": str(unknown)}) from None
    return text


TypeText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Field(json_schema_extra={"pattern": types.OUTLINE}),
    AfterValidator(_type),
    Expected("a type such as string, int64, float32[512], uint8[224,224,3] or list<string>"),
]
"""The type of a column, as `lancemill_api.types` reads it."""


def _in_name_order(columns: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(columns.items()))


def _in_order() -> AfterValidator:
    """Kubernetes keeps a map sorted: so do we, that a local run makes the same columns."""
    return AfterValidator(_in_name_order)


ColumnTypes = Annotated[
    dict[Column, TypeText],
    Field(min_length=1, max_length=256),
    _in_order(),
    Expected("a mapping of column names to types, such as {caption: string, score: float32}"),
]
ColumnNames = Annotated[
    dict[Column, Column],
    Field(min_length=1, max_length=64),
    _in_order(),
    Expected("a mapping of names to names, such as {image: pixels}"),
]
