"""Where everything lies that is built or fetched once: below .cache/e2e, which git ignores."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "e2e"
UNUSED_DAYS = 14


class Unavailable(Exception):
    """Something that a provider needs cannot be had here; said to the user in one line."""


def say(text: str) -> None:
    print(f"e2e: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """One process at a time; a second one says that it waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process has {name}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def kept(folder: Path, what: str, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` where it is not there yet; it appears whole or not at all."""
    if not folder.is_dir():
        started = time.monotonic()
        say(f"{what} …")
        fresh = folder.with_name(f".making-{folder.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        make(fresh)
        fresh.replace(folder)
        say(f"{what}: {time.monotonic() - started:.0f} s")
    os.utime(folder)
    return folder


def forget_all_but(folder: Path, most: int) -> None:
    """The latest of what is named after its time."""
    for one in sorted(folder.glob("[0-9]*"))[:-most]:
        shutil.rmtree(one, ignore_errors=True)


def forget_unused(folder: Path) -> None:
    """What nobody has asked for in two weeks, and what a killed process left half made."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for one in folder.iterdir() if folder.is_dir() else ():
        if one.is_dir() and (one.name[0] == "." or one.stat().st_mtime < oldest):
            shutil.rmtree(one, ignore_errors=True)
