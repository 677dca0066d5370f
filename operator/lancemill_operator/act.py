"""The operator's hand: the only module that writes to the API server.

Every write is one that can be made twice. Status and shared objects go by server-side apply, an
attempt's objects by a plain create under a name that only this attempt has, deletions name the
uid. What the server answers is put into the store, so that the next look does not depend on how
far the watches have come.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from lancemill_operator import kinds, names
from lancemill_operator.actions import Action, Apply, Create, Delete, Emit
from lancemill_operator.api import (
    AlreadyExists,
    Api,
    ApiError,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
)
from lancemill_operator.facts import Identity
from lancemill_operator.kinds import Body, Kind
from lancemill_operator.picture import Picture
from lancemill_operator.status import CREATE_REFUSED
from lancemill_operator.store import Object

LONGEST_NOTE = 1024
"""Characters of an Event's note that the API server takes."""


class NameTaken(Exception):
    """An object of somebody else has the name that ours must have."""


class ActionRefused(ApiError):
    """The API server refuses what was decided, and would refuse it again: a quota, a policy, a
    right that is missing. `why` is the reason of the condition that tells it."""

    def __init__(self, why: str, what: str, error: ApiError) -> None:
        super().__init__(error.status, error.reason, f"{what}: {error}", error.retry_after)
        self.why = why


class Hand:
    """Carries out what was decided for one object at a time."""

    def __init__(self, api: Api, picture: Picture) -> None:
        self._api = api
        self._picture = picture
        self._instance = f"{names.MANAGER}-{os.environ.get('HOSTNAME') or socket.gethostname()}"[
            :128
        ]

    async def write_status(self, kind: Kind, owner: Identity, status: Mapping[str, Any]) -> Object:
        """Make this the object's status, if nobody wrote to it since it was read.

        Raises Conflict otherwise. What comes back is the object as it is then.
        """
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "metadata": {
                "name": owner.name,
                "namespace": owner.namespace,
                "uid": owner.uid,
                "resourceVersion": owner.resource_version,
            },
            "status": status,
        }
        try:
            written = await self._api.apply(kind, owner.namespace, body, "status")
        except Conflict:
            self._picture.store.distrust(kind, owner.namespace, owner.name)
            raise
        return self._picture.wrote(kind, written)

    async def perform(
        self, kind: Kind, owner: Identity, actions: Iterable[Action], now: datetime
    ) -> None:
        """Do all of it, in this order; what fails ends it, and is decided on anew."""
        for action in actions:
            match action:
                case Create(body):
                    with _refused_as(CREATE_REFUSED, body["kind"], body["metadata"]["name"]):
                        await self._create(owner, body)
                case Apply(body):
                    with _refused_as(CREATE_REFUSED, body["kind"], body["metadata"]["name"]):
                        await self._apply(owner, body)
                case Delete():
                    with _refused_as("DeleteRefused", action.kind, action.name):
                        await self._delete(owner, action)
                case Emit():
                    await self._emit(kind, owner, action, now)

    async def _create(self, owner: Identity, body: Body) -> None:
        kind = kinds.of_body(body)
        try:
            made = await self._api.create(kind, owner.namespace, body)
        except AlreadyExists:
            made = await self._ours(kind, owner, body["metadata"]["name"])
        if kind in kinds.WATCHED:
            self._picture.wrote(kind, made)

    async def _ours(self, kind: Kind, owner: Identity, name: str) -> Object:
        """The object that has the name already. Raises NameTaken where another one owns it."""
        found = await self._api.get(kind, owner.namespace, name)
        owners = [one.get("uid") for one in found["metadata"].get("ownerReferences") or ()]
        if owner.uid not in owners:
            raise NameTaken(
                f"{kind} {name} exists and is not of {owner.name} (uid {owner.uid}); delete it, or "
                "wait until the garbage collector has"
            )
        return found

    async def _apply(self, owner: Identity, body: Body) -> None:
        kind = kinds.of_body(body)
        applied = await self._api.apply(kind, owner.namespace, body)
        if "deletionTimestamp" in applied["metadata"]:
            name = body["metadata"]["name"]
            raise NameTaken(f"{kind} {name} is being deleted; it is made anew once it is gone")

    async def _delete(self, owner: Identity, action: Delete) -> None:
        kind = kinds.of(action.api_version, action.kind)
        try:
            left = await self._api.delete(kind, owner.namespace, action.name, action.uid)
        except NotFound:
            left = {}
        except Conflict:
            if not action.uid or await self._is_there(kind, owner.namespace, action):
                raise
            left = {}  # the object of that uid is gone, another has its name
        if kind not in kinds.WATCHED:
            return
        if left.get("kind") == kind.name:
            self._picture.wrote(kind, left)
        else:
            self._picture.gone(kind, owner.namespace, action.name, action.uid)

    async def _is_there(self, kind: Kind, namespace: str, sought: Delete) -> bool:
        """Whether it is that very object: a conflict alone does not tell that it is another."""
        try:
            found = await self._api.get(kind, namespace, sought.name)
        except NotFound:
            return False
        return bool(found["metadata"].get("uid") == sought.uid)

    async def _emit(self, kind: Kind, owner: Identity, event: Emit, now: datetime) -> None:
        """Tell it. An Event that cannot be told stops nothing: it is news, not state."""
        regarding = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "namespace": owner.namespace,
            "name": owner.name,
            "uid": owner.uid,
        }
        token = names.digest([owner.uid, event.reason, event.token])
        body = {
            "apiVersion": kinds.EVENT.api_version,
            "kind": kinds.EVENT.name,
            "metadata": {
                "name": f"{names.cut(owner.name, 200)}.{token}",
                "namespace": owner.namespace,
            },
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": event.type,
            "reason": event.reason[:128],
            "note": event.message[:LONGEST_NOTE],
            "action": event.reason[:128],
            "regarding": regarding,
            "reportingController": f"{names.GROUP}/{names.MANAGER}",
            "reportingInstance": self._instance,
        }
        try:
            await self._api.create(kinds.EVENT, owner.namespace, body)
        except AlreadyExists:
            pass
        except ApiError as error:
            if error.status not in (0, 403, 422, 429, 500, 503):
                raise


@contextmanager
def _refused_as(why: str, kind: str, name: str) -> Iterator[None]:
    """Says of a refusal what was refused. A kind that is not there (404) is one as well."""
    try:
        yield
    except (Forbidden, Refused, NotFound) as error:
        raise ActionRefused(why, f"{kind} {name}", error) from error
