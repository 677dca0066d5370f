"""The scaling that pictures are compared with: the textbook filter, in floating point."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def triangle(pixels: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[np.float64]:
    """`pixels` scaled to `width` x `height` by a triangle as wide as the reduction."""
    rows = _weights(pixels.shape[0], height)
    columns = _weights(pixels.shape[1], width)
    return np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(float), columns, optimize=True)


def _weights(source: int, target: int) -> npt.NDArray[np.float64]:
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1 - distance)
    normal: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normal


def contained(pixels: Pixels, width: int, height: int) -> npt.NDArray[np.float64]:
    """The whole picture in the middle of a black canvas of this size."""
    share = min(width / pixels.shape[1], height / pixels.shape[0])
    across = max(1, round(pixels.shape[1] * share))
    down = max(1, round(pixels.shape[0] * share))
    canvas = np.zeros((height, width, pixels.shape[2]))
    left, top = (width - across) // 2, (height - down) // 2
    canvas[top : top + down, left : left + across] = triangle(pixels, across, down)
    return canvas


def psnr(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Peak signal to noise, in dB; 100 for equal pictures."""
    error = float(np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2))
    return 100.0 if error < 65025e-10 else 10 * np.log10(65025 / error)
