"""Probes of an S3 that checks signatures, in a module of its own: moto has one state a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from support.servers import S3Server, s3_server

from .given import Place, lancemill


@pytest.fixture(scope="module")
def strict() -> Iterator[S3Server]:
    with s3_server("vault") as server:
        server.demand_credentials()
        yield server


@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_told_apart_and_not_printed(
    place: Place, strict: S3Server, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    for name, value in strict.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(wrong, "canary")
    spec = {"uri": strict.uri("out.lance"), "storage": strict.storage()}
    head = {"apiVersion": "lancemill.dev/v1alpha1", "kind": "LanceDataset"}
    path = place.folder / "dataset.yaml"
    path.write_text(yaml.safe_dump({**head, "metadata": {"name": "out"}, "spec": spec}))
    told = lancemill("probe", "dataset", path)
    assert (told.status, told.json["problem"]) == (1, "AccessDenied")
    assert "canary" not in told.all
    run = place.manifest(sink={"lance": spec})
    asked = lancemill("probe", "run", run, "--run-id", "r1", "--epoch", "2")
    assert (asked.status, asked.json["problem"]) == (1, "AccessDenied")
    assert "canary" not in asked.all
