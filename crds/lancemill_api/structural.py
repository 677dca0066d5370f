"""Pydantic's JSON schema made structural, as Kubernetes requires it of a CRD.

What pydantic emits and an API server refuses: `$ref` and `$defs`, `anyOf` with null, `const`,
`propertyNames` and `patternProperties`, numeric `exclusiveMinimum`, `additionalProperties` beside
`properties`. Unknown fields need no word here: an API server knows them by the schema, and refuses
them to `kubectl apply`, which asks for strict field validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)
_REWRITTEN = frozenset(
    {
        *("$defs", "$ref", "title", "anyOf", "const", "additionalProperties", "properties"),
        *("items", "propertyNames", "patternProperties", "exclusiveMinimum"),
    }
)


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of `model`."""
    schema = model.model_json_schema(by_alias=True)
    return _rewritten(schema, schema.get("$defs", {}))


def _rewritten(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    schema = _plain(schema, definitions)
    unknown = schema.keys() - _REWRITTEN - set(_KEPT)
    if unknown:
        raise ValueError(f"no rule for {', '.join(sorted(unknown))} in {schema}")
    made: Schema = {word: schema[word] for word in _KEPT if word in schema}
    if "description" in made:
        made["description"] = " ".join(made["description"].split())
    if schema.get("x-kubernetes-int-or-string"):
        made["anyOf"] = schema["anyOf"]
    if "const" in schema:
        made["enum"] = [schema["const"]]
    if "exclusiveMinimum" in schema:
        made |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if "items" in schema:
        made["items"] = _rewritten(schema["items"], definitions)
    made |= _of_an_object(schema, definitions)
    return _with_plain_default(made)


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """`schema` without references and without `or null`; what stands beside them wins."""
    while True:
        beside = {word: one for word, one in schema.items() if word not in ("$ref", "anyOf")}
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            schema = {**definitions[name], **beside}
        elif "anyOf" in schema and not schema.get("x-kubernetes-int-or-string"):
            (only,) = (one for one in schema["anyOf"] if one != {"type": "null"})
            schema = {**only, **beside}
        else:
            return dict(schema)


def _of_an_object(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    if "properties" in schema:
        properties = schema["properties"].items()
        return {"properties": {name: _rewritten(one, definitions) for name, one in properties}}
    if schema.get("type") != "object":
        return {}
    patterns = list(schema.get("patternProperties", {}).values())
    values = patterns[0] if patterns else schema.get("additionalProperties")
    if isinstance(values, Mapping):
        return {"additionalProperties": _rewritten(values, definitions)}
    return {"x-kubernetes-preserve-unknown-fields": True}


def _with_plain_default(schema: Schema) -> Schema:
    """Defaults that an API server can fill in: none that mean absence, `{}` for a mapping whose
    fields have their own."""
    default = schema.get("default")
    if default is None or default in ([], ()) or (default == {} and "properties" not in schema):
        schema.pop("default", None)
    elif "properties" in schema:
        schema["default"] = {}
    return schema
