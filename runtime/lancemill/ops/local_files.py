"""Files of this machine, many at once: read straight into one buffer that Arrow then takes over.

A batch of pictures is megabytes. Read one by one and joined, each byte would be copied twice into
memory that the kernel has to give page by page; one large buffer comes in huge pages and is filled
once. That halves what fetching costs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from lancemill.errors import StorageError
from lancemill.ops.retrieval import RetrievalError
from lancemill.storage import local_path

Payload = bytes | memoryview
Read = Payload | RetrievalError | None


@dataclass(frozen=True, slots=True)
class Files:
    """What was read."""

    found: list[Read]
    """For each uri its bytes, why there are none, or None for None."""
    whole: memoryview | None
    """All bytes found, in order and without gaps; None where a file changed under the reader."""


def read_files(uris: Sequence[str | None], base: Path, max_bytes: int) -> Files:
    """Read local files: absolute paths, paths from `base`, file URIs."""
    paths = [None if uri is None else _path(uri, base) for uri in uris]
    sizes = [_size(path, max_bytes) if isinstance(path, str) else 0 for path in paths]
    whole = np.empty(sum(sizes), np.uint8).data
    found: list[Read] = []
    as_planned, at = True, 0
    for uri, path, size in zip(uris, paths, sizes, strict=True):
        body: Read = path if isinstance(path, RetrievalError) else None
        if uri is not None and isinstance(path, str):
            place = whole[at : at + size]
            body = read_file(uri, path, max_bytes, place)
            as_planned = as_planned and (body is place or (not size and not _length(body)))
        found.append(body)
        at += size
    return Files(found, whole if as_planned else None)


def _length(body: Read) -> int:
    return 0 if body is None or isinstance(body, RetrievalError) else len(body)


def _path(uri: str, base: Path) -> str | RetrievalError:
    try:
        return uri if uri.startswith("/") else str(local_path(uri, base))
    except StorageError as error:
        return RetrievalError("InvalidUri", f"{uri}: {error}")


def _size(path: str, max_bytes: int) -> int:
    """The size of a file that may be read; 0 for anything else, which reading then explains."""
    try:
        status = os.stat(path)  # noqa: PTH116 - once for every picture; pathlib takes apart its path
    except (OSError, ValueError):
        return 0
    small = stat.S_ISREG(status.st_mode) and status.st_size <= max_bytes
    return status.st_size if small else 0


def read_file(uri: str, path: str, max_bytes: int, into: memoryview) -> Read:
    """The bytes of one file: in `into` where they fill it exactly, else in memory of their own."""
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with FileIO(descriptor) as file:
            return _read_open(file, uri, max_bytes, into)
    except (FileNotFoundError, NotADirectoryError):
        return RetrievalError("NotFound", f"{uri} does not exist")
    except PermissionError:
        return RetrievalError("Forbidden", f"{uri} may not be read")
    except (OSError, ValueError) as error:
        return RetrievalError("InvalidUri", f"{uri}: {error}")


def _read_open(file: FileIO, uri: str, max_bytes: int, into: memoryview) -> Read:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return RetrievalError("InvalidUri", f"{uri} is not a regular file")
    if status.st_size > max_bytes:
        return RetrievalError("TooLarge", f"{uri}: {status.st_size} bytes, more than {max_bytes}")
    read = 0
    while read < len(into) and (count := file.readinto(into[read:])):
        read += count
    # A further byte tells a file that grows while it is read; asking for all that may come would
    # map that much memory for every file. One byte more than the limit tells one that is too large.
    more = file.read(1) or b""
    while more and read + len(more) <= max_bytes and (further := file.read(max_bytes + 1 - read)):
        more += further
    if read + len(more) > max_bytes:
        return RetrievalError("TooLarge", f"{uri}: more than {max_bytes} bytes")
    return into if read == len(into) and not more else bytes(into[:read]) + more
