"""A zip of code: the same bytes for the same files, and unpacked with suspicion.

Whoever may write the place where a zip lies is kept out by its hash; a zip that the manifest's own
author was given may still be hostile, and must not reach beyond its folder or fill the disk.
"""

from __future__ import annotations

import errno
import io
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

MOST_FILES = 10_000
MOST_BYTES = 512 << 20
"""Of all files, unpacked."""
_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The first moment that a zip can name: when a file was written does not change what it is."""
_THIS_MACHINES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE)
"""Errors of writing that say nothing of the zip."""


class BadArchive(Exception):
    """It is no zip, or one that must not be unpacked; the message says why."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, by their paths; the same files give the same bytes anywhere.

    Not compressed: two builds of zlib compress the same bytes differently.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _BEGINNING)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return made.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """The zip's files below `folder`, which is there and empty; BadArchive before any is written
    where one of them must not be. OSError where this machine has no room for them."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check(entries)
            for entry in entries:
                _write(archive, entry, folder)
    except BadArchive:
        raise
    except Exception as error:  # a damaged one makes zipfile raise whatever it may
        if isinstance(error, OSError) and error.errno in _THIS_MACHINES:
            raise
        raise BadArchive(f"it is no zip that can be unpacked: {error}") from error


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES:
        raise BadArchive(f"it holds {len(entries):,} files, expected at most {MOST_FILES:,}")
    total = sum(entry.file_size for entry in entries)
    if total > MOST_BYTES:
        raise BadArchive(
            f"its files are {total >> 20:,} MiB, expected at most {MOST_BYTES >> 20:,} MiB"
        )
    files: set[PurePosixPath] = set()
    for entry in entries:
        path = _path(entry)
        if path in files:
            raise BadArchive(f"it holds {path} twice")
        if not entry.is_dir():
            files.add(path)
    for path in files:
        for above in path.parents:
            if above in files:
                raise BadArchive(f"it holds {above} as a file and as a folder")


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where the entry lies below the folder; BadArchive where that is elsewhere, or no file."""
    name = entry.filename
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadArchive(f"{name!r} is neither a file nor a folder (a link?)")
    # As it is written: zipfile cuts a name at a NUL byte, and others read a backslash as a slash.
    parts = name.removesuffix("/").split("/")
    strange = any(character in entry.orig_filename for character in "\\:\0")
    if strange or any(part in ("", ".", "..") for part in parts):
        raise BadArchive(f"{entry.orig_filename!r} lies outside of its folder, or may do so")
    return PurePosixPath(*parts)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    path = folder / _path(entry)
    if entry.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never more than the entry says of itself, whose sum was checked; a wrong CRC is an error.
    path.write_bytes(archive.read(entry))
