"""Folders of this machine that are made once, whoever asks first, and found by everybody else.

All processes of a node want the same code at the same moment. The first one makes it, under a lock
of a file, which ends with its process; a folder gets its name only when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lancemill.errors import RunError

CACHE_DIR = "LANCEMILL_CACHE_DIR"


def cache_folder() -> Path:
    """This user's cache on this machine: $LANCEMILL_CACHE_DIR, else lancemill/ in $XDG_CACHE_HOME,
    in ~/.cache, or, where nothing can be written there, a folder of the user's in /tmp."""
    given = os.environ.get(CACHE_DIR)
    if given:
        return _own(Path(given).expanduser().absolute())
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    with suppress(OSError, RuntimeError):
        return _own(Path(home).absolute() / "lancemill")
    return _own(Path(tempfile.gettempdir()) / f"lancemill-cache-{os.getuid()}")


def _own(folder: Path) -> Path:
    """`folder`, made; RunError where others could put code there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.stat()
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & stat.S_IWOTH:
        raise RunError(
            f"{folder} is not this user's own, and code is run from there",
            remedy=f"set {CACHE_DIR} to a folder that only you can write",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")
    return folder


def made_once(kind: str, name: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """The folder `name` among those of `kind`, and whether it was made now; `make` fills an empty
    one. What `make` raises leaves nothing behind; RunError where there is no room, or no right."""
    try:
        return _made_once(kind, name, make)
    except OSError as error:
        raise RunError(
            f"the cache for code, packages and models cannot be used: {error}",
            remedy=f"set {CACHE_DIR} to a folder with room that only you can write",
        ) from error


def _made_once(kind: str, name: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    shelf = cache_folder() / kind
    shelf.mkdir(exist_ok=True, mode=0o700)
    folder = shelf / name
    if folder.is_dir():
        return folder, False
    with (shelf / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder, False
        for left in shelf.glob(f".{name}.*"):  # of who died over it
            shutil.rmtree(left, ignore_errors=True)
        begun = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=shelf))
        try:
            make(begun)
            begun.rename(folder)
        except BaseException:
            shutil.rmtree(begun, ignore_errors=True)
            raise
    return folder, True
