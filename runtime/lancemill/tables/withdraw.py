"""Takes rows back that a commit added and should not have.

By fragment id, never by data file: when two drivers commit one run, both versions refer to the
same files, and the winner's must stay. Rows whose fragment has been compacted away meanwhile are
found by their stable row ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from lancemill.errors import RunConflict
from lancemill.tables import history
from lancemill.tables.backoff import pause
from lancemill.tables.history import Entry
from lancemill.tables.table import Table

ATTEMPTS = 12

MOVES = ("Rewrite", "BaseOperation", "Restore")
"""Operations that may put rows into other fragments, or bring fragments back."""

ADDED = {"Append": "fragments", "Update": "new_fragments"}
"""Operations that add rows to others, and where they hold the new fragments. Of the rest none can
be doubled: a second Overwrite, Merge or update of columns conflicts with the first."""


def take_back(table: Table, entry: Entry) -> None:
    """Remove the rows that `entry` added, if they are still there."""
    then = table.open(entry.version)
    added = _added_fragments(then, entry)
    _remove(table, then, added)


def take_back_overtaken(table: Table, entry: Entry) -> None:
    """Remove rows that came in while the upsert `entry` was merged and have one of its keys.

    pylance cannot commit a merge made elsewhere together with its keys, so Lance lets a new key
    be added twice: the merge looked at its read version, and the other writer committed after
    that. The upsert came last, so its rows stay.
    """
    key = json.loads(entry.properties[history.KEY])
    read_version = int(entry.properties[history.READ])
    if entry.version - read_version <= 1:
        return
    then = table.open(entry.version)
    between = history.since(table.open(entry.version - 1), read_version).entries
    mine = {f.fragment_id for f in _added_fragments(then, entry)}
    others = [
        fragment
        for other in between
        for fragment in _added_fragments(then, other)
        if fragment.fragment_id not in mine
    ]
    if others:
        ours = [fragment for fragment in then.get_fragments() if fragment.fragment_id in mine]
        _remove_rows(table, _same_key(then, key, ours, others))


def _added_fragments(dataset: Any, entry: Entry) -> list[Any]:
    """Those of the fragments of `dataset`, at the entry's version or later, that `entry` added.

    Ids are given at the commit and only grow: of the fragments with the entry's files, the last
    ones are its own, where an earlier commit referred to the same files.
    """
    new = getattr(entry.transaction.operation, ADDED.get(entry.operation, ""), [])
    paths = {file.path for fragment in new for file in fragment.files}
    matching = [
        fragment
        for fragment in dataset.get_fragments()
        if any(file.path in paths for file in fragment.metadata.files)
    ]
    matching.sort(key=lambda fragment: fragment.fragment_id)
    return matching[-len(new) :] if new else []


def _remove(table: Table, then: Any, fragments: list[Any]) -> None:
    present = {fragment.fragment_id for fragment in table.open().get_fragments()}
    gone = [fragment for fragment in fragments if fragment.fragment_id not in present]
    ids = [fragment.fragment_id for fragment in fragments if fragment.fragment_id in present]
    if ids:
        _delete_fragments(table, ids)
    if gone and (then.has_stable_row_ids or _rewritten(table, then)):
        _remove_rows(table, _row_ids(then, gone))


def _rewritten(table: Table, then: Any) -> bool:
    """Whether fragments may have been compacted since `then`; if not, those gone were deleted."""
    past = history.since(table.open(), then.version)
    return not past.complete or any(entry.operation in MOVES for entry in past.entries)


def _delete_fragments(table: Table, ids: list[int]) -> None:
    from lance import LanceDataset, LanceOperation
    from lance.commit import CommitConflictError

    for attempt in range(ATTEMPTS):
        dataset = table.open()
        left = [f.fragment_id for f in dataset.get_fragments() if f.fragment_id in ids]
        if not left:
            return
        try:
            LanceDataset.commit(
                table.uri,
                LanceOperation.Delete([], left, "true"),
                read_version=dataset.version,
                storage_options=table.storage_options,
            )
            return
        except CommitConflictError:
            pause(attempt)
    raise _too_busy(table)


def _remove_rows(table: Table, row_ids: Iterable[int]) -> None:
    from lance.commit import CommitConflictError

    ranges = list(_ranges(sorted(row_ids)))
    if ranges and not table.open().has_stable_row_ids:
        raise RunConflict(
            f"{table.uri}: rows were committed twice and then compacted, and without stable row "
            "ids they cannot be told apart",
            remedy="remove the doubled rows by their key",
        )
    for start in range(0, len(ranges), 256):
        some = ranges[start : start + 256]
        where = " or ".join(f"(_rowid >= {low} and _rowid <= {high})" for low, high in some)
        for attempt in range(ATTEMPTS):
            dataset = table.open()
            try:
                if dataset.count_rows(filter=where):
                    dataset.delete(where)
                break
            except CommitConflictError:
                pause(attempt)
        else:
            raise _too_busy(table)


def _row_ids(dataset: Any, fragments: list[Any]) -> Iterator[int]:
    for batch in dataset.scanner(columns=[], with_row_id=True, fragments=fragments).to_batches():
        yield from batch.column("_rowid").to_pylist()


def _same_key(dataset: Any, key: list[str], ours: list[Any], others: list[Any]) -> list[int]:
    """Row ids of rows in `others` whose key is one of those in `ours`."""
    mine = dataset.scanner(columns=key, fragments=ours).to_table()
    theirs = dataset.scanner(columns=key, with_row_id=True, fragments=others).to_table()
    joined = theirs.join(mine.group_by(key).aggregate([]), keys=key, join_type="left semi")
    found: list[int] = joined.column("_rowid").to_pylist()
    return found


def _ranges(values: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending values as ranges, both ends included."""
    start = previous = None
    for value in values:
        if previous is not None and value == previous + 1:
            previous = value
            continue
        if start is not None and previous is not None:
            yield start, previous
        start = previous = value
    if start is not None and previous is not None:
        yield start, previous


def _too_busy(table: Table) -> RunConflict:
    return RunConflict(
        f"{table.uri}: rows of a lost race could not be taken back, other writers came first "
        f"{ATTEMPTS} times",
        remedy="resume the run when the dataset is less busy",
    )
