"""A place as it is after `make demo`: examples/ beside demo/pictures and the material."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.material import FOLDER, pictures

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the repository is, where examples may write."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "examples", root / "examples")
    (root / "demo" / "pictures").mkdir(parents=True)
    for path in pictures():
        shutil.copy(path, root / "demo" / "pictures" / path.name)
    whole = (root / "demo" / "pictures" / "rocket.jpg").read_bytes()
    (root / "demo" / "pictures" / "cut-short.jpg").write_bytes(whole[: len(whole) // 2])
    (root / ".cache").mkdir()
    (root / ".cache" / "material").symlink_to(FOLDER)
    return root
