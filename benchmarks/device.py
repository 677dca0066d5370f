"""A simulated accelerator: so many images a second, beside the CPU, as a GPU would be."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.case import DEVICE_RATE


def scores(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """A value for each image that only its own pixels give: brightness on a coarse grid."""
    return np.asarray(images[:, ::16, ::16].mean(axis=(1, 2, 3)), np.float32)


SLOW_RATE = 150.0
"""Images per second of a device that is slower than decoding on two cores."""


def infer(images: npt.NDArray[np.uint8], rate: float = DEVICE_RATE) -> npt.NDArray[np.float32]:
    """Score a batch in the time that the device takes for it, with the CPU left free."""
    started = time.perf_counter()
    out = scores(images)
    left = len(images) / rate - (time.perf_counter() - started)
    time.sleep(max(left, 0.0))
    return out


class Device:
    """The device as a class UDF of a pipeline."""

    def __call__(self, batch: pa.RecordBatch) -> dict[str, npt.NDArray[np.float32]]:
        return {"score": infer(batch.column("image").to_numpy_ndarray())}


class SlowDevice:
    """A slower one."""

    def __call__(self, batch: pa.RecordBatch) -> dict[str, npt.NDArray[np.float32]]:
        return {"score": infer(batch.column("image").to_numpy_ndarray(), SLOW_RATE)}
