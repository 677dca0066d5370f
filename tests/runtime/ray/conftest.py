"""One Ray for all tests of a process, with a GPU that is none; a folder of real pictures each."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.material import pictures as real_pictures

from .given import Place
from .stage import Stage, stage

SOME = 20
# A token that lies in somebody's home would be asked of runs whose home is another.
os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.fixture(scope="session")
def ray_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the workers of `local_ray` keep code and packages; these they have from its wheels/."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def local_ray(ray_cache: Path) -> Iterator[Any]:
    """A Ray of two CPUs and a GPU, as a run would start it."""
    os.environ.update({"RAY_raylet_start_wait_time_s": "200"})  # a busy machine's
    ray = pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="lm-", dir="/tmp")
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as environment:
        warnings.simplefilter("ignore")
        environment.setenv("LANCEMILL_CACHE_DIR", str(ray_cache))
        environment.setenv("PIP_NO_INDEX", "1")
        environment.setenv("PIP_FIND_LINKS", str(ray_cache / "wheels"))
        ray.init(
            address="local",
            num_cpus=2,
            num_gpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=256 << 20,
            _temp_dir=folder,
        )
    yield ray
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def bare_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "LANCEMILL_")) or name == "RAY_ADDRESS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real pictures, each several times under other names, and two that are cut short."""
    folder = tmp_path_factory.mktemp("corpus") / "pictures"
    write_corpus(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, corpus: Path) -> Place:
    (tmp_path / "pictures").symlink_to(corpus, target_is_directory=True)
    return Place(tmp_path)


@pytest.fixture(scope="session")
def groups() -> Iterator[Stage]:
    """A cluster with a CPU group and a GPU group, and a head that has no CPU."""
    pytest.importorskip("ray")
    with stage(("cpu", 2, 0), ("gpu", 1, 1)) as made:
        yield made


def write_corpus(folder: Path) -> None:
    """Real pictures under four names each, and two files that are cut short."""
    folder.mkdir()
    plain = [path for path in real_pictures() if path.suffix in (".png", ".jpg", ".jpeg")]
    small = sorted(plain, key=lambda path: path.stat().st_size)[:SOME]
    for turn in range(4):
        for index, path in enumerate(small):
            (folder / f"p{turn}{index:02}{path.suffix}").write_bytes(path.read_bytes())
    for index in (3, 60):
        (folder / f"q{index:02}.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
