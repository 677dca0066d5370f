"""`make mutation`: thousands of mutated manifests against the API server, the models, the operator.

python -m kube.mutation --count 2000 [--seed 7]
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
from pathlib import Path

from kube.control_plane import control_plane
from kube.mutation.findings import Findings, examined
from kube.mutation.live import applied
from kube.mutation.lives import made

AT_ONCE = 200
"""Manifests of a round: a round's seed is told where something is found."""
ALIVE = 100
"""Lives that are led once more by the operator itself."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m kube.mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="manifests")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    asked = parser.parse_args(arguments)
    total, number, left = Findings(), asked.seed, ALIVE
    print(f"seed {number}: {asked.count} manifests", flush=True)
    with control_plane() as plane, tempfile.TemporaryDirectory() as folder:
        while total.manifests < asked.count:
            lives = made(min(AT_ONCE, asked.count - total.manifests), number)
            found = examined(plane, lives)
            if left > 0:
                found.wrong += applied(plane, Path(folder), lives[:left])
                found.alive = min(left, len(lives))
                left -= found.alive
            for one in found.wrong:
                print(f"seed {number}: {json.dumps(one, ensure_ascii=False)[:4000]}", flush=True)
            total += found
            print(f"  {total}", flush=True)
            number += 1
    print(
        "no difference but those that are known" if not total.wrong else f"{len(total.wrong)} found"
    )
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
