"""The loop around the decisions: read, decide, write the status, act, say when to look again.

    1. read       the newest that is known of the object; a decision that wants more gets it
    2. status     written first where it changes, and only onto the state that was read: the
                  status is the operator's memory, and its success proves that nothing is stale
    3. actions    each can be done twice, since a crash may come after any of them

Where the status stays as it is but something is to be made or removed, the object is read live
before: a picture that lags behind must not start a run for a manifest that is gone.

What the API server refuses (a quota, a policy, a right that is missing) is told in the object's
condition Degraded, in the server's own words, until it has been done: the next try, after a while
that grows, is the same decision again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from lancemill_api.status import DatasetStatus, PipelineStatus
from lancemill_operator.act import ActionRefused, Hand, NameTaken
from lancemill_operator.actions import Action, Apply, Create, Decision, Delete, Want
from lancemill_operator.api import Api, ApiError, Forbidden, NotFound, Refused
from lancemill_operator.facts import DatasetFacts, PipelineFacts
from lancemill_operator.keys import Key
from lancemill_operator.kinds import PIPELINE, Body
from lancemill_operator.logs import Log
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.metrics import Metrics
from lancemill_operator.parse import documents
from lancemill_operator.parse.redaction import redacted
from lancemill_operator.picture import Picture
from lancemill_operator.status import Said, refusal, with_degraded, without_refusal
from lancemill_operator.store import Object
from lancemill_operator.world import World

FactsT = TypeVar("FactsT", PipelineFacts, DatasetFacts)
StatusT = TypeVar("StatusT", PipelineStatus, DatasetStatus)

ROUNDS = 6
"""How often one decision may ask for more: each want once, and one to spare."""

DecidePipeline = Callable[[PipelineFacts, datetime, Defaults], Decision[PipelineStatus]]
DecideDataset = Callable[[DatasetFacts, datetime, Defaults], Decision[DatasetStatus]]


class NeverContent(Exception):
    """A decision asks for what it has been given."""


class Stale(Exception):
    """The object is not as it was read: look again, now."""


@dataclass(frozen=True, slots=True)
class Procedure(Generic[FactsT, StatusT]):
    """How one kind is read and decided on."""

    read: Callable[[Body], FactsT]
    look: Callable[[FactsT, Want, datetime, Callable[[], None]], Awaitable[FactsT]]
    decide: Callable[[FactsT, datetime, Defaults], Decision[StatusT]]


class Reconciler:
    """Brings one object at a time to where it should be."""

    def __init__(
        self,
        *,
        api: Api,
        picture: Picture,
        world: World,
        hand: Hand,
        metrics: Metrics,
        log: Log,
        defaults: Defaults,
        decide_pipeline: DecidePipeline,
        decide_dataset: DecideDataset,
        again: Callable[[Key], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._picture = picture
        self._hand = hand
        self._metrics = metrics
        self._log = log
        self._defaults = defaults
        self._again = again
        self._clock = clock
        self._pipelines = Procedure(world.pipeline, world.look_at_pipeline, decide_pipeline)
        self._datasets = Procedure(world.dataset, world.look_at_dataset, decide_dataset)

    async def reconcile(self, key: Key) -> timedelta | None:
        """Look at the object and act; when to look again at the latest.

        Raises Conflict or Stale where it changed meanwhile, other ApiErrors as they come.
        """
        body = self._picture.store.get(key.kind, key.namespace, key.name)
        if body is None:
            self._forget(key)
            return None
        if key.kind is PIPELINE:
            return await self._one(key, self._pipelines, body)
        return await self._one(key, self._datasets, body)

    async def _one(
        self, key: Key, procedure: Procedure[FactsT, StatusT], body: Object
    ) -> timedelta | None:
        now = self._clock()
        try:
            return await self._carried_out(key, procedure, body, now)
        except (Forbidden, Refused, ActionRefused, NameTaken) as error:
            await self._tell_refusal(key, procedure, error, now)
            raise

    async def _carried_out(
        self, key: Key, procedure: Procedure[FactsT, StatusT], body: Object, now: datetime
    ) -> timedelta | None:
        facts, decision = await self._decided(key, procedure, body, now)
        generation, refused = facts.identity.generation, refusal(facts.status)
        rest = said = without_refusal(decision.status, generation, now)
        if refused is not None and _will_change_something(decision):
            said = with_degraded(rest, refused, generation, now)  # until it has been done
        status = documents.dumped(said)
        changed = status != documents.dumped(facts.status)
        if decision.before:
            await self._make_sure(key, body)
            await self._hand.perform(key.kind, facts.identity, decision.before, now)
        if changed:
            body = await self._written(key, facts, status, body)
        elif not decision.before and any(map(_changes_something, decision.actions)):
            await self._make_sure(key, body)
        await self._hand.perform(key.kind, facts.identity, decision.actions, now)
        if said is not rest:
            await self._written(key, procedure.read(body), documents.dumped(rest), body)
        if changed or decision.actions:
            self._tell(key, decision, status)
        return decision.look_again

    async def _decided(
        self, key: Key, procedure: Procedure[FactsT, StatusT], body: Object, now: datetime
    ) -> tuple[FactsT, Decision[StatusT]]:
        """The decision, with all that it wanted to see."""
        facts = procedure.read(body)
        for _ in range(ROUNDS):
            decision = procedure.decide(facts, now, self._defaults)
            if not decision.wants:
                return facts, decision
            for want in sorted(decision.wants - facts.looked):
                facts = await procedure.look(facts, want, now, lambda: self._again(key))
        raise NeverContent(f"wants {', '.join(sorted(decision.wants))} again and again")

    async def _tell_refusal(
        self,
        key: Key,
        procedure: Procedure[FactsT, StatusT],
        error: ApiError | NameTaken,
        now: datetime,
    ) -> None:
        """Say it in the status, as that was written last; where even that fails, in the log."""
        body = self._picture.store.get(key.kind, key.namespace, key.name)
        if body is None:
            return
        facts = procedure.read(body)
        said = Said("Degraded", "True", _reason(error), redacted(str(error)))
        status = with_degraded(facts.status, said, facts.identity.generation, now)
        if facts.identity.deleting or refusal(status) == refusal(facts.status):
            return
        try:
            await self._written(key, facts, documents.dumped(status), body)
        except (ApiError, Stale) as untold:
            self._log.debug("a refusal could not be told", why=str(untold), name=key.name)

    async def _written(
        self, key: Key, facts: PipelineFacts | DatasetFacts, status: Mapping[str, Any], body: Object
    ) -> Object:
        """The object with its new status, where it is still the one that was read."""
        try:
            written = await self._hand.write_status(key.kind, facts.identity, status)
        except NotFound:
            self._picture.gone(key.kind, key.namespace, key.name, facts.identity.uid)
            raise Stale("it was deleted") from None
        self._count_ends(key, body, written)
        return written

    async def _make_sure(self, key: Key, body: Object) -> None:
        """Raises Stale where the object is not what the decision was made on."""
        try:
            live = await self._api.get(key.kind, key.namespace, key.name)
        except NotFound:
            self._picture.gone(key.kind, key.namespace, key.name, body["metadata"].get("uid", ""))
            raise Stale("it was deleted") from None
        if live["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            self._picture.wrote(key.kind, live)
            raise Stale("it was changed")

    def _forget(self, key: Key) -> None:
        if key.kind is PIPELINE:
            self._metrics.forget(key.namespace, key.name)

    def _count_ends(self, key: Key, before: Body, after: Body) -> None:
        if key.kind is PIPELINE:
            old, new = (((one.get("status") or {}).get("lastRun") or {}) for one in (before, after))
            if new.get("id") and (new["id"], new.get("endTime")) != (
                old.get("id"),
                old.get("endTime"),
            ):
                self._metrics.run_ended(key.namespace, key.name, str(new.get("result")))

    def _tell(self, key: Key, decision: Decision[Any], status: Mapping[str, Any]) -> None:
        did = [_named(action) for action in (*decision.before, *decision.actions)]
        self._log.info(
            "reconciled",
            kind=key.kind.name,
            namespace=key.namespace,
            name=key.name,
            phase=status.get("phase"),
            **({"did": did} if did else {}),
            **decision.labels,
        )


def _reason(error: ApiError | NameTaken) -> str:
    """The condition's reason."""
    if isinstance(error, NameTaken):
        return "NameTaken"
    return error.why if isinstance(error, ActionRefused) else "Refused"


def _will_change_something(decision: Decision[Any]) -> bool:
    return any(map(_changes_something, (*decision.before, *decision.actions)))


def _changes_something(action: Action) -> bool:
    return isinstance(action, Create | Apply | Delete)


def _named(action: Action) -> str:
    match action:
        case Create(body) | Apply(body):
            return f"{type(action).__name__} {body['kind']} {body['metadata']['name']}"
        case Delete():
            return f"Delete {action.kind} {action.name}"
        case _:
            return f"Emit {action.reason}"
