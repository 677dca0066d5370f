"""An S3 that checks signatures: what a person with wrong credentials is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lancemill.errors import StorageError
from lancemill.storage import open_store
from support.servers import S3Server, faulty_http, s3_server


@pytest.fixture(scope="module")
def strict() -> Iterator[S3Server]:
    with s3_server("vault") as server:
        server.demand_credentials()
        yield server


@pytest.mark.parametrize("act", ["put", "get", "list"])
@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ("AWS_ACCESS_KEY_ID", r"does not know this access key \(InvalidAccessKeyId\)"),
        ("AWS_SECRET_ACCESS_KEY", r"the secret key is wrong \(SignatureDoesNotMatch\)"),
    ],
)
def test_wrong_credentials_are_named_and_not_printed(
    strict: S3Server, monkeypatch: pytest.MonkeyPatch, act: str, wrong: str, cause: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", strict.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", strict.secret_key)
    monkeypatch.setenv(wrong, "canary")
    place = open_store(strict.uri("p"), strict.storage())
    acts = {
        "put": lambda: place.put("x", b"1"),
        "get": lambda: place.get("x"),
        "list": lambda: place.list(),
    }
    with pytest.raises(StorageError, match=cause) as caught:
        acts[act]()
    told = str(caught.value) + caught.value.remedy
    assert told.startswith("s3://vault/p")
    assert "\n" not in told
    assert "canary" not in told
    assert strict.secret_key not in told


def test_anonymous_access_where_it_is_not_allowed_is_denied() -> None:
    # moto fails with 500 on unsigned requests once it checks signatures.
    with faulty_http({}, fail_every=1, fail_status=403) as server:
        block = {"endpoint": server.url, "allowHttp": True, "anonymous": True}
        with pytest.raises(StorageError, match="access denied") as caught:
            open_store("s3://vault/p", block).get("x")
    assert "secretRef" in caught.value.remedy


def test_the_right_credentials_are_let_in(
    strict: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", strict.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", strict.secret_key)
    place = open_store(strict.uri("p"), strict.storage())
    place.put("x", b"1")
    assert place.get("x") == b"1"
