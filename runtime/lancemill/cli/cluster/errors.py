"""What an API server refuses, in one line each with what would help. Pure.

ClusterError           a command against the cluster failed      exit 1
├── Unreachable        no answer: address, certificate, network, credentials plugin
└── Refused            an answer, and it was no
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lancemill.errors import LancemillError
from lancemill_api.mistakes import Mistake

Object = dict[str, Any]

NOT_INSTALLED = (
    "install it: helm install lancemill helm/lancemill (cluster administrators may), or name a "
    "cluster that has it by --context"
)
_CANNOT = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<what>.*)', re.DOTALL)
_MANAGER = re.compile(r'conflict with "([^"]+)"')


class ClusterError(LancemillError):
    """A command against the cluster failed."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(message)


class Unreachable(ClusterError):
    """The API server gave no answer."""


class Refused(ClusterError):
    """The API server said no. `code` is its HTTP status, `body` its Status object."""

    def __init__(self, code: int, body: Mapping[str, Any], about: str) -> None:
        self.code = code
        self.body = body
        message, remedy = _told(code, body)
        super().__init__(f"{about}: {message}" if about else message, remedy=remedy)

    @property
    def causes(self) -> list[Mapping[str, Any]]:
        """What the answer lists, each with reason, message and field."""
        details = self.body.get("details") or {}
        return list(details.get("causes") or ())

    @property
    def is_of_the_manifest(self) -> bool:
        """Whether the object itself is wrong, and not who sent it or when."""
        return self.code in (400, 422) or _is_unknown_field(self.body)

    @property
    def is_absence(self) -> bool:
        """Whether the object is not there, while its kind and namespace are."""
        return self.code == 404 and _kind(self.body) != "namespaces" and bool(_name(self.body))

    def mistakes(self, document: str = "") -> list[Mistake]:
        """The refusal as mistakes of the manifest."""
        found = [
            Mistake(str(one.get("field") or ""), _one_line(str(one.get("message", ""))), document)
            for one in self.causes
        ]
        return found or [Mistake("", _one_line(_message(self.body)), document)]


def status_of(code: int, text: str) -> Object:
    """The Status object in an answer; one made of its text where it is none."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if isinstance(body, dict) and (body.get("message") or body.get("reason")):
        return body
    return {"code": code, "message": text.strip()[:500] or f"HTTP {code}"}


def _told(code: int, body: Mapping[str, Any]) -> tuple[str, str]:
    """What happened, and what would help."""
    if code == 401:
        return (
            "the API server does not accept your credentials",
            "sign in again; `kubectl auth whoami` shows who you are",
        )
    if code == 403:
        return _forbidden(body)
    if code == 404:
        return _not_found(body)
    if code == 409 and "conflict with" in _message(body):
        return _conflict(body)
    if _is_unknown_field(body):
        return (
            _one_line(_message(body)),
            "the cluster's CRDs do not know this field: upgrade the chart, or take the field out",
        )
    return _one_line(_message(body)) or f"HTTP {code}", ""


def _forbidden(body: Mapping[str, Any]) -> tuple[str, str]:
    found = _CANNOT.search(_message(body))
    if found is None:
        return _one_line(_message(body)), ""
    return (
        f"{found['user']} may not {_one_line(found['what'])}",
        "ask for the role view (to look) or edit (to change) in that namespace, or choose another "
        "by -n or --context",
    )


def _not_found(body: Mapping[str, Any]) -> tuple[str, str]:
    kind, name = _kind(body), _name(body)
    if kind == "namespaces":
        return f"there is no namespace {name}", f"kubectl create namespace {name}, or give -n"
    if name:
        return f"there is no {kind} {name}", "`lancemill status` lists what is there"
    return "Lancemill is not installed in this cluster", NOT_INSTALLED


def _conflict(body: Mapping[str, Any]) -> tuple[str, str]:
    causes = (body.get("details") or {}).get("causes") or ()
    managers = sorted({one for each in causes for one in _MANAGER.findall(each.get("message", ""))})
    fields = sorted({str(each.get("field", "")).lstrip(".") for each in causes})
    who = ", ".join(managers) or "another field manager"
    return (
        f"{', '.join(fields) or 'fields'} belong to {who}, which would set them back",
        f"change them there; or take them over: --force-conflicts (of {who})",
    )


def _is_unknown_field(body: Mapping[str, Any]) -> bool:
    return "field not declared in schema" in _message(body)


def _message(body: Mapping[str, Any]) -> str:
    return str(body.get("message") or body.get("reason") or "")


def _kind(body: Mapping[str, Any]) -> str:
    return str((body.get("details") or {}).get("kind") or "")


def _name(body: Mapping[str, Any]) -> str:
    return str((body.get("details") or {}).get("name") or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
