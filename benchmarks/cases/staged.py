"""A workflow like Argo's: separate processes, one after the other, with LMDB files between them.

Three steps: fetch → LMDB of files → decode and resize → LMDB of 224x224 pixels → infer → Lance.
With `--tensors` four, as in the field: decode and resize are steps of their own, with full-size
pixels in LMDB between them. What a cluster adds (scheduling a pod, pulling an image, mounting a
volume for each step) is left out, in their favour.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace

from benchmarks import case


def prepare(given: Namespace) -> case.Job:
    middle = ["decode", "resize"] if given.tensors else ["prepare"]
    steps = ["fetch", *middle, "infer"]
    places = [given.input, *(given.out / f"after-{step}.lmdb" for step in steps[:-1]), given.out]

    def job() -> int:
        for step, source, target in zip(steps, places[:-1], places[1:], strict=True):
            command = [sys.executable, "-m", "benchmarks.steps", step]
            pool = [] if step in ("fetch", "infer") else ["--processes", str(given.processes)]
            subprocess.run([*command, "--from", source, "--to", target, *pool], check=True)
        return len(list(given.input.glob("*.jpg")))

    return job


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--processes", type=int, default=1, help="of decode and resize")
    arguments.add_argument("--tensors", action="store_true", help="full-size pixels in LMDB")
    case.main(prepare, arguments)
