"""What must hold between fields, said once and used three times.

A model lists its rules. The loader applies them to what a manifest says (also where other fields
are wrong, so that all mistakes are told at once), the model applies them to what Python builds, and
the CRD generator writes them as CEL. A rule therefore looks at plain mappings, in the names of the
YAML, and must bear values of any type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Finding = tuple[str, str]
"""Path below the place where the rule stands (may be empty), and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Cel:
    """One entry of `x-kubernetes-validations`."""

    rule: str
    message: str


class Rule(Protocol):
    """A condition between fields of one model."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        """What is wrong with `value`, a mapping in which defaults are filled in."""
        ...

    def cel(self) -> Cel | None:
        """The rule for an API server; None where the schema itself says it."""
        ...


def given(value: Mapping[str, Any], field: str) -> bool:
    """Whether `field` is there and not null."""
    return value.get(field) is not None


def _listed(names: tuple[str, ...], last: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class ExactlyOne:
    """One of `fields` is given, and no other."""

    thing: str
    """What they are: `source`, `operation`."""
    fields: tuple[str, ...]

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        found = tuple(name for name in self.fields if given(value, name))
        if not found:
            yield "", f"has no {self.thing}; expected exactly one of {', '.join(self.fields)}"
        elif len(found) > 1:
            yield "", f"has {_listed(found, 'and')}; expected exactly one {self.thing}"

    def cel(self) -> Cel:
        has = ", ".join(f"has(self.{name})" for name in self.fields)
        return Cel(
            f"[{has}].filter(x, x).size() == 1",
            f"expected exactly one {self.thing}: {_listed(self.fields, 'or')}",
        )


@dataclass(frozen=True, slots=True)
class AtLeastOne:
    """One or more of `fields` is given."""

    fields: tuple[str, ...]

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        if not any(given(value, name) for name in self.fields):
            yield "", f"is empty; expected at least one of {', '.join(self.fields)}"

    def cel(self) -> Cel:
        has = " || ".join(f"has(self.{name})" for name in self.fields)
        return Cel(has, f"expected at least one of {', '.join(self.fields)}")


@dataclass(frozen=True, slots=True)
class NotAbove:
    """`low` is at most `high`, where both are given."""

    low: str
    high: str

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        low, high = value.get(self.low), value.get(self.high)
        if _is_number(low) and _is_number(high) and low > high:  # type: ignore[operator]
            yield self.low, f"is {low}, expected at most {self.high}, which is {high}"

    def cel(self) -> Cel:
        low, high = f"self.{self.low}", f"self.{self.high}"
        return Cel(
            f"!has({low}) || !has({high}) || {low} <= {high}",
            f"{self.low} must be at most {self.high}",
        )


@dataclass(frozen=True, slots=True)
class NotTogether:
    """`flag` is not true while `field` is given."""

    flag: str
    field: str
    reason: str

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        if value.get(self.flag) is True and given(value, self.field):
            yield self.flag, f"is true beside {self.field}; {self.reason}"

    def cel(self) -> Cel:
        flag, field = f"self.{self.flag}", f"self.{self.field}"
        return Cel(
            f"!has({field}) || !has({flag}) || !{flag}",
            f"{self.flag} beside {self.field}: {self.reason}",
        )


@dataclass(frozen=True, slots=True)
class NeededWhen:
    """`field` is given where `switch` is `choice`."""

    field: str
    switch: str
    choice: str
    what: str
    """What is expected of it: `the columns that tell rows apart`."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        if value.get(self.switch) == self.choice and not given(value, self.field):
            yield self.field, f"missing; {self.switch} {self.choice} needs {self.what}"

    def cel(self) -> Cel:
        switch = f"self.{self.switch}"
        return Cel(
            f"!has({switch}) || {switch} != '{self.choice}' || has(self.{self.field})",
            f"{self.switch} {self.choice} needs {self.field}: {self.what}",
        )


@dataclass(frozen=True, slots=True)
class OnlyWhen:
    """`field` is given only where `switch` is `choice`."""

    field: str
    switch: str
    choice: str

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        chosen = value.get(self.switch)
        if given(value, self.field) and chosen != self.choice:
            yield (
                self.field,
                f"means something with {self.switch}: {self.choice} only, and {self.switch} is "
                f"{'not given' if chosen is None else chosen}; remove it or change {self.switch}",
            )

    def cel(self) -> Cel:
        switch = f"self.{self.switch}"
        return Cel(
            f"!has(self.{self.field}) || (has({switch}) && {switch} == '{self.choice}')",
            f"{self.field} means something with {self.switch}: {self.choice} only",
        )


@dataclass(frozen=True, slots=True)
class OnlyBeside:
    """`field` is given only where `other` is given."""

    field: str
    other: str
    remedy: str = ""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        if given(value, self.field) and not given(value, self.other):
            yield self.field, f"means something beside {self.other} only; " + self._remedy

    def cel(self) -> Cel:
        return Cel(
            f"!has(self.{self.field}) || has(self.{self.other})",
            f"{self.field} means something beside {self.other} only; {self._remedy}",
        )

    @property
    def _remedy(self) -> str:
        return self.remedy or f"remove it or give {self.other}"


@dataclass(frozen=True, slots=True)
class Unique:
    """Entries of the list `field` differ in `key` (the CRD has a mark for this, so no CEL)."""

    field: str
    key: str = "name"

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        first: dict[str, int] = {}
        entries = value.get(self.field)
        for at, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
            name = entry.get(self.key) if isinstance(entry, Mapping) else None
            if not isinstance(name, str):
                continue
            if name in first:
                place = f"{self.field}[{at}].{self.key}"
                earlier = f"{self.field}[{first[name]}]"
                yield place, f"'{name}' is taken by {earlier}; expected another {self.key}"
            first.setdefault(name, at)

    def cel(self) -> None:
        return None

    def marks(self) -> dict[str, Any]:
        """What the list's schema says of itself in a CRD."""
        return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}


@dataclass(frozen=True, slots=True)
class NoRepeats:
    """The list `field` says nothing twice (the CRD has a mark for this, so no CEL)."""

    field: str

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        first: dict[str, int] = {}
        entries = value.get(self.field)
        for at, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
            if not isinstance(entry, str):
                continue
            if entry in first:
                yield f"{self.field}[{at}]", f"'{entry}' is in the list already; remove one"
            first.setdefault(entry, at)

    def cel(self) -> None:
        return None

    def marks(self) -> dict[str, Any]:
        """What the list's schema says of itself in a CRD."""
        return {"x-kubernetes-list-type": "set"}
