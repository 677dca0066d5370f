"""What a storage block says, and what is said about a wrong one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from lancemill.errors import StorageError
from lancemill.storage import Storage, lance_options, open_store
from lancemill.storage.options import access

CANARY = "canary-value-that-must-not-be-printed"


def secret(folder: Path, name: str, **keys: str) -> None:
    (folder / name).mkdir()
    for key, value in keys.items():
        (folder / name / key).write_text(value)


def test_a_misspelt_option_is_refused_and_the_right_one_suggested() -> None:
    with pytest.raises(StorageError, match=r"storage\.endpiont: no such option") as caught:
        open_store("s3://b/p", {"endpiont": "https://x"})
    assert "did you mean endpoint?" in caught.value.remedy


def test_a_plain_http_endpoint_needs_allow_http() -> None:
    with pytest.raises(StorageError, match="http://minio:9000 is plain http") as caught:
        open_store("s3://b/p", {"endpoint": "http://minio:9000"})
    assert "allowHttp: true" in caught.value.remedy
    assert lance_options({"endpoint": "http://minio:9000", "allowHttp": True}, "s3://b/p") == {
        "aws_endpoint": "http://minio:9000",
        "aws_region": "us-east-1",
        "allow_http": "true",
        "client_max_retries": "6",
    }


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://x", "https://", ""])
def test_an_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(StorageError, match=r"storage\.endpoint: .* is no URL"):
        open_store("s3://b/p", {"endpoint": endpoint})


@pytest.mark.parametrize(
    ("uri", "block", "option"),
    [
        ("gs://b/p", {"region": "eu"}, "region"),
        ("photos/", {"endpoint": "https://x"}, "endpoint"),
        ("https://h/p", {"secretRef": {"name": "s"}}, "secretRef"),
        ("az://c/p", {"virtualHostedStyle": True}, "virtualHostedStyle"),
    ],
)
def test_an_option_that_means_nothing_to_the_store_is_refused(
    uri: str, block: dict[str, object], option: str
) -> None:
    with pytest.raises(StorageError, match=f"storage.{option} means nothing here"):
        open_store(uri, block)


def test_the_models_attributes_and_the_manifests_names_say_the_same() -> None:
    by_name = Storage.of({"endpoint": "https://x", "allowHttp": True, "secretRef": {"name": "s"}})
    by_attribute = Storage.of(
        SimpleNamespace(
            endpoint="https://x",
            region=None,
            allow_http=True,
            virtual_hosted_style=False,
            anonymous=False,
            secret_ref=SimpleNamespace(name="s"),
        )
    )
    assert by_name == by_attribute


def test_a_secret_is_read_from_its_folder_without_trailing_newlines(secrets: Path) -> None:
    secret(secrets, "lake", aws_access_key_id="AK\n", AWS_SECRET_ACCESS_KEY=CANARY + "\n")
    (secrets / "lake" / "..data").mkdir()
    options = lance_options({"secretRef": {"name": "lake"}}, "s3://b/p")
    assert options["aws_access_key_id"] == "AK"
    assert options["aws_secret_access_key"] == CANARY
    config = open_store("s3://b/p", {"secretRef": {"name": "lake"}}).store.config  # type: ignore[union-attr]
    assert (config["access_key_id"], config["secret_access_key"]) == ("AK", CANARY)


def test_a_secret_goes_before_the_environment(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-env")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the other key")
    secret(secrets, "lake", aws_access_key_id="from-secret", aws_secret_access_key="x")
    options = lance_options({"secretRef": {"name": "lake"}}, "s3://b/p")
    assert options["aws_access_key_id"] == "from-secret"
    assert "aws_session_token" not in options


def test_a_missing_secret_names_the_folder_that_was_looked_at(secrets: Path) -> None:
    with pytest.raises(StorageError, match="there is no secret 'lake'") as caught:
        open_store("s3://b/p", {"secretRef": {"name": "lake"}})
    assert str(secrets) in str(caught.value)


def test_a_secrets_unknown_key_is_named_and_its_value_is_not(secrets: Path) -> None:
    secret(secrets, "lake", aws_acess_key_id=CANARY)
    with pytest.raises(StorageError, match="'aws_acess_key_id'") as caught:
        open_store("s3://b/p", {"secretRef": {"name": "lake"}})
    assert "did you mean aws_access_key_id?" in caught.value.remedy
    assert CANARY not in str(caught.value) + caught.value.remedy


def test_a_secret_for_another_kind_of_store_is_refused(secrets: Path) -> None:
    secret(secrets, "lake", google_service_account_key=CANARY)
    with pytest.raises(StorageError, match="holds nothing for s3://"):
        open_store("s3://b/p", {"secretRef": {"name": "lake"}})


@pytest.mark.parametrize("name", ["../lake", "/etc", "", "a/b", None])
def test_a_secrets_name_is_never_a_path(secrets: Path, name: object) -> None:
    with pytest.raises(StorageError, match="is no name of a secret"):
        open_store("s3://b/p", {"secretRef": {"name": name}})


def test_values_of_secrets_are_not_in_representations(secrets: Path) -> None:
    secret(secrets, "lake", aws_access_key_id=CANARY, aws_secret_access_key=CANARY)
    assert CANARY not in repr(access({"secretRef": {"name": "lake"}}, "s3://b/p"))


def test_virtual_hosted_requests_go_to_the_buckets_own_host() -> None:
    block = {"endpoint": "https://oss.example.com", "virtualHostedStyle": True}
    options = lance_options(block, "s3://photos/p")
    assert options["aws_endpoint"] == "https://photos.oss.example.com"
    assert options["aws_virtual_hosted_style_request"] == "true"


def test_the_aws_profile_gives_keys_and_region_where_no_variable_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = d\n"
        "[lab]\naws_access_key_id = L\naws_secret_access_key = l\n"
    )
    (folder / "config").write_text("[profile lab]\nregion = eu-west-3\n")
    assert lance_options(None, "s3://b")["aws_access_key_id"] == "D"
    monkeypatch.setenv("AWS_PROFILE", "lab")
    options = lance_options(None, "s3://b")
    assert (options["aws_access_key_id"], options["aws_region"]) == ("L", "eu-west-3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    assert lance_options(None, "s3://b")["aws_access_key_id"] == "E"
    assert "aws_secret_access_key" not in lance_options(None, "s3://b")


def test_anonymous_access_carries_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CANARY)
    options = lance_options({"anonymous": True}, "s3://b")
    assert options["aws_skip_signature"] == "true"
    assert not any("key" in name for name in options)


def test_a_local_dataset_has_no_options() -> None:
    assert lance_options(None, "out/cats.lance") == {}
