"""What a request to an API server means: which verb, on which object.

The fault proxy keeps one `Call` for each request it saw. A test asks them for the sequence of
writes, and its rules for faults are predicates on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kube.rest import APPLY, Object

WRITES = frozenset({"create", "update", "patch", "apply", "delete", "deletecollection"})
_OF_A_NAMESPACE_ITSELF = frozenset({"status", "finalize"})
_TRUE = frozenset({"true", "1"})


@dataclass(frozen=True)
class Target:
    """What a path names; all of it is empty for discovery, /readyz and the like."""

    api: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@dataclass
class Call:
    """A request, and what became of it. `status` is what the client got, if it got an answer."""

    number: int
    method: str
    path: str
    query: Mapping[str, str]
    verb: str
    target: Target
    body: Object | None = field(default=None, repr=False)
    user_agent: str = ""
    forwarded: bool = False  # the API server has it, or will have it
    committed: int | None = None  # the status code that the API server answered with
    status: int | None = None
    fault: str = ""

    @property
    def resource(self) -> str:
        return self.target.resource

    @property
    def name(self) -> str:
        return self.target.name or _name_in(self.body)

    @property
    def writes(self) -> bool:
        return self.verb in WRITES and "dryRun" not in self.query

    def __str__(self) -> str:
        """`apply multimodalpipelines/status photos`: comparable between two runs."""
        target = self.target
        kind = f"{target.resource}/{target.subresource}" if target.subresource else target.resource
        return " ".join(part for part in (self.verb, kind or self.path, self.name) if part)


def parsed_call(
    number: int,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> Call:
    target = parsed_path(path)
    verb = _verb(method, target, query, headers.get("Content-Type", ""))
    agent = headers.get("User-Agent", "")
    return Call(number, method, path, dict(query), verb, target, parsed_body(body), agent)


def parsed_path(path: str) -> Target:
    match path.strip("/").split("/"):
        case ["api", version, *rest] if rest:
            return _in_group(version, rest)
        case ["apis", group, version, *rest] if rest:
            return _in_group(f"{group}/{version}", rest)
        case _:
            return Target()


def _in_group(api: str, parts: list[str]) -> Target:
    match parts:
        case ["namespaces", name, sub] if sub in _OF_A_NAMESPACE_ITSELF:
            return Target(api, "namespaces", "", name, sub)
        case ["namespaces", namespace, resource, *rest]:
            return _of_resource(api, resource, namespace, rest)
        case [resource, *rest]:
            return _of_resource(api, resource, "", rest)
        case _:
            return Target()


def _of_resource(api: str, resource: str, namespace: str, rest: list[str]) -> Target:
    name, sub = (*rest[:2], "", "")[:2]
    return Target(api, resource, namespace, name, sub)


def _verb(method: str, target: Target, query: Mapping[str, str], content_type: str) -> str:
    if not target.resource:
        return "other"
    match method:
        case "GET" if query.get("watch") in _TRUE:
            return "watch"
        case "GET" | "HEAD":
            return "get" if target.name else "list"
        case "POST":
            return "create"
        case "PUT":
            return "update"
        case "PATCH":
            return "apply" if content_type.split(";")[0] == APPLY else "patch"
        case "DELETE":
            return "delete" if target.name else "deletecollection"
        case _:
            return "other"


def parsed_body(body: bytes) -> Object | None:
    """JSON only: what the clients of these tests send, server-side apply included."""
    try:
        found: Any = json.loads(body) if body else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _name_in(body: Object | None) -> str:
    metadata = (body or {}).get("metadata") or {}
    return str(metadata.get("name") or metadata.get("generateName") or "")
