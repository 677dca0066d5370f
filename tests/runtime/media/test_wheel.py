"""What a wheel holds, with a C compiler and without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "crds", "runtime", "operator")
LIBRARY = "lancemill/media/_resample.so"


def wheel(folder: Path, **environment: str) -> Path:
    """The wheel that a copy of this checkout makes."""
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True
    )
    (made,) = (folder / "dist").iterdir()
    return made


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_wheel_holds_the_compiled_filter_and_names_its_platform(tmp_path: Path) -> None:
    made = wheel(tmp_path)
    assert "-py3-none-" in made.name and not made.name.endswith("-any.whl")
    with zipfile.ZipFile(made) as archive:
        assert LIBRARY in archive.namelist()


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_that_works_a_wheel_is_for_any_platform(
    compiler: str, tmp_path: Path
) -> None:
    made = wheel(tmp_path, CC=compiler)
    assert made.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(made) as archive:
        assert LIBRARY not in archive.namelist()
