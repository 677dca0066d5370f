"""The files that a table's uri names: one file, a folder's, or those that a glob matches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lancemill.errors import StorageError
from lancemill.sources.globs import mask
from lancemill.sources.listing import Found
from lancemill.sources.local_tree import list_tree
from lancemill.sources.objects import list_store
from lancemill.storage import explain, interruptibly, is_local, local_path, open_store, scheme_of

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a table, and what it looked like when the run began."""

    uri: str
    size: int
    stamp: str
    """Its ETag, or its time of change where there is none: another one means other content."""


def table_files(uri: str, suffixes: tuple[str, ...], storage: object | None) -> list[TableFile]:
    """The files in the order of their names; those with `suffixes` where `uri` is a folder, hidden
    ones and those below folders that start with `_` or `.` left out. StorageError where none is."""
    if scheme_of(uri) in ("http", "https"):
        return [current(TableFile(uri, 0, ""), storage)]
    folder, pattern = _split_glob(uri)
    found = [
        TableFile(one.uri or f"{folder.rstrip('/')}/{one.key}", one.size, _stamp(one))
        for one in _listed(folder, storage)
        if one.size is not None and (one.uri is not None or _wanted(one.key, pattern, suffixes))
    ]
    if not found:
        what = f"no file matches {pattern}" if pattern else f"no {' or '.join(suffixes)} file"
        raise StorageError(f"{uri}: {what}", remedy="check the uri")
    return sorted(found, key=lambda one: one.uri)


def current(file: TableFile, storage: object | None) -> TableFile:
    """The file as it is now; StorageError where it is gone."""
    from obstore.exceptions import BaseError

    try:
        if is_local(file.uri):
            facts = local_path(file.uri).stat()
            return TableFile(file.uri, facts.st_size, str(facts.st_mtime_ns // 1000))
        place = open_store(file.uri, storage)
        meta = interruptibly(lambda: place.store.head(place.path))
    except (OSError, BaseError) as error:
        raise explain(error, file.uri) from None
    modified = str(int(meta["last_modified"].timestamp() * 1_000_000))
    return TableFile(file.uri, meta["size"], (meta["e_tag"] or "").strip('"') or modified)


def check_unchanged(file: TableFile, storage: object | None) -> None:
    """StorageError when the file is not the one that the run began with."""
    if current(file, storage) != file:
        raise StorageError(
            f"{file.uri}: changed since the run began",
            remedy="start a new run: what this one has done belongs to the old content",
        )


def _listed(folder: str, storage: object | None) -> Iterator[Found]:
    if not is_local(folder):
        yield from list_store(folder, storage)
        return
    for one in list_tree(local_path(folder)):
        # Plain paths, as pyarrow, DuckDB and people take them.
        name = str(local_path(folder)) if one.uri else None
        yield Found(one.key, one.size, one.modified, None, name)


def _split_glob(uri: str) -> tuple[str, str]:
    """The folder before the first part with a wildcard, and the pattern below it."""
    if not _GLOB.search(uri):
        return uri, ""
    parts = uri.split("/")
    at = next(index for index, part in enumerate(parts) if _GLOB.search(part))
    return "/".join(parts[:at]) or "/", "/" + "/".join(parts[at:])


def _wanted(key: str, pattern: str, suffixes: tuple[str, ...]) -> bool:
    if pattern:
        return bool(mask(pa.array([key]), [pattern], [])[0].as_py())
    hidden = any(part.startswith(("_", ".")) for part in key.split("/"))
    return not hidden and key.lower().endswith(suffixes)


def _stamp(one: Found) -> str:
    return one.etag or str(one.modified)
