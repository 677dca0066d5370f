"""A dataset that a run made, read by torch's DataLoader in the way that trainings read it.

Runs in an environment of its own: `make test-torch`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lancemill import Pipeline
from support.training import Pictures, Pixels, collate

pytestmark = pytest.mark.torch

PICTURES = 22
BATCH = 8
SIDE = 224


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of different sizes, each of one colour that tells its number."""
    import simplejpeg

    folder = tmp_path_factory.mktemp("torch") / "photos"
    folder.mkdir()
    for index in range(PICTURES):
        pixels = np.full((240 + index, 320, 3), 10 * index, np.uint8)
        (folder / f"p{index:03}.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=95))
    return folder


def made(photos: Path, name: str, *, encoded: bool) -> str:
    """The uri of the dataset of `photos` at 224 x 224."""
    pipeline = (
        Pipeline(name, base=photos.parent)
        .objects("photos")
        .fetch()
        .decode("bytes", into="image")
        .resize("image", SIDE, SIDE, fit="cover")
    )
    if encoded:
        pipeline = pipeline.encode("image", "jpeg", quality=95)
    summary = pipeline.to_lance(f"{name}.lance", columns=["key", "image"]).run(quiet=True)
    assert summary.result == "succeeded" and summary.rows_out == PICTURES
    return str(photos.parent / f"{name}.lance")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("encoded", [True, False], ids=["jpeg", "pixels"])
def test_a_dataloader_gives_batches_of_n_3_224_224_with_every_row_once(
    photos: Path, encoded: bool, workers: int
) -> None:
    import torch
    from torch.utils.data import DataLoader

    uri = made(photos, f"{'jpeg' if encoded else 'pixels'}-{workers}", encoded=encoded)
    loader = DataLoader(
        (Pictures if encoded else Pixels)(uri, PICTURES),
        batch_size=BATCH,
        shuffle=True,
        generator=torch.Generator().manual_seed(3),
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        collate_fn=collate,
    )
    seen: list[str] = []
    for keys, batch in loader:
        assert batch.shape == (len(keys), 3, SIDE, SIDE)
        assert batch.dtype == torch.float32
        for key, picture in zip(keys, batch, strict=True):
            assert abs(picture.mean().item() * 255 - 10 * int(key[1:4])) < 3
        seen += keys
    assert sorted(seen) == [f"p{index:03}.jpg" for index in range(PICTURES)]
    assert seen != sorted(seen)


def test_a_model_is_trained_on_the_batches(photos: Path) -> None:
    import torch
    from torch.utils.data import DataLoader

    loader = DataLoader(
        Pictures(made(photos, "train", encoded=True), PICTURES),
        batch_size=BATCH,
        collate_fn=collate,
    )
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.AvgPool2d(56), torch.nn.Flatten(), torch.nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        total = 0.0
        for keys, batch in loader:
            wanted = torch.tensor([[int(key[1:4]) / PICTURES] for key in keys])
            loss = torch.nn.functional.mse_loss(model(batch), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total)
    assert losses[-1] < losses[0] / 4
