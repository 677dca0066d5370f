"""CoreDNS and the pause program, built from source like Kubernetes itself, once.

`e2e/tools` finds Go and looks after its caches; what is built there is not for nodes.
"""

from __future__ import annotations

import hashlib
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from e2e.cache import CACHE, ROOT, Unavailable, kept

HERE = Path(__file__).parent / "go"
PROGRAMS = ("coredns", "pause")

# e2e/tools runs before any environment exists, and therefore as scripts beside each other.
sys.path.append(str(ROOT / "e2e" / "tools"))
assets: Any = import_module("assets")


def programs() -> Path:
    """The folder that holds them."""
    found = assets.find_go()
    digest = hashlib.sha256(found.version.encode())
    for path in sorted(one for one in HERE.rglob("*") if one.is_file()):
        digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes())
    folder = CACHE / f"programs-{digest.hexdigest()[:16]}"
    return kept(folder, "CoreDNS and pause, built from source", lambda fresh: _built(found, fresh))


def _built(found: Any, folder: Path) -> None:
    with assets.alone(), assets.go_caches() as caches:
        program = found.program or assets.go_from_pypi(caches)
        for name in PROGRAMS:
            done = assets.go_build(f"./{name}", f"{folder}/", "-s -w", program, caches, HERE)
            if done.returncode != 0:
                raise Unavailable(f"{name} did not build: {done.stderr.strip()[-500:]}")
