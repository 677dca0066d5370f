"""Takes rows back that a commit added and should not have.

By fragment id, never by data file: when two drivers commit one run, both versions refer to the
same files, and the winner's must stay. Rows whose fragment has been compacted away meanwhile are
found by their stable row ids; rows that an upsert doubled, by their key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa

from lancemill.errors import RunConflict
from lancemill.tables import history, query
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
    between = history.since(table.open(entry.version - 1), read_version)
    if between.complete and not any(other.operation in ADDED for other in between.entries):
        return
    then = table.open(entry.version)
    pairs = _doubled(then, key, {f.fragment_id for f in _added_fragments(then, entry)})
    if pairs and not then.has_stable_row_ids and _rewritten(table, then):
        _refuse_doubled(table, then, key, pairs)
        return
    for attempt in range(ATTEMPTS):
        dataset = table.open()
        ids = pairs if dataset.version == then.version else _still_doubled(dataset, key, pairs)
        if not ids or _delete(dataset, ids):
            return
        pause(attempt)
    raise _too_busy(table)


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
    ids = sorted(row_ids)
    if ids and not table.open().has_stable_row_ids:
        raise _indistinct(table)
    for attempt in range(ATTEMPTS):
        if _delete(table.open(), ids):
            return
        pause(attempt)
    raise _too_busy(table)


def _delete(dataset: Any, row_ids: Iterable[int]) -> bool:
    """Delete these rows as `dataset` has them; False where others have changed it meanwhile."""
    from lance.commit import CommitConflictError

    for where in _by_id(row_ids):
        try:
            if dataset.count_rows(filter=where):
                dataset.delete(where, conflict_retries=0)
        except CommitConflictError:
            return False
    return True


def _row_ids(dataset: Any, fragments: list[Any]) -> Iterator[int]:
    for batch in dataset.scanner(columns=[], with_row_id=True, fragments=fragments).to_batches():
        yield from batch.column("_rowid").to_pylist()


def _doubled(dataset: Any, key: Sequence[str], mine: Collection[int]) -> dict[int, int]:
    """Rows that share their key with one in the fragments `mine`: its row id by theirs."""
    fragments = dataset.get_fragments()
    ours = [fragment for fragment in fragments if fragment.fragment_id in mine]
    others = [fragment for fragment in fragments if fragment.fragment_id not in mine]
    if not ours or not others:
        return {}
    names = ", ".join(query.quoted(name) for name in key)
    with closing(query.connection()) as database:
        for name, some in (("ours", ours), ("others", others)):
            scanner = dataset.scanner(columns=list(key), with_row_id=True, fragments=some)
            database.register(name, scanner.to_reader())
        sql = f"select others._rowid, ours._rowid from others join ours using ({names})"
        return dict(database.sql(sql).fetchall())


def _still_doubled(dataset: Any, key: Sequence[str], pairs: Mapping[int, int]) -> list[int]:
    """Of the rows in `pairs` those that `dataset` still has together with their twin: a later
    merge may have put one row in the place of both, under either's id."""
    keys: dict[int, tuple[Any, ...]] = {}
    for where in _by_id({*pairs, *pairs.values()}):
        found = dataset.to_table(columns=list(key), filter=where, with_row_id=True).to_pylist()
        keys.update((row["_rowid"], tuple(row[name] for name in key)) for row in found)
    return [goes for goes, stays in pairs.items() if goes in keys and keys[goes] == keys.get(stays)]


def _refuse_doubled(table: Table, then: Any, key: Sequence[str], pairs: Mapping[int, int]) -> None:
    """RunConflict if a key of `pairs` is still there twice: by their ids, which a compaction has
    changed, rows cannot be told apart."""
    names = ", ".join(query.quoted(name) for name in key)
    keys = [then.to_table(columns=list(key), filter=where) for where in _by_id(pairs)]
    with closing(query.connection()) as database:
        database.register("asked", pa.concat_tables(keys))
        database.register("there", table.open().scanner(columns=list(key)).to_reader())
        sql = f"select 1 from there semi join asked using ({names}) group by {names}"
        if database.sql(f"{sql} having count(*) > 1").fetchone() is not None:
            raise _indistinct(table)


def _by_id(row_ids: Iterable[int]) -> Iterator[str]:
    """Lance's filters for the rows of these ids, some hundred ranges each."""
    ranges = list(_ranges(sorted(row_ids)))
    for start in range(0, len(ranges), 256):
        some = ranges[start : start + 256]
        yield " or ".join(f"(_rowid >= {low} and _rowid <= {high})" for low, high in some)


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


def _indistinct(table: Table) -> RunConflict:
    return RunConflict(
        f"{table.uri}: rows were committed twice and then compacted, and without stable row "
        "ids they cannot be told apart",
        remedy="remove the doubled rows by their key",
    )


def _too_busy(table: Table) -> RunConflict:
    return RunConflict(
        f"{table.uri}: rows of a lost race could not be taken back, other writers came first "
        f"{ATTEMPTS} times",
        remedy="resume the run when the dataset is less busy",
    )
