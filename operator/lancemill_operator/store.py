"""The operator's picture of the objects that it watches: small, and never older than what it wrote.

Fed by watch events and by listings, both of which may lag behind, be doubled, or lose an object's
end. Two things make the picture safe to decide on. What we wrote ourselves stands in front of what
the watch says until the watch has come that far, so that our own echo is not mistaken for news.
And nothing is kept but what decisions need: no managedFields, no specification of a RayJob.

Versions (`resourceVersion`) are only ever compared for equality.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lancemill_operator.kinds import DATASET, JOB, PIPELINE, RAY_JOB, Body, Kind
from lancemill_operator.parse.relations import committed, datasets_of, sink_of
from lancemill_operator.parse.slim import slimmed

Object = dict[str, Any]
Place = tuple[str, str]
"""Namespace and name."""

VERSIONS_SEEN = 8
TOMBSTONES = 4096


@dataclass(slots=True)
class Entry:
    """An object as the watch tells it, and as we left it."""

    watched: Object | None = None
    written: Object | None = None
    """Ours, where the watch has not come that far."""
    seen: deque[str] = field(default_factory=lambda: deque(maxlen=VERSIONS_SEEN))
    """The latest versions that the watch has told."""
    moved: int = 0
    """The store's moment at which the watch or we last changed it."""

    @property
    def newest(self) -> Object | None:
        return self.written if self.written is not None else self.watched


class Store:
    """Objects of the watched kinds, by kind and place; and those that belong to another one."""

    def __init__(self) -> None:
        self.moment = 0
        """Raised by each change: what began before an object's last one knows less of it."""
        self._entries: dict[Kind, dict[Place, Entry]] = {
            kind: {} for kind in (PIPELINE, DATASET, RAY_JOB, JOB)
        }
        self._children: dict[str, set[tuple[Kind, Place]]] = {}
        """By the uid of the controller."""
        self._users: dict[Place, set[str]] = {}
        """By dataset: names of the pipelines that have to do with it."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        """Uids of what was deleted lately: a late answer must not bring it back."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The newest of it that we know."""
        entry = self._entries[kind].get((namespace, name))
        return entry.newest if entry else None

    def all(self, kind: Kind) -> Iterator[Object]:
        """Every object of the kind."""
        for entry in list(self._entries[kind].values()):
            if (newest := entry.newest) is not None:
                yield newest

    def children(self, kind: Kind, uid: str) -> Iterator[Object]:
        """Every object of the kind whose controller has that uid."""
        for one, (namespace, name) in sorted(self._children.get(uid, ()), key=_order):
            if one is kind and (found := self.get(kind, namespace, name)) is not None:
                yield found

    def users(self, namespace: str, dataset: str) -> list[str]:
        """Names of the pipelines that write to the dataset or wait for it."""
        return sorted(self._users.get((namespace, dataset), ()))

    def committed(self, namespace: str, dataset: str) -> dict[str, int]:
        """Latest version that each pipeline that writes to it says it committed there."""
        found = {}
        for name in self.users(namespace, dataset):
            body = self.get(PIPELINE, namespace, name) or {}
            version = committed(body.get("status") or {})
            if version and sink_of(body.get("spec") or {}) == dataset:
                found[name] = version
        return found

    def count(self, kind: Kind) -> int:
        """How many there are of the kind."""
        return len(self._entries[kind])

    def places(self, kind: Kind) -> set[Place]:
        """Where there are objects of the kind."""
        return set(self._entries[kind])

    def saw(self, kind: Kind, body: Body) -> Object | None:
        """The watch shows the object so; how it showed it before.

        That leaves out what we wrote meanwhile, so that those whom our own write concerns are told
        of it when its echo comes: until then nobody has told them.

        One that is known to be gone is not brought back by a late word of it, and one that we made
        is not replaced by word of what had its name before.
        """
        slim = slimmed(kind, body)
        uid, place = _uid(slim), _place(slim)
        if uid in self._gone or self._is_late(kind, place, uid):
            return None
        entry = self._entry(kind, place, uid)
        told, before = entry.watched, entry.newest
        entry.watched = slim
        entry.seen.append(_version(slim))
        if entry.written is not None and self._caught_up(entry, slim):
            entry.written = None
        self._changed(kind, place, entry, before)
        return told

    def relisted(self, kind: Kind, body: Body) -> None:
        """The watch has begun anew, from a listing that shows the object so.

        It will not tell of versions before that one any more, ours among them.
        """
        place = _place(body)
        entry = self._entries[kind].get(place)
        if entry is not None and not _is_of(entry, _uid(body)):
            self._forget(kind, place)
        elif entry is not None and entry.watched is not None:
            if _version(entry.watched) == _version(body):
                entry.written = None
            return
        self.saw(kind, body)

    def wrote(self, kind: Kind, body: Body) -> Object:
        """The API server answered us with the object so: newer than what the watch had then."""
        slim = slimmed(kind, body)
        uid, place = _uid(slim), _place(slim)
        entry = self._entries[kind].get(place)
        known = entry is not None and (not _is_of(entry, uid) or _version(slim) in entry.seen)
        if uid not in self._gone and not known:
            self._answered(kind, place, slim)
        return slim

    def listed(self, kind: Kind, body: Body, since: int) -> bool:
        """A listing that began at moment `since` shows the object so; whether that was news.

        It is at least as new as all that was known then, and may be older than what came since.
        """
        uid, place = _uid(body), _place(body)
        entry = self._entries[kind].get(place)
        if uid in self._gone or (entry is not None and entry.moved > since):
            return False
        if entry is not None and not _is_of(entry, uid):
            self._forget(kind, place)
        elif entry is not None:
            if entry.newest is not None and _version(entry.newest) == _version(body):
                return False
            entry.written = None
            if _version(body) in entry.seen:
                return True
        self._answered(kind, place, slimmed(kind, body))
        return True

    def distrust(self, kind: Kind, namespace: str, name: str) -> None:
        """What we wrote is not the newest any more."""
        entry = self._entries[kind].get((namespace, name))
        if entry is not None and entry.watched is not None:
            entry.written = None

    def lost(self, kind: Kind, namespace: str, name: str, uid: str = "") -> Object | None:
        """The object is gone, as the watch, a listing or a 404 tells; what was known of it."""
        entry = self._entries[kind].get((namespace, name))
        known = entry.newest if entry else None
        if known is None or (uid and _uid(known) != uid):
            self._bury(uid)
            return None
        self._forget(kind, (namespace, name))
        self._bury(_uid(known))
        return known

    def purge(
        self, kind: Kind, there: Container[Place], candidates: Iterable[Place], since: int
    ) -> list[Object]:
        """Forget those of `candidates` that a listing no longer holds; what was known of them.

        The listing began at moment `since`; what has changed after it is left alone.
        """
        entries = self._entries[kind]
        gone = [
            place
            for place in candidates
            if place not in there and place in entries and entries[place].moved <= since
        ]
        return [one for place in gone if (one := self.lost(kind, *place)) is not None]

    def _answered(self, kind: Kind, place: Place, slim: Object) -> None:
        """An answer to us: it stands before what the watch says."""
        entry = self._entry(kind, place, _uid(slim))
        before, entry.written = entry.newest, slim
        self._changed(kind, place, entry, before)

    def _changed(self, kind: Kind, place: Place, entry: Entry, before: Object | None) -> None:
        self.moment += 1
        entry.moved = self.moment
        newest = entry.newest
        assert newest is not None
        if kind is PIPELINE:
            if before is not None:
                self._unuse(place, before)
            self._use(place, newest)
        for uid in _controllers(newest):
            self._children.setdefault(uid, set()).add((kind, place))

    def _is_late(self, kind: Kind, place: Place, uid: str) -> bool:
        """Whether word of this one comes after we made another one under its name."""
        entry = self._entries[kind].get(place)
        return entry is not None and entry.watched is None and not _is_of(entry, uid)

    def _entry(self, kind: Kind, place: Place, uid: str) -> Entry:
        """The object's entry, made anew where the name has passed to another one."""
        entry = self._entries[kind].get(place)
        if entry is not None and not _is_of(entry, uid):
            self._forget(kind, place)
            entry = None
        return entry or self._entries[kind].setdefault(place, Entry())

    def _caught_up(self, entry: Entry, watched: Object) -> bool:
        written = entry.written
        assert written is not None
        ours, theirs = written["metadata"], watched["metadata"]
        return bool(
            ours.get("resourceVersion") in entry.seen
            or theirs.get("generation", 0) > ours.get("generation", 0)
            or ("deletionTimestamp" in theirs and "deletionTimestamp" not in ours)
        )

    def _use(self, place: Place, body: Object) -> None:
        namespace, name = place
        for dataset in datasets_of(body.get("spec") or {}):
            self._users.setdefault((namespace, dataset), set()).add(name)

    def _unuse(self, place: Place, body: Object) -> None:
        namespace, name = place
        for dataset in datasets_of(body.get("spec") or {}):
            users = self._users.get((namespace, dataset), set())
            users.discard(name)
            if not users:
                self._users.pop((namespace, dataset), None)

    def _forget(self, kind: Kind, place: Place) -> None:
        entry = self._entries[kind].pop(place)
        if kind is PIPELINE and entry.newest is not None:
            self._unuse(place, entry.newest)
        for body in filter(None, (entry.watched, entry.written)):
            for uid in _controllers(body):
                siblings = self._children.get(uid, set())
                siblings.discard((kind, place))
                if not siblings:
                    self._children.pop(uid, None)

    def _bury(self, uid: str) -> None:
        if uid:
            self._gone[uid] = None
            while len(self._gone) > TOMBSTONES:
                self._gone.popitem(last=False)


def _order(child: tuple[Kind, Place]) -> tuple[str, Place]:
    return child[0].name, child[1]


def _uid(body: Body) -> str:
    return str(body["metadata"].get("uid", ""))


def _version(body: Body) -> str:
    return str(body["metadata"].get("resourceVersion", ""))


def _is_of(entry: Entry, uid: str) -> bool:
    newest = entry.newest
    return newest is None or _uid(newest) == uid


def _place(body: Body) -> Place:
    return body["metadata"].get("namespace", ""), body["metadata"]["name"]


def _controllers(body: Body) -> Iterator[str]:
    for owner in body["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            yield owner["uid"]
