"""What a worker reports of a finished shard: small, JSON, enough to commit without the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lancemill.engine.chunk import RowFault
from lancemill.sinks.sink import ShardOutput
from lancemill.sources.source import Shard


@dataclass(frozen=True, slots=True)
class ShardResult:
    """A finished shard."""

    shard: Shard
    rows_in: int
    output: ShardOutput
    faults: tuple[RowFault, ...]
    head: tuple[int, ...] = ()
    """Source rows of its first output rows, to show input beside output."""
    attempt: int = 0

    def to_json(self) -> bytes:
        """As it lies in the ledger."""
        return json.dumps(
            {
                "shard": asdict(self.shard),
                "rowsIn": self.rows_in,
                "output": asdict(self.output),
                "faults": [asdict(fault) for fault in self.faults],
                "head": self.head,
                "attempt": self.attempt,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ShardResult:
        """The result that `to_json` wrote."""
        told: Mapping[str, Any] = json.loads(text)
        output = told["output"]
        return cls(
            shard=Shard(**told["shard"]),
            rows_in=told["rowsIn"],
            output=ShardOutput(
                fragments=tuple(output["fragments"]),
                files=tuple(output["files"]),
                rows=output["rows"],
                bytes=output["bytes"],
            ),
            faults=tuple(RowFault(**fault) for fault in told["faults"]),
            head=tuple(told["head"]),
            attempt=told["attempt"],
        )
