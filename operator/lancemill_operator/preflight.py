"""What can be seen before a pod starts: whether what a manifest names exists, and fits anywhere.

Of Secrets only the metadata is ever asked for, so that no value of one comes into this process.
What we may not see counts as there: a narrow install must not be kept from running.
"""

from __future__ import annotations

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_operator import kinds
from lancemill_operator.api import Api, Forbidden
from lancemill_operator.facts import Capacity, Identity, Missing
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.demand import demands
from lancemill_operator.manifests.references import Reference, references
from lancemill_operator.memory import Memory
from lancemill_operator.parse import capacity
from lancemill_operator.parse.capacity import Node

_KNOWN_OTHERWISE = frozenset({"LanceDataset"})
"""Kinds whose presence the facts tell already."""


class Preflight:
    """Looks, and remembers for a short time what is there."""

    def __init__(
        self,
        api: Api,
        defaults: Defaults,
        capacity_seconds: float = 60.0,
        references_seconds: float = 20.0,
    ) -> None:
        self._api = api
        self._defaults = defaults
        self._there: Memory[tuple[str, str, str], bool] = Memory(4096, references_seconds)
        self._nodes: Memory[str, list[Node] | bool] = Memory(1, capacity_seconds)
        self._limits: Memory[str, dict[str, float]] = Memory(1024, capacity_seconds)

    async def missing(
        self, owner: Identity, resource: MultimodalPipeline | LanceDataset
    ) -> tuple[Missing, ...]:
        """What the manifest names and is not there."""
        sought = [
            one
            for one in references(resource)
            if not one.optional and one.kind not in _KNOWN_OTHERWISE
        ]
        return tuple(
            [
                Missing(one.path, one.kind, one.name)
                for one in sought
                if not await self._is_there(owner.namespace, one)
            ]
        )

    async def capacity(self, owner: Identity, pipeline: MultimodalPipeline) -> Capacity | None:
        """Which worker groups could never have a pod; None where nothing can be seen."""
        nodes = await self._nodes.once("", self._read_nodes)
        limits = await self._limits.once(
            owner.namespace, lambda: self._read_limits(owner.namespace)
        )
        seen = nodes if isinstance(nodes, list) else None
        if seen is None and not limits:
            return None
        return capacity.capacity(demands(pipeline, self._defaults), seen, limits)

    async def _is_there(self, namespace: str, one: Reference) -> bool:
        """Remembers what is there, never what is not: somebody may be about to make it."""
        key = (namespace, one.kind, one.name)
        if self._there.get(key):
            return True
        try:
            there = await self._api.exists(kinds.named(one.kind), namespace, one.name)
        except Forbidden:
            there = True
        if there:
            self._there.keep(key, True)
        return there

    async def _read_nodes(self) -> list[Node] | bool:
        """The nodes that take pods; False where we may not see them."""
        try:
            bodies = await self._api.list(kinds.NODE, None)
        except Forbidden:
            return False
        return [found for one in bodies if (found := capacity.node(one)) is not None]

    async def _read_limits(self, namespace: str) -> dict[str, float]:
        try:
            return capacity.hard_limits(await self._api.list(kinds.RESOURCE_QUOTA, namespace))
        except Forbidden:
            return {}
