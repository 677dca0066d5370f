"""Providers: which is taken, what guards a cluster that somebody has, what kind would be told."""

from __future__ import annotations

import json
import sys
import tomllib
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import yaml
from e2e import __main__ as command
from e2e.cache import Unavailable
from e2e.cluster import Cluster
from e2e.host import configuration
from e2e.image.images import IMAGES
from e2e.install import s3_objects
from e2e.providers.existing import Existing, abilities, images, named
from e2e.providers.kind import kuberay_arguments

from kube.flags import api_server

KUBECTL = """#!/bin/sh
case "$*" in
  *get-contexts*) echo mine; echo production ;;
  *) echo "$@" ;;
esac
"""


class Played:
    def __init__(self, name: str, lacks: str | None) -> None:
        self.name, self._lacks = name, lacks

    def why_not(self) -> str | None:
        return self._lacks

    def running(self) -> AbstractContextManager[Cluster]:
        raise AssertionError("not asked to run")


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def offered(monkeypatch: pytest.MonkeyPatch, **lacks: str | None) -> None:
    known = {name: Played(name, reason) for name, reason in lacks.items()}
    monkeypatch.setattr(command, "providers", lambda: known)


def test_the_first_that_is_possible_is_taken_and_all_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offered(monkeypatch, existing="no context", kind=None, host=None)
    assert command.chosen(None).name == "kind"
    told = capsys.readouterr().err
    assert "provider existing: no context" in told
    assert "picked: kind" in told


def test_where_none_is_possible_it_is_an_error_that_says_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered(monkeypatch, kind="no Docker", host="not root")
    with pytest.raises(Unavailable, match="NOT RUN"):
        command.chosen(None)


@pytest.mark.parametrize(
    ("arguments", "status"), [(["smoke"], 0), (["--provider", "host", "smoke"], 1), (["run"], 1)]
)
def test_only_a_smoke_that_nobody_asked_a_provider_of_passes_where_none_is_possible(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
) -> None:
    offered(monkeypatch, kind="no Docker", host="not root")
    monkeypatch.setattr(sys, "argv", ["e2e", *arguments])
    assert command.main() == status
    assert "NOT RUN" in capsys.readouterr().err


def test_one_that_was_asked_for_and_is_not_possible_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered(monkeypatch, kind="no Docker", host=None)
    with pytest.raises(Unavailable, match="kind is not possible here: no Docker"):
        command.chosen("kind")


def test_a_current_context_is_never_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("E2E_CONTEXT", raising=False)
    assert "E2E_CONTEXT" in (Existing().why_not() or "")


@pytest.mark.usefixtures("kubectl")
def test_a_context_that_the_kubeconfig_does_not_know_is_refused() -> None:
    with pytest.raises(Unavailable, match="knows mine, production"):
        named({"E2E_CONTEXT": "other", "KUBECONFIG": "/k"})


@pytest.mark.usefixtures("kubectl")
def test_every_call_names_the_context_that_was_asked_for() -> None:
    kubectl = named({"E2E_CONTEXT": "mine", "KUBECONFIG": "/k"}).at("team")
    said = kubectl("delete", "pod", "x")
    assert said.split() == [
        *("--kubeconfig=/k", "--context=mine", "--namespace=team"),
        *("delete", "pod", "x"),
    ]


def test_what_a_cluster_can_do_is_said_in_known_words() -> None:
    assert abilities("drain, gpus") == {"drain", "gpus"}
    with pytest.raises(Unavailable, match="fly"):
        abilities("fly")


def test_images_lie_in_the_registry_that_is_named() -> None:
    assert images("registry.example/team")["runtime"].startswith("registry.example/team/lancemill/")
    assert set(images(None).values()) == {one.reference for one in IMAGES}


def test_kuberay_is_the_version_that_the_stand_in_is_held_to() -> None:
    assert "--version=1.7.0" in kuberay_arguments()


def test_pods_reach_the_api_server_which_the_tests_own_keeps_to_itself(tmp_path: Path) -> None:
    usual, ours = (
        api_server(tmp_path, "http://e", configuration.SERVER),
        configuration.api_server(tmp_path, "http://e"),
    )
    changed = {one for one in ours if one not in usual}
    assert changed == {"--bind-address=198.18.0.1", "--advertise-address=198.18.0.1"}


def test_what_programs_of_the_node_read_can_be_read(tmp_path: Path) -> None:
    containerd = tomllib.loads(configuration.containerd(tmp_path, tmp_path, tmp_path))
    assert containerd["root"] == str(tmp_path)
    assert json.loads(configuration.network())["plugins"][0]["type"] == "bridge"
    assert json.loads(configuration.kubelet(tmp_path, "/x"))["cgroupRoot"] == "/x"


def test_the_store_of_scenarios_meets_the_level_restricted() -> None:
    _, deployment, _ = s3_objects("image")
    text = yaml.safe_dump(deployment)
    assert "runAsNonRoot: true" in text
    assert "allowPrivilegeEscalation: false" in text
