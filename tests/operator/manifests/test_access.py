"""Who may speak to a run's pods, and as whom they run."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill_operator.facts import Identity
from lancemill_operator.manifests import Defaults, network_policy, service_account
from lancemill_operator.manifests.defaults import NetworkRules

OWNER = Identity("vision", "cats", "u-1", 3)


def policy(**rules: Any) -> dict[str, Any]:
    spec: dict[str, Any] = network_policy(OWNER, Defaults(network=NetworkRules(**rules)))["spec"]
    return spec


def test_the_account_has_no_token_and_a_name_that_kuberay_leaves_alone() -> None:
    body = service_account(Identity("vision", "c" * 47, "u-1", 3))
    assert body["automountServiceAccountToken"] is False
    assert len(body["metadata"]["name"]) == 50
    assert body["metadata"]["name"][0].isalpha()


def test_pods_of_a_pipeline_answer_each_other_on_every_port() -> None:
    spec = policy()
    own = {"podSelector": {"matchLabels": {"lancemill.dev/pipeline-uid": "u-1"}}}
    assert spec["podSelector"] == own["podSelector"]
    assert spec["ingress"][0] == {"from": [own]}


def test_the_two_operators_reach_the_ports_they_need_and_nobody_else_any() -> None:
    _, ours, kuberay = policy(operator_namespace="mill", kuberay_namespace="ray")["ingress"]
    assert ours["from"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "mill"
    }
    assert [one["port"] for one in ours["ports"]] == [8265, 8787]
    assert kuberay["from"][0]["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "kuberay-operator"
    }
    assert [one["port"] for one in kuberay["ports"]] == [8265]


def test_metrics_are_for_named_namespaces_only() -> None:
    *_, metrics = policy(metrics_namespaces=("monitoring",))["ingress"]
    assert [one["port"] for one in metrics["ports"]] == [8080, 44217, 44227, 8787]
    assert metrics["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]


def test_an_operator_outside_the_cluster_can_be_let_in_by_address() -> None:
    *_, control = policy(control_cidrs=("10.0.0.0/28",))["ingress"]
    assert control["from"] == [{"ipBlock": {"cidr": "10.0.0.0/28"}}]


def test_the_clouds_metadata_is_out_of_reach_and_names_can_be_looked_up() -> None:
    spec = policy()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    _, dns, anywhere = spec["egress"]
    assert {one["protocol"] for one in dns["ports"]} == {"UDP", "TCP"}
    assert anywhere["to"] == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}},
    ]


def test_with_nothing_blocked_what_leaves_is_not_looked_at() -> None:
    spec = policy(blocked_cidrs=())
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec


def test_an_address_that_is_none_is_refused_when_the_operator_starts() -> None:
    with pytest.raises(ValueError, match=r"169\.254"):
        NetworkRules(blocked_cidrs=("169.254.169.254/99",))
