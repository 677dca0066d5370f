"""Datasets of torch's kind over a Lance dataset, as trainings write them, without Lancemill.

A module of its own, so that the processes that a DataLoader spawns can import it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


class Pictures:
    """A map-style dataset over rows of Lance; opened in the worker, since Lance does not survive a
    fork."""

    def __init__(self, uri: str, rows: int) -> None:
        self.uri = uri
        self.rows = rows
        self._dataset: Any = None

    def __len__(self) -> int:
        return self.rows

    def __getitems__(self, indices: list[int]) -> list[tuple[str, torch.Tensor]]:
        """Rows of one batch, by one random access."""
        if self._dataset is None:
            import lance

            self._dataset = lance.dataset(self.uri)
        taken = self._dataset.take(indices, columns=["key", "image"])
        keys = taken.column("key").to_pylist()
        return list(zip(keys, self._tensors(taken.column("image")), strict=True))

    def _tensors(self, column: Any) -> list[torch.Tensor]:
        import torch
        from PIL import Image

        pictures = (Image.open(io.BytesIO(one)).convert("RGB") for one in column.to_pylist())
        return [torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in pictures]


class Pixels(Pictures):
    """The same over pixels that are stored as tensors: nothing is left to decode."""

    def _tensors(self, column: Any) -> list[torch.Tensor]:
        import torch

        pixels = column.combine_chunks().to_numpy_ndarray()
        return [torch.from_numpy(np.array(one)).permute(2, 0, 1) for one in pixels]


def collate(rows: list[tuple[str, torch.Tensor]]) -> tuple[list[str], torch.Tensor]:
    """Keys, and pictures as float32[n, 3, 224, 224] in 0..1."""
    import torch

    keys, pictures = zip(*rows, strict=True)
    return list(keys), torch.stack(pictures).float() / 255
