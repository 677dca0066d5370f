"""What happened, without what chance decides: the form in which two runs are compared."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

_TIME = re.compile(r"time\+\d+(\.\d+)?|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)?")
_ADDRESS = re.compile(r"<ip-[^>]*>|\b\d{1,3}(\.\d{1,3}){3}\b(?!/)")
_REFUSED = re.compile(r"-(head|worker)-(<x\d+>|[a-z0-9]{5})(?=\\?\")")
_TOKEN_VOLUME = re.compile(r"kube-api-access-(<v\d+>|[a-z0-9]{5})")
_SECONDS = re.compile(
    r"(exceeded timeout of |(?:[aA]ctiveDeadline|[pP]reRunningDeadline)Seconds\"?: "
    r"|ttlSecondsAfterFinished\"?: )\d+"
)
_HASH = "ray.io/upgrade-strategy-recreate-hash"
_DROPPED = (
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
)


@dataclass(frozen=True)
class Change:
    """A watch event, with `fieldManagers` in the place of managedFields."""

    type: str
    kind: str
    object: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])


@dataclass(frozen=True)
class Asked:
    """A request to a dashboard, and the answer."""

    head: str
    method: str
    path: str
    body: object
    token: bool
    status: int
    answer: object


@dataclass
class Life:
    """One object from its making to its end: its distinct states, in order."""

    kind: str
    name: str
    states: list[Object] = field(default_factory=list)
    deleted: bool = False


@dataclass(frozen=True)
class Story:
    """All objects in the order of their making, and all requests."""

    lives: list[Life]
    asked: list[Asked]

    def of_kind(self, *kinds: str) -> list[Life]:
        return [life for life in self.lives if life.kind in kinds]


def story(changes: Sequence[Change], asked: Sequence[Asked], namespace: str) -> Story:
    names = _Names(changes, namespace)
    masked = [_masked(change, names) for change in changes]
    lives: dict[tuple[str, str], Life] = {}
    ended: list[Life] = []
    for change in masked:
        key = change.kind, change.name
        life = lives.get(key)
        if life is None:
            life = lives[key] = Life(*key)
            ended.append(life)
        if change.type == "DELETED":
            life.deleted = True
            del lives[key]
        elif not life.states or life.states[-1] != change.object:
            life.states.append(change.object)
    return Story(ended, [names.in_request(one) for one in asked])


def managers(meta: Object) -> list[str]:
    """As the recordings have them: "manager operation [subresource]"."""
    if "fieldManagers" in meta:
        return list(meta["fieldManagers"])
    found = {
        " ".join(filter(None, (one["manager"], one["operation"], one.get("subresource"))))
        for one in meta.get("managedFields", ())
    }
    return sorted(found)


class _Names:
    """Tokens in the place of names with random ends, the same for the same role in the story."""

    def __init__(self, changes: Iterable[Change], namespace: str) -> None:
        self._tokens: dict[str, str] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._cut: dict[str, str] = {}
        self._namespace = namespace
        for change in changes:
            if change.kind == "RayJob":
                self._learn_job(change)
            elif change.kind == "Pod":
                self._learn_pod(change)
        self._longest_first = sorted(self._tokens, key=len, reverse=True)

    def _learn_job(self, change: Change) -> None:
        status = change.object.get("status", {})
        for field_name, letter in (("rayClusterName", "c"), ("jobId", "j")):
            name = status.get(field_name)
            if name is not None and name not in self._tokens:
                token = self._numbered(f"{change.name}-<{letter}")
                self._tokens[name] = token
                if letter == "c":
                    self._cut[name] = token

    def _learn_pod(self, change: Change) -> None:
        meta = change.object["metadata"]
        if meta["name"] in self._tokens:
            return
        cluster = self._tokens.get(meta["labels"].get("ray.io/cluster", ""), "?")
        group, kind = meta["labels"].get("ray.io/group"), meta["labels"].get("ray.io/node-type")
        self._tokens[meta["name"]] = self._numbered(f"{cluster}-{group}-{kind}-<p")

    def _numbered(self, stem: str) -> str:
        self._counts[stem] += 1
        return f"{stem}{self._counts[stem]}>"

    def generated(self, prefix: str) -> str:
        """A long cluster's name is cut in its pods' prefix; so is its token."""
        for name, token in self._cut.items():
            if prefix.startswith(name):
                return token + prefix[len(name) :]
            stem = token.rpartition("<")[0]
            rest = prefix.removeprefix(stem)
            if rest != prefix and len(stem) > 30:
                return f"{stem}<cut>-{rest.partition('-')[2]}"
        return prefix

    def in_text(self, text: str) -> str:
        for name in self._longest_first:
            text = text.replace(name, self._tokens[name])
        if self._namespace:
            text = re.sub(rf"\b{re.escape(self._namespace)}\b", "<namespace>", text)
        text = _TIME.sub("<time>", text)
        text = _ADDRESS.sub("<ip>", text)
        text = _REFUSED.sub(r"-\1-<x>", text)
        text = _TOKEN_VOLUME.sub("kube-api-access-<v>", text)
        return _SECONDS.sub(r"\g<1>999", text)

    def in_value(self, value: Any) -> Any:
        """Over the text of the whole: quicker than string by string."""
        return json.loads(self.in_text(json.dumps(value)))

    def in_request(self, one: Asked) -> Asked:
        return Asked(
            head=self.in_text(one.head),
            method=one.method,
            path=self.in_text(one.path),
            body=self.in_value(one.body),
            token=one.token,
            status=one.status,
            answer=self.in_value(_about(one.answer)),
        )


def _about(answer: object) -> object:
    """Of a job's record what KubeRay looks at; other answers as they are."""
    if isinstance(answer, dict) and "submission_id" in answer and "status" in answer:
        return {name: answer[name] for name in ("submission_id", "status", "message")}
    return answer


def _masked(change: Change, names: _Names) -> Change:
    found = dict(change.object)
    found["metadata"] = _metadata(found["metadata"], names)
    if "nodeName" in found.get("spec", {}):
        found["spec"] = {**found["spec"], "nodeName": "<node>"}
    if change.kind == "Secret":
        found["data"] = dict.fromkeys(found.get("data", {}), "<removed>")
    if change.kind == "Event":
        found["involvedObject"] = _without(found["involvedObject"], _DROPPED)
    return Change(change.type, change.kind, names.in_value(found))


def _metadata(meta: Object, names: _Names) -> Object:
    kept = _without(meta, _DROPPED)
    kept["fieldManagers"] = managers(meta)
    kept["deleting"] = "deletionTimestamp" in meta
    if "generateName" in meta:
        kept["generateName"] = names.generated(meta["generateName"])
    if "ownerReferences" in meta:
        kept["ownerReferences"] = [_without(owner, _DROPPED) for owner in meta["ownerReferences"]]
    if _HASH in meta.get("annotations", {}):
        kept["annotations"] = {**meta["annotations"], _HASH: "<hash>"}
    return kept


def _without(value: Object, dropped: tuple[str, ...]) -> Object:
    return {name: one for name, one in value.items() if name not in dropped}
