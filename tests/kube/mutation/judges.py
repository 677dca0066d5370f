"""Who accepts a manifest: the API server by the CRD, and the models; and where they may differ.

The API server can say less than the models. `KNOWN` is all of it (docs/decisions/0015): whatever
else one of them accepts and the other does not is a fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kube.control_plane import ControlPlane
from kube.rest import Object, resource
from lancemill_api.examination import examine
from lancemill_api.manifest import KINDS
from lancemill_api.places import steps

API = "lancemill.dev/v1alpha1"
AT_ONCE = 8
NAME = "cats"

KNOWN: dict[str, str] = {
    "null": r"is empty, expected |is null without quotes",
    "map key": r"^the name (is|has) ",
    "inside of a type": r"^(is '|has '|is nested)",
}
"""What the API server accepts and the models refuse, by the models' words."""
NESTED = ("list<", "struct<")


@dataclass(frozen=True)
class Verdict:
    """What came of one manifest."""

    document: Object
    code: int
    answer: Any
    """The object as the API server would keep it, or why it does not."""
    mistakes: Sequence[tuple[str, str]]
    """What the models say is wrong."""

    @property
    def accepted(self) -> bool:
        return self.code < 400

    @property
    def difference(self) -> str:
        """Empty where both agree, or differ as is known; else what is not known."""
        if not self.accepted:
            return "" if self.mistakes else f"only the API server refuses it: {self._why}"
        unknown = [one for one in self.mistakes if known(self.document, *one) is None]
        return f"only the models refuse it: {unknown}" if unknown else ""

    @property
    def _why(self) -> str:
        return str(self.answer.get("message", self.answer))[:2000]


def known(document: Object, path: str, message: str) -> str | None:
    """Which of the known differences a mistake of the models is."""
    found = next((name for name, words in KNOWN.items() if re.search(words, message)), None)
    if found != "inside of a type":
        return found
    value: Any = document
    for step in steps(path):
        value = value[step]
    return found if isinstance(value, str) and value.strip().startswith(NESTED) else None


def manifest(kind: str, spec: Any) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": NAME}, "spec": spec}


def judged(plane: ControlPlane, namespace: str, documents: Iterable[Object]) -> list[Verdict]:
    """What the API server and the models say of each; nothing is stored."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: _judged(plane, namespace, one), documents))


def _judged(plane: ControlPlane, namespace: str, document: Object) -> Verdict:
    path = resource(API, f"{document['kind'].lower()}s", namespace)
    query = {"dryRun": "All", "fieldValidation": "Strict"}
    code, answer = plane.rest().answer("POST", path, document, query=query)
    if code not in (201, 400, 422):
        raise AssertionError(f"{code} {answer} for {json.dumps(document)[:2000]}")
    _, mistakes = examine(KINDS[document["kind"]], document)
    return Verdict(document, code, answer, mistakes)
