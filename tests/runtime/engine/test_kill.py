"""kill -9 at any moment, then the same run again: every row once, in order, and nothing else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from support.killing import command, moments, run_and_kill
from support.sampled import sampled

MANIFEST = """\
apiVersion: lancemill.dev/v1alpha1
kind: MultimodalPipeline
metadata: {{name: killed}}
spec:
  source: {{objects: {{uri: pictures}}}}
  stages:
    - {{name: fetch, fetch: {{column: uri, into: bytes}}}}
    - {{name: decode, decode: {{column: bytes, into: image}}}}
    - {{name: small, resize: {{column: image, width: 16, height: 16, fit: fill}}}}
  validate:
    - {{name: some, query: select count(*) from output, expect: {{min: 1}}}}
  sink: {{lance: {{uri: out.lance, mode: {mode}, columns: [key, image]}}}}
  errors: {{maxRate: 0.2}}
"""
PICTURES = 60
BROKEN = ("p007.jpg", "p031.jpg", "p059.jpg")
SHARDS = 10
ROUNDS = 12
KILLS = 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty small pictures, three of them cut short."""
    import simplejpeg

    folder = tmp_path_factory.mktemp("killed") / "pictures"
    folder.mkdir()
    dice = np.random.default_rng(1)
    for index in range(PICTURES):
        name = f"p{index:03}.jpg"
        pixels = dice.integers(0, 255, (40, 40, 3), np.uint8)
        data = simplejpeg.encode_jpeg(pixels)
        (folder / name).write_bytes(data[: len(data) // 2] if name in BROKEN else data)
    return folder


def workplace(tmp_path: Path, pictures: Path, mode: str = "append") -> tuple[Path, list[str]]:
    (tmp_path / "pictures").symlink_to(pictures, target_is_directory=True)
    manifest = tmp_path / "pipeline.yaml"
    manifest.write_text(MANIFEST.format(mode=mode))
    size = sum(path.stat().st_size for path in pictures.iterdir())
    arguments = ["run", str(manifest), "--run-id", "k1", "--shard-bytes", str(size // SHARDS)]
    return manifest, [*arguments, "--quiet"]


def check(folder: Path, times: int = 1) -> None:
    """The dataset has exactly the source's good rows, in order; the quarantine the others, once."""
    import lance

    good = [f"p{index:03}.jpg" for index in range(PICTURES) if f"p{index:03}.jpg" not in BROKEN]
    rows = lance.dataset(str(folder / "out.lance")).to_table()
    assert rows.column("key").to_pylist() == good * times
    assert rows.column("image").null_count == 0
    aside = lance.dataset(str(folder / "out.lance.quarantine")).to_table()
    assert sorted(aside.column("key").to_pylist()) == sorted(BROKEN * times)
    assert set(aside.column("reason").to_pylist()) == {"Truncated"}


def kill_and_finish(arguments: list[str], folder: Path, seed: int, kills: int) -> int:
    """Up to `kills` kills at seeded moments, then the same command to its end; kills that hit."""
    dice = random.Random(seed)
    hit = sum(run_and_kill(arguments, folder, moments(dice, SHARDS)) for _ in range(kills))
    done = command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return hit


@pytest.mark.parametrize("seed", sampled(range(ROUNDS), first=1))
def test_a_run_killed_at_random_moments_ends_with_every_row_once(
    seed: int, pictures: Path, tmp_path: Path
) -> None:
    _, arguments = workplace(tmp_path, pictures)
    kill_and_finish(arguments, tmp_path, seed, KILLS)
    check(tmp_path)


def test_a_finished_run_run_again_changes_nothing(pictures: Path, tmp_path: Path) -> None:
    import lance

    _, arguments = workplace(tmp_path, pictures)
    assert command(*arguments).returncode == 0
    before = lance.dataset(str(tmp_path / "out.lance")).version
    again = command(*arguments)
    assert again.returncode == 0
    assert "had been committed before" in again.stdout
    assert lance.dataset(str(tmp_path / "out.lance")).version == before
    check(tmp_path)


@pytest.mark.thorough
def test_a_new_run_appends_the_rows_again_since_it_is_another_run(
    pictures: Path, tmp_path: Path
) -> None:
    _, arguments = workplace(tmp_path, pictures)
    for run in ("k1", "k2"):
        arguments[arguments.index("--run-id") + 1] = run
        assert command(*arguments).returncode == 0
    check(tmp_path, times=2)


@pytest.mark.soak
def test_soak(pictures: Path, tmp_path: Path) -> None:
    """Many rounds (SOAK_ROUNDS, by default 200), each with up to five kills."""
    rounds = int(os.environ.get("SOAK_ROUNDS", "200"))
    first = int(os.environ.get("SOAK_SEED", "1000"))
    hits = 0
    for seed in range(first, first + rounds):
        folder = tmp_path / str(seed)
        folder.mkdir()
        _, arguments = workplace(folder, pictures)
        hits += kill_and_finish(arguments, folder, seed, 5)
        check(folder)
    print(f"{rounds} rounds, {hits} kills while running, every row once in order each time")
