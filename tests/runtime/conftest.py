"""An S3 for those tests of the runtime that ask for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.servers import S3Server, s3_server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3, emptied, with its credentials (and not its endpoint) in the environment."""
    for key in moto.list_keys():
        moto.client.delete_object(Bucket=moto.bucket, Key=key)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto.secret_key)
    return moto
