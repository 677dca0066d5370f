"""A clock that a life moves on: what waits an hour for its turn is due at once.

Nothing has to be slept through, and nothing that is due tomorrow comes today because the machine
is slow. Only the decisions see it. An operator's own timers are not touched: `jump` looks up what
the decisions have asked to be looked at again, and has those looked at whose time has come; what
asked for no later look stays forgotten, as it would in life.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from lancemill_api.status import DatasetStatus, PipelineStatus
from lancemill_operator.actions import Decision
from lancemill_operator.decide import decide_dataset, decide_pipeline
from lancemill_operator.facts import DatasetFacts, PipelineFacts
from lancemill_operator.keys import Key
from lancemill_operator.kinds import DATASET, PIPELINE, Kind
from lancemill_operator.manifests.defaults import Defaults

FactsT = TypeVar("FactsT", PipelineFacts, DatasetFacts)
StatusT = TypeVar("StatusT", PipelineStatus, DatasetStatus)


class Clock:
    """How far ahead of the real time it is."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self, real: datetime) -> datetime:
        return real + self.ahead


class Diary:
    """The decisions of one operator, made by the clock, and when each wants to look again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[Key, datetime] = {}

    def pipelines(
        self, facts: PipelineFacts, real: datetime, defaults: Defaults
    ) -> Decision[PipelineStatus]:
        return self._decided(PIPELINE, decide_pipeline, facts, real, defaults)

    def datasets(
        self, facts: DatasetFacts, real: datetime, defaults: Defaults
    ) -> Decision[DatasetStatus]:
        return self._decided(DATASET, decide_dataset, facts, real, defaults)

    def due(self, real: datetime) -> list[Key]:
        """What is due by now, and was not by the time at which it was decided on."""
        now = self._clock.now(real)
        found = [key for key, moment in self._due.items() if moment <= now]
        for key in found:
            del self._due[key]
        return found

    def _decided(
        self,
        kind: Kind,
        decide: Callable[[FactsT, datetime, Defaults], Decision[StatusT]],
        facts: FactsT,
        real: datetime,
        defaults: Defaults,
    ) -> Decision[StatusT]:
        now = self._clock.now(real)
        decision = decide(facts, now, defaults)
        key = Key(kind, facts.identity.namespace, facts.identity.name)
        self._due.pop(key, None)
        if decision.look_again is not None:
            self._due[key] = now + decision.look_again
        return decision
