"""What is asked of a run before anything of it is looked at: the options, its id, what it means."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lancemill.engine.ledger import Ledger
from lancemill.engine.portion import first_rows, spread
from lancemill.engine.prepare import Prepared
from lancemill.errors import ManifestError, Mistake
from lancemill.plan.meaning import hash_of, meaning_of
from lancemill.sinks.sink import RunRef
from lancemill.sources.source import Shard, Snapshot
from lancemill.storage import open_store


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the caller asks beyond the manifest."""

    run: str | None = None
    """Id to resume or to give; None makes a new one."""
    resume: bool = False
    """The id must be that of an earlier run."""
    limit: int | None = None
    """Only the source's first rows."""
    sample: int | None = None
    """So many rows through everything, on a detached commit; the dataset does not change."""
    sample_first: int | None = None
    """So many rows through everything before the run begins, thrown away again."""
    shard_bytes: int | None = None
    """Bytes of the source in a shard: what a run that dies has to do again. None: by its size."""
    manifest: str = ""
    """The manifest's text, kept with the run."""
    deadline_seconds: float | None = None
    """Time that the run has from now on; then it stops, resumable."""
    engine: str = "local"
    """Where the rows are done: `local`, in this process, or `ray`."""
    epoch: int = 0
    """Given by whoever orders the run's attempts: a higher one takes over from a lower one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A run as it is asked for."""

    prepared: Prepared
    options: RunOptions
    ref: RunRef
    """Who commits."""
    meaning: dict[str, Any]
    """All that decides the output; a run is gone on with under the same one only."""

    @classmethod
    def of(cls, prepared: Prepared, options: RunOptions) -> Request:
        """ManifestError for an id that cannot be one."""
        run = _new_id() if options.run is None else checked_id(options.run)
        sampled = options.sample is not None
        meaning = meaning_of(prepared.pipeline, prepared.plan, None if sampled else options.limit)
        if sampled:
            # Its shards are others than the run's, and are thrown away.
            meaning["sample"] = options.sample
        plan = prepared.plan
        ref = RunRef(run=run, pipeline=plan.pipeline, meaning=hash_of(meaning), inputs=plan.reads)
        return cls(prepared, options, ref, meaning)

    @property
    def run(self) -> str:
        return self.ref.run

    def ledger(self, run: str | None = None) -> Ledger:
        """The ledger of this run, or of another one of the same dataset."""
        sink, run = self.prepared.sink, run or self.run
        return Ledger(run, open_store(f"{sink.uri}.runs/{run}", sink.storage))

    def shards(self, snapshot: Snapshot, target_bytes: int) -> Iterator[Shard]:
        """The part of the source that is asked for, cut into shards."""
        if self.options.sample:
            return spread(snapshot.rows, snapshot.bytes, self.options.sample)
        shards = snapshot.shards(target_bytes)
        if self.options.limit is not None:
            return first_rows(shards, self.options.limit)
        return shards


def _new_id() -> str:
    """A short random id; the create-only claim refuses one that is in use."""
    return uuid.uuid4().hex[:8]


def checked_id(run: str) -> str:
    """The id, which names a folder of the ledger; ManifestError for one that cannot."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", run) is None:
        wanted = "expected at most 63 letters, digits, dots, dashes and underscores"
        raise ManifestError(
            [Mistake("the run's id", f"is {run[:80]!r}, {wanted}")], "lancemill run"
        )
    return run
