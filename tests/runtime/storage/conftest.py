"""An environment without credentials, and a folder for mounted ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of mounted secrets, empty."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.setenv("LANCEMILL_SECRETS_DIR", str(folder))
    return folder
