"""Objects as files: written from beginning to end, so that they appear as a whole; read in pieces.

obstore's own files say by a method whether they are closed, which pyarrow takes for a yes.
"""

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


class Ranges:
    """An object to read pieces of, for pyarrow."""

    closed = False

    def __init__(self, place: Location) -> None:
        self._place = place
        self._at = 0
        self._size = int(place.store.head(place.path)["size"])

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._at
        length = left if size < 0 else min(size, left)
        if length <= 0:
            return b""
        data = self._place.store.get_range(self._place.path, start=self._at, length=length)
        self._at += length
        return bytes(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}
        self._at = starts[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._size

    def flush(self) -> None:
        return

    def close(self) -> None:
        return

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True


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
