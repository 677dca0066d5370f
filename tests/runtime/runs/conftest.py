"""A place for each test, an S3 for those that need one, and no credentials but those given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.servers import S3Server, s3_server

from .given import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def bare_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "LANCEMILL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(moto: S3Server) -> S3Server:
    """The S3, emptied; its credentials are in no environment."""
    for key in moto.list_keys():
        moto.client.delete_object(Bucket=moto.bucket, Key=key)
    return moto
