"""Who and where: the user's kubeconfig by the official client, or the pod's own account.

KUBECONFIG, `--context`, exec plugins and client certificates mean what they mean to kubectl.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lancemill.cli.cluster.errors import ClusterError, Unreachable

if TYPE_CHECKING:
    from lancemill.cli.cluster.api import Api

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(
    context: str | None = None, namespace: str | None = None, *, timeout: float | None = None
) -> Api:
    """The API server that the user means. Nothing is sent yet."""
    _require_the_extra()
    from kubernetes.client import ApiClient, Configuration

    from lancemill.cli.cluster import api

    configuration = Configuration()
    found = _configure(configuration, context)
    client = ApiClient(configuration)
    return api.Api(
        configuration.host,
        client.rest_client.pool_manager,
        lambda: _credentials(configuration),
        namespace or found or "default",
        timeout or api.TIMEOUT,
    )


def kubeconfig() -> str | None:
    """The kubeconfig files that there are, as KUBECONFIG names them; None where there is none."""
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    there = [one for one in named.split(os.pathsep) if one and Path(one).expanduser().is_file()]
    return os.pathsep.join(there) or None


def in_cluster() -> bool:
    """Whether this is a pod with an account of its own."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and OWN_NAMESPACE.exists()


def has_extra() -> bool:
    """Whether the official client is installed."""
    from importlib.util import find_spec

    return find_spec("kubernetes") is not None


def _require_the_extra() -> None:
    if not has_extra():
        raise ClusterError(
            "the Python client of Kubernetes is not installed",
            remedy="pip install 'lancemill[k8s]'",
        )


def _configure(configuration: Any, context: str | None) -> str | None:
    """Fill in host, certificates and credentials; the namespace that goes with them."""
    import kubernetes.config

    config: Any = kubernetes.config  # its functions have no types
    files = kubeconfig()
    if files is None and context is None and in_cluster():
        config.load_incluster_config(client_configuration=configuration)
        return OWN_NAMESPACE.read_text().strip()
    if files is None:
        raise ClusterError(
            "there is no kubeconfig",
            remedy="name it by KUBECONFIG, or put it at ~/.kube/config",
        )
    try:
        contexts, current = config.list_kube_config_contexts(config_file=files)
        chosen = _chosen(contexts, current, context)
        config.load_kube_config(
            config_file=files, context=chosen["name"], client_configuration=configuration
        )
    except ClusterError:
        raise
    except Exception as error:  # the client lets YAML's, its plugins' and its own errors out
        why = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"the kubeconfig {files} cannot be used: {why}",
            remedy="`kubectl config view` shows it",
        ) from None
    found: Mapping[str, Any] = chosen.get("context") or {}
    return found.get("namespace")


def _chosen(
    contexts: list[dict[str, Any]], current: dict[str, Any] | None, wanted: str | None
) -> dict[str, Any]:
    if wanted is None and current is not None:
        return current
    for one in contexts:
        if one["name"] == wanted:
            return one
    there = ", ".join(sorted(str(one["name"]) for one in contexts)) or "none"
    problem = f"there is no context '{wanted}'" if wanted else "no context is chosen"
    raise ClusterError(f"{problem} in the kubeconfig; there are: {there}", remedy="--context NAME")


def _credentials(configuration: Any) -> dict[str, str]:
    """The headers that say who asks; a token is renewed where that is due."""
    try:
        settings = configuration.auth_settings()
    except Exception as error:  # whatever a credentials plugin raises
        why = " ".join(str(error).split())[:300]
        raise Unreachable(f"your credentials cannot be renewed: {why}") from None
    return {
        str(one["key"]): str(one["value"])
        for one in settings.values()
        if one.get("in") == "header" and one.get("value")
    }
