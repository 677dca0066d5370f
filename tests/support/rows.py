"""A source of a few rows in memory and operations of a few lines, to drive the engine with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lancemill.ops.operation import Bound, Outcome, Place, WorkerContext
from lancemill.plan.step import Part, Plan, Step
from lancemill.sources.source import Shard


@dataclass(frozen=True)
class Rows:
    """A snapshot of the numbers 0 … n-1, a shard each `size` rows."""

    n: int
    size: int = 10

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([("key", pa.string()), ("n", pa.int64())])

    @property
    def rows(self) -> int:
        return self.n

    @property
    def bytes(self) -> int:
        return 8 * self.n

    @property
    def document(self) -> dict[str, Any]:
        return {"n": self.n}

    def shards(self, target_bytes: int = 0) -> Iterator[Shard]:
        for index, start in enumerate(range(0, self.n, self.size)):
            stop = min(start + self.size, self.n)
            yield Shard(index, start, stop, 8 * (stop - start))

    def read(
        self, shard: Shard, columns: Sequence[str], max_rows: int, max_bytes: int
    ) -> Iterator[pa.RecordBatch]:
        for start in range(shard.start, shard.stop, max_rows):
            numbers = list(range(start, min(start + max_rows, shard.stop)))
            made = {"key": [f"k{n}" for n in numbers], "n": numbers}
            yield pa.RecordBatch.from_pydict(made, schema=self.schema).select(list(columns))


class Function:
    """An opened operation that is a plain function."""

    def __init__(self, function: Callable[[pa.RecordBatch], Outcome]) -> None:
        self._function = function
        self.closed = False

    def __call__(self, batch: pa.RecordBatch) -> Outcome:
        return self._function(batch)

    def close(self) -> None:
        self.closed = True


def step(
    name: str, function: Callable[[pa.RecordBatch], Outcome], schema: pa.Schema, **bound: Any
) -> Step:
    """A bound step that applies `function`."""

    def opened(_: WorkerContext) -> Function:
        return Function(function)

    return Step(
        parts=(Part("test", None, Place(name, f"spec.stages[{name}]")),),
        bound=Bound(
            stage=name,
            operation="test",
            schema=schema,
            reads=frozenset(schema.names),
            makes=frozenset(),
            open=opened,
            **bound,
        ),
    )


def plan_of(snapshot: Rows, *steps: Step) -> Plan:
    """A plan whose steps keep all of their columns."""
    keeps = [tuple(snapshot.schema.names), *(tuple(s.done.schema.names) for s in steps)]
    return Plan("test", snapshot.schema, None, steps, keeps=tuple(keeps), key="key")
