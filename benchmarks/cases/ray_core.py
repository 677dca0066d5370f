"""Bare Ray core: a task decodes some pictures and writes them as a fragment, the driver commits.

The least that anybody who uses Ray would write, with a kernel of `kernel.py`: no listing, no
ledger, no resume, no quarantine, no order of rows that an error could not change. What is left of
the difference is what the product costs on Ray.
"""

from __future__ import annotations

import pickle
from argparse import Namespace

import numpy as np

from benchmarks import case
from benchmarks.corpus import paths


def fragment(files: list[str], uri: str, kernel: str) -> bytes:
    """What a task does: pictures to one fragment, of which only the metadata goes back."""
    import cv2
    import pyarrow as pa
    from lance.fragment import write_fragments

    from benchmarks import rows
    from benchmarks.kernel import KERNELS

    cv2.setNumThreads(1)
    picture = KERNELS[kernel]
    images = np.empty((len(files), case.SIDE, case.SIDE, 3), np.uint8)
    for row, path in enumerate(files):
        with open(path, "rb") as file:  # noqa: PTH123
            images[row] = picture(file.read())
    table = pa.Table.from_batches([rows.batch(rows.names(files), images)])
    return pickle.dumps(write_fragments(table, uri, mode="create"))


def prepare(given: Namespace) -> case.Job:
    import lance
    import ray

    from benchmarks import rows

    case.start_ray()
    task = ray.remote(fragment)
    files = list(map(str, paths(given.input)))
    uri = case.dataset(given.out)

    def job() -> int:
        pieces = [files[at : at + given.rows] for at in range(0, len(files), given.rows)]
        done = ray.get([task.remote(piece, uri, given.kernel) for piece in pieces])
        fragments = [one for told in done for one in pickle.loads(told)]
        made = lance.LanceOperation.Overwrite(rows.schema(scored=False), fragments)
        return int(lance.LanceDataset.commit(uri, made).count_rows())

    return job


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--rows", type=int, default=128, help="pictures of a task")
    arguments.add_argument("--kernel", choices=["fast", "lancemill"], default="fast")
    case.main(prepare, arguments)
