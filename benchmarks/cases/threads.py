"""Bare threads and one streaming Lance writer: what is left when there is no engine.

For information. No listing, no ledger, no resume, no quarantine: the difference to Lancemill is
what those cost.
"""

from __future__ import annotations

from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks import case
from benchmarks.corpus import paths

BATCH = 32


def prepare(given: Namespace) -> case.Job:
    import cv2
    import lance  # noqa: F401 (its import is start-up)
    import simplejpeg  # noqa: F401

    from benchmarks import rows
    from benchmarks.kernel import KERNELS

    cv2.setNumThreads(1)
    kernel = KERNELS[given.kernel]

    def images(some: list[Path]) -> npt.NDArray[np.uint8]:
        out = np.empty((len(some), case.SIDE, case.SIDE, 3), np.uint8)
        for row, path in enumerate(some):
            out[row] = kernel(path.read_bytes())
        return out

    def batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
        pieces = [files[at : at + BATCH] for at in range(0, len(files), BATCH)]
        with ThreadPoolExecutor(case.cores()) as pool:
            waiting: deque[tuple[list[Path], Future[npt.NDArray[np.uint8]]]] = deque()
            for some in pieces:
                waiting.append((some, pool.submit(images, some)))
                if len(waiting) > 2 * case.cores():
                    yield finish(*waiting.popleft())
            while waiting:
                yield finish(*waiting.popleft())

    def finish(some: list[Path], future: Future[npt.NDArray[np.uint8]]) -> pa.RecordBatch:
        from benchmarks.device import infer

        pixels = future.result()
        return rows.batch(rows.names(some), pixels, infer(pixels) if given.device else None)

    return lambda: rows.write(case.dataset(given.out), batches(paths(given.input)), given.device)


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--kernel", choices=["fast", "lancemill", "pillow"], default="fast")
    case.main(prepare, arguments)
