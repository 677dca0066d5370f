"""Wheels of a few lines, and a folder of them in place of an index."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest


def wheel(folder: Path, name: str, version: str, module: str, *needs: str) -> None:
    """A wheel with one module in it."""
    folder.mkdir(exist_ok=True)
    said = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {one}" for one in needs]
    files = {
        f"{name}.py": module,
        f"{said}/METADATA": "\n".join(metadata) + "\n",
        f"{said}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{said}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        for path, text in (files | {f"{said}/RECORD": record}).items():
            made.writestr(path, text)


def index_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only these wheels can be had from now on."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
