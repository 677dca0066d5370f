"""`lancemill doctor` beside a cluster."""

from __future__ import annotations

import json

import pytest

from kube.cli_stage import Cli, Stage

pytestmark = pytest.mark.usefixtures("controllers", "kuberay_crds")


def test_doctor_says_what_of_ours_is_in_the_cluster(stage: Stage) -> None:
    found = {one["name"]: one for one in json.loads(stage.cli("doctor", "--json").stdout)}
    assert found["cluster"]["ok"]
    assert found["cluster"]["detail"].startswith("Kubernetes v1.")
    assert found["lancemill CRDs"]["ok"]
    assert "every field" in found["lancemill CRDs"]["detail"]
    assert found["kuberay"]["ok"]
    assert found["operator"]["ok"] is None, "it runs beside the cluster here"


def test_doctor_fails_nobody_for_what_is_not_theirs_to_look_at(stage: Stage) -> None:
    done = Cli(stage.plane, stage.namespace, user="alice")("doctor", "--json")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["lancemill CRDs"]["ok"]
    assert found["operator"]["detail"] == "not yours to look at"
    assert done.returncode == 0
