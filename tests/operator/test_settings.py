"""Settings from the environment, as a chart writes them."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from lancemill_operator.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("LANCEMILL_OPERATOR_"):
            monkeypatch.delenv(name)


def test_the_environment_is_read_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANCEMILL_OPERATOR_WORKERS", "3")
    monkeypatch.setenv("LANCEMILL_OPERATOR_LEASE", "true")
    settings = Settings()
    assert (settings.workers, settings.lease) == (3, True)


@pytest.mark.parametrize(
    ("written", "namespaces"),
    [('["a", "b"]', ("a", "b")), ("a, b", ("a", "b")), ("[]", ()), ("a", ("a",)), ("", ())],
)
def test_namespaces_are_a_list_in_json_or_with_commas(
    monkeypatch: pytest.MonkeyPatch, written: str, namespaces: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LANCEMILL_OPERATOR_NAMESPACES", written)
    assert Settings().namespaces == namespaces


def test_defaults_of_objects_are_given_as_json_or_each_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"image": "registry.example/x:1", "head": {"cpu": "2"}}
    monkeypatch.setenv("LANCEMILL_OPERATOR_DEFAULTS", json.dumps(given))
    monkeypatch.setenv("LANCEMILL_OPERATOR_DEFAULTS__RAY_VERSION", "2.99.0")
    monkeypatch.setenv("LANCEMILL_OPERATOR_DEFAULTS__NETWORK__OPERATOR_NAMESPACE", "ops")
    defaults = Settings().defaults
    assert (defaults.image, defaults.ray_version) == ("registry.example/x:1", "2.99.0")
    assert defaults.head.cpu == "2"
    assert defaults.network.operator_namespace == "ops"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "0"),
        ("LOG_FORMAT", "xml"),
        ("DEFAULTS", '{"head": {"cpu": "many"}}'),
        ("DEFAULTS", '{"prices": {"cpu_hour": -1}}'),
        ("DEFAULTS", '{"prices": {"gpu_hour": "inf"}}'),
        ("DEFAULTS", '{"prices": {"currency": ""}}'),
    ],
)
def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"LANCEMILL_OPERATOR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_every_setting_says_what_it_means() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
