"""The command lines of the control plane's programs: quick to start, on loopback, for one test run.

`folder` is the control plane's: see `ControlPlane`.
"""

from __future__ import annotations

from pathlib import Path

# No cloud, no routes; and nodes that a test makes up send no heartbeat.
_NO_CONTROLLERS = (
    "cloud-node-lifecycle-controller",
    "service-lb-controller",
    "node-route-controller",
    "node-lifecycle-controller",
)
# Go's collector takes an eighth of an API server's time: memory is cheaper, for minutes.
ENVIRONMENT = {"GOGC": "300"}
# Requests a second: the defaults of 20 and 50 make a namespace's ServiceAccount take seconds.
_QUICK = ("--kube-api-qps=300", "--kube-api-burst=600")


def etcd(folder: Path, clients: str, peers: str) -> tuple[str, ...]:
    return (
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    )


def api_server(folder: Path, etcd_url: str, server: str) -> tuple[str, ...]:
    return (
        f"--etcd-servers={etcd_url}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={server.rsplit(':', 1)[1]}",
        f"--cert-dir={folder / 'pki'}",
        "--service-cluster-ip-range=198.19.0.0/24",
        "--authorization-mode=Node,RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'sa.pub'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--enable-priority-and-fairness=false",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
    )


def controller_manager(folder: Path, kubeconfig: Path) -> tuple[str, ...]:
    return (
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={folder / 'sa.key'}",
        f"--root-ca-file={folder / 'pki' / 'apiserver.crt'}",
        "--leader-elect=false",
        f"--cert-dir={folder / 'pki-controllers'}",
        f"--controllers=*,{','.join(f'-{name}' for name in _NO_CONTROLLERS)}",
        *_QUICK,
    )


def scheduler(folder: Path, kubeconfig: Path) -> tuple[str, ...]:
    return (
        f"--kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--cert-dir={folder / 'pki-scheduler'}",
        *_QUICK,
    )
