"""Writes one object from beginning to end, so that it is there as a whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lancemill.storage import Location, explain, is_local


class Stream:
    """A file to write to, for pyarrow and for plain bytes. Closing it decides nothing."""

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self._written = 0

    def write(self, data: Any) -> int:
        # pyarrow hands in its own buffers; obstore takes what is bytes to Python.
        data = bytes(data)
        self._file.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        return

    def close(self) -> None:
        return

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


@contextmanager
def whole(place: Location) -> Iterator[Stream]:
    """The object at `place`, which appears when the block ends, and not when it raises."""
    if is_local(place.uri):
        with _local(Path(place.uri)) as stream:
            yield stream
        return
    import obstore

    try:
        upload = obstore.open_writer(place.store, place.path)
        yield Stream(upload)
        upload.close()
    except OSError as error:
        raise explain(error, place.uri) from error


@contextmanager
def _local(path: Path) -> Iterator[Stream]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a rename is atomic within one file system only.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            yield Stream(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise explain(error, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
