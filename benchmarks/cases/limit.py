"""The limit of the machine: JPEG entropy decoding on all cores, nothing else.

The bytes are read before the clock starts, nothing is resized, nothing is written.
"""

from __future__ import annotations

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor

from benchmarks import case
from benchmarks.corpus import paths


def prepare(given: Namespace) -> case.Job:
    from benchmarks.kernel import entropy

    pictures = [path.read_bytes() for path in paths(given.input)]
    entropy(pictures[0])

    def job() -> int:
        with ThreadPoolExecutor(case.cores()) as pool:
            return sum(1 for _ in pool.map(entropy, pictures))

    return job


if __name__ == "__main__":
    case.main(prepare, case.parser(__doc__))
