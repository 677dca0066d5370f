"""The files below a local folder, in the order of their keys.

obstore lists a folder in the file system's order, hides what it cannot name and knows no loops of
links; a source has to be the same on every machine, and say what it cannot read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from lancemill.errors import StorageError
from lancemill.sources.listing import Found
from lancemill.storage import explain, file_uri

SORTED_ENTRIES = 200_000
"""A folder with more entries than this is not sorted in memory: its files come as they lie, and
the snapshot is sorted on disk."""

_Folder = tuple[int, int]


def list_tree(root: Path, sorted_entries: int = SORTED_ENTRIES) -> Iterator[Found]:
    """Regular files below `root`, hidden ones too, through links; only the file itself if `root`
    is one. Sockets, pipes and devices are no objects. A link that leads nowhere is one, without a
    size: reading it will tell. A link to a folder around it is not followed."""
    try:
        top = root.stat()
    except OSError as error:
        raise explain(error, str(root)) from None
    if stat.S_ISREG(top.st_mode):
        yield replace(_found(root.name, top), uri=file_uri(str(root)))
    else:
        yield from _walk(str(root), "", (_identity(top),), sorted_entries)


def _walk(
    folder: str, prefix: str, above: tuple[_Folder, ...], sorted_entries: int
) -> Iterator[Found]:
    for name, entry in _entries(folder, sorted_entries):
        key = prefix + name
        if not name.endswith("/"):
            yield from _file(entry, key)
            continue
        # Only a link can lead back up: nothing else needs its identity compared.
        here = _identity(_stat(entry.path))
        if not (entry.is_symlink() and here in above):
            yield from _walk(entry.path, key, (*above, here), sorted_entries)


def _entries(folder: str, sorted_entries: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Names with a slash behind folders: sorting them so gives the order of whole keys."""
    try:
        with os.scandir(folder) as scan:
            while part := list(islice(scan, sorted_entries)):
                named = [(_name(entry), entry) for entry in part]
                named.sort(key=lambda one: one[0])
                yield from named
    except OSError as error:
        raise explain(error, folder) from None


def _name(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(entry.path).decode(errors="backslashreplace")
        raise StorageError(
            f"{shown}: the name is not UTF-8", remedy="rename it (convmv does so for whole trees)"
        ) from None
    try:
        return entry.name + "/" if entry.is_dir() else entry.name
    except OSError:  # a link to itself, or to where this user may not look
        return entry.name


def _file(entry: os.DirEntry[str], key: str) -> Iterator[Found]:
    try:
        facts = entry.stat()
    except FileNotFoundError:
        yield Found(key)
    except OSError as error:
        if not entry.is_symlink():
            raise explain(error, entry.path) from None
        yield Found(key)
    else:
        if stat.S_ISREG(facts.st_mode):
            yield _found(key, facts)


def _found(key: str, facts: os.stat_result) -> Found:
    return Found(key, facts.st_size, facts.st_mtime_ns // 1000)


def _stat(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except OSError as error:
        raise explain(error, path) from None


def _identity(facts: os.stat_result) -> _Folder:
    return facts.st_dev, facts.st_ino
