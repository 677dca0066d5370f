"""What all models share: strictness, camelCase names in YAML, rules between fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from lancemill_api.rules import NoRepeats, Rule, Unique

RULE_BROKEN = "lancemill_rule"
"""Type of the validation error that a broken rule raises (the loader tells those itself)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Annotation of a type: what would be right, in the words that a message uses."""

    words: str


class Model(BaseModel):
    """A mapping of the manifest: unknown fields are refused, values do not change once made.

    YAML has the camelCase names, Python has snake_case. What a field means stands below it and
    becomes the text of `kubectl explain`.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )

    must_hold: ClassVar[tuple[Rule, ...]] = ()
    """Conditions between fields."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Fields that one would expect and that are not here, each with the reason."""

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        if not self.must_hold:
            return self
        value = self._as_rules_see_it()
        findings = [finding for rule in self.must_hold for finding in rule.broken(value)]
        if findings:
            text = "; ".join(f"{path} {message}".strip() for path, message in findings)
            raise PydanticCustomError(RULE_BROKEN, "{text}", {"text": text})
        return self

    def _as_rules_see_it(self) -> dict[str, Any]:
        """What was given and plain defaults, as an API server has it before it applies CEL."""
        whole = self.model_dump(by_alias=True, exclude_none=True)
        given = self.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        return {
            name: given.get(name, one)
            for name, one in whole.items()
            if name in given or isinstance(one, str | int | float)
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        resolved = handler.resolve_ref_schema(schema)
        written: list[dict[str, Any]] = [
            {"rule": cel.rule, "message": cel.message}
            for rule in cls.must_hold
            if (cel := rule.cel()) is not None
        ]
        if written:
            resolved["x-kubernetes-validations"] = written
        for rule in cls.must_hold:
            if isinstance(rule, Unique | NoRepeats):
                resolved["properties"][rule.field] |= rule.marks()
        return schema
