"""A run's record: what it was begun with, written once, and the same for every later attempt.

Whoever writes it has listed the source; all attempts then work on that listing, however the source
has changed meanwhile.
"""

from __future__ import annotations

from typing import Any

from lancemill.engine.books import close_left_open
from lancemill.engine.ledger import Ledger
from lancemill.engine.request import Request
from lancemill.errors import RunConflict
from lancemill.plan.meaning import difference
from lancemill.plan.segments import target_shard_bytes


def record_of(request: Request, ledger: Ledger, started_at: str) -> dict[str, Any]:
    """The run's record: that of an earlier attempt if it means the same, else a new one."""
    record = ledger.record() or _record_of_shards(ledger)
    if record is None:
        # An attempt that was faster has listed the source, and may have done shards of it.
        record = ledger.write_record(_new(request, ledger, started_at))
    _check_meaning(request, record)
    return record


def _record_of_shards(ledger: Ledger) -> dict[str, Any] | None:
    """None where no shard is done: those that are belong to the listing that a record tells of,
    and to no other."""
    if not ledger.shards_done():
        return None
    record = ledger.record()  # by an attempt that was faster
    if record is None:
        raise RunConflict(
            f"the ledger of run {ledger.run} has shards, and its run.json is gone",
            remedy="restore it, or start a new run",
            final=True,
        )
    return record


def _check_meaning(request: Request, record: dict[str, Any]) -> None:
    if record["meaningHash"] != request.ref.meaning:
        changes = list(difference(record["meaning"], request.meaning))
        raise RunConflict(
            f"run {request.run} was started with another manifest: {'; '.join(changes[:4])}",
            remedy="start a new run for the new manifest, or put the old one back to resume",
            final=True,
        )


def _new(request: Request, ledger: Ledger, started_at: str) -> dict[str, Any]:
    options, prepared = request.options, request.prepared
    last = _last_run(request)
    previous = None if last is None else _snapshot_of(request, last)
    snapshot = prepared.source.take_snapshot(ledger.source_folder, previous)
    shard_bytes = options.shard_bytes or target_shard_bytes(snapshot.bytes)
    base = prepared.sink.prepare(
        prepared.plan.output, request.ref, read=snapshot.document.get("version")
    )
    if _is_incremental(request):
        base["after"] = last
    return {
        "run": request.run,
        "pipeline": prepared.plan.pipeline,
        "startedAt": started_at,
        "sample": options.sample,
        "meaning": request.meaning,
        "meaningHash": request.ref.meaning,
        "manifest": options.manifest,
        "snapshot": snapshot.document,
        "shardBytes": shard_bytes,
        "shards": sum(1 for _ in request.shards(snapshot, shard_bytes)),
        "base": base,
    }


def _is_incremental(request: Request) -> bool:
    objects = request.prepared.pipeline.spec.source.objects
    return objects is not None and objects.incremental and not request.options.sample


def _last_run(request: Request) -> str | None:
    """The last committed run of this pipeline, for `incremental`."""
    if not _is_incremental(request):
        return None
    return request.prepared.sink.last_run(request.prepared.plan.pipeline)


def _snapshot_of(request: Request, last: str) -> dict[str, Any]:
    """The source as run `last` saw it."""
    sink = request.prepared.sink
    ledger = request.ledger(last)
    record = ledger.record()
    if record is None:
        raise RunConflict(
            f"the ledger of run {last} is gone, so what it has read is not known",
            remedy="restore it, or set source.objects.incremental to false once",
        )
    close_left_open(sink, ledger, record)
    snapshot: dict[str, Any] = record["snapshot"]
    # A run by --limit has listed more than it has read, whether it was incremental or not.
    done = record["meaning"].get("limit")
    return snapshot if done is None else {**snapshot, "done": done}
