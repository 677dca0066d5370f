"""The logs of all pods, also of those that are gone: why one died, only it can tell.

The kubelet deletes a pod's logs with it. A second name for each file keeps the file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

EVERY = 1.0


@contextlib.contextmanager
def kept(source: Path, target: Path) -> Iterator[None]:
    """As long as this goes on; the logs then lie in `target` as they were at their ends."""
    links = source.with_name("kept-pod-logs")
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(source, links, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if links.is_dir():
            shutil.copytree(links, target, dirs_exist_ok=True)


def _follow(source: Path, links: Path, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        for path in source.glob("*/*/*.log"):
            pod, container = path.parts[-3:-1]
            link = links / pod / f"{container}-{path.name}"
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(OSError):
                    os.link(path, link)
