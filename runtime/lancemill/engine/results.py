"""The finished shards of a run, as its driver keeps them: packed, since there may be a million.

A result is as much as the ledger holds of it: fragments, counts, and every row that failed. As
Python objects that is 3 KB a shard and 460 bytes for each failed row; packed, a sixth.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, MutableMapping

from lancemill.engine.result import ShardResult


class Results(MutableMapping[int, ShardResult]):
    """Finished shards by index. Each reading makes a result anew: read one at a time."""

    def __init__(self, results: Mapping[int, ShardResult] | None = None) -> None:
        self._packed: dict[int, bytes] = {}
        self.update(results or {})

    def add(self, text: bytes | None) -> None:
        """A result as it lies in the ledger, if it does. May be called from several threads."""
        if text is not None:
            self._packed[ShardResult.from_json(text).shard.index] = zlib.compress(text)

    def __getitem__(self, index: int) -> ShardResult:
        return ShardResult.from_json(zlib.decompress(self._packed[index]))

    def __setitem__(self, index: int, result: ShardResult) -> None:
        self._packed[index] = zlib.compress(result.to_json())

    def __delitem__(self, index: int) -> None:
        del self._packed[index]

    def __contains__(self, index: object) -> bool:
        return index in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)

    def in_order(self) -> Iterator[ShardResult]:
        """The results in the order of the source."""
        return (self[index] for index in sorted(self._packed))
