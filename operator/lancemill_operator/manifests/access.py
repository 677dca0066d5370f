"""Who a run's pods are, and who may speak to them.

Ray trusts its network: whoever reaches a head runs code there. So the pods of a pipeline answer
each other, the two operators and whoever scrapes metrics, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from lancemill_api.runtime import Runtime
from lancemill_operator import names
from lancemill_operator.actions import Body
from lancemill_operator.facts import Identity
from lancemill_operator.manifests.defaults import Defaults, NetworkRules
from lancemill_operator.manifests.metadata import Kind, metadata, owner_labels

DASHBOARD = 8265
METRICS = (8080, 44217, 44227)
"""Ray's own: each pod's, the autoscaler's, the dashboard's. Our driver's are told with progress."""
DNS = 53


def name(pipeline: str) -> str:
    """Name of a pipeline's ServiceAccount and NetworkPolicy: at most 50 characters and beginning
    with a letter, since KubeRay changes other names of a head's ServiceAccount."""
    return f"lm-{pipeline}"


def account_of(identity: Identity, runtime: Runtime) -> str:
    """The ServiceAccount of a run's pods."""
    return runtime.service_account_name or name(identity.name)


def service_account(identity: Identity) -> Body:
    """A ServiceAccount without rights, for pipelines that name none of their own.

    KubeRay binds the rights of its autoscaler to it for as long as a cluster lives; only the
    autoscaler's container gets a token.
    """
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(identity),
        "automountServiceAccountToken": False,
    }


def network_policy(identity: Identity, defaults: Defaults) -> Body:
    """Who may speak to the pods of this pipeline's runs, and where they may not speak to."""
    rules = defaults.network
    own = {"podSelector": {"matchLabels": {names.PIPELINE_UID: identity.uid}}}
    blocked = bool(rules.blocked_cidrs)
    spec: dict[str, Any] = {
        **own,
        "policyTypes": ["Ingress", "Egress"] if blocked else ["Ingress"],
        "ingress": [{"from": [own]}, *_callers(rules, defaults.progress_port)],
    }
    if blocked:
        spec["egress"] = _egress(own, rules.blocked_cidrs)
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(identity),
        "spec": spec,
    }


def _metadata(identity: Identity) -> dict[str, Any]:
    kind: Kind = "MultimodalPipeline"
    return metadata(identity, kind, name(identity.name), owner_labels(identity, kind))


def _callers(rules: NetworkRules, progress_port: int) -> Iterable[dict[str, Any]]:
    yield {
        "from": [_pods(rules.operator_namespace, rules.operator_labels)],
        "ports": _tcp(DASHBOARD, progress_port),
    }
    yield {
        "from": [_pods(rules.kuberay_namespace, rules.kuberay_labels)],
        "ports": _tcp(DASHBOARD),
    }
    if rules.metrics_namespaces:
        scrapers = [_pods(one, {}) for one in rules.metrics_namespaces]
        yield {"from": scrapers, "ports": _tcp(*METRICS, progress_port)}
    if rules.control_cidrs:
        blocks = [{"ipBlock": {"cidr": one}} for one in rules.control_cidrs]
        yield {"from": blocks, "ports": _tcp(DASHBOARD, progress_port)}


def _pods(namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Pods with these labels in that namespace; an empty one stands for all."""
    by_name = {"matchLabels": {"kubernetes.io/metadata.name": namespace}} if namespace else {}
    made: dict[str, Any] = {"namespaceSelector": by_name}
    return made | ({"podSelector": {"matchLabels": dict(labels)}} if labels else {})


def _tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _egress(own: Mapping[str, Any], blocked: Iterable[str]) -> list[dict[str, Any]]:
    """Anywhere but there. DNS is named apart, since node-local caches have link-local addresses
    which an administrator may want to block as a whole."""
    blocks = []
    for everything, version in (("0.0.0.0/0", 4), ("::/0", 6)):
        outside = [one for one in blocked if ip_network(one).version == version]
        blocks.append({"ipBlock": {"cidr": everything, "except": outside}})
    dns = [{"protocol": protocol, "port": DNS} for protocol in ("UDP", "TCP")]
    return [{"to": [own]}, {"ports": dns}, {"to": blocks}]
