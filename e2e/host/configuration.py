"""What the programs of the node are told: pure texts, from the node's folder and addresses.

Found out on Debian 12 with cgroups of version 1 and root without CAP_SYS_RESOURCE; what looks odd
is there for a reason, which stands beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kube import flags

NODE = "node1"
ADDRESS = "198.18.0.1"
PODS = "198.18.0.0/24"
SERVICES = "198.19.0.0/24"
DNS = "198.19.0.10"
SERVER = f"https://{ADDRESS}:6443"
BRIDGE = "lancemill0"
DOMAIN = "cluster.local"
PAUSE = "lancemill.local/pause:1"
RESOLV_CONF = f"nameserver {DNS}\nsearch svc.{DOMAIN} {DOMAIN}\n"


def api_server(folder: Path, etcd_url: str) -> list[str]:
    """As the tests' own, but on the address of the bridge: pods must reach it."""
    reached = {"--bind-address": ADDRESS, "--advertise-address": ADDRESS}
    return _changed(flags.api_server(folder, etcd_url, SERVER), reached)


def controller_manager(folder: Path, kubeconfig: Path) -> list[str]:
    """With the node-lifecycle controller, which takes the not-ready taint off a real node."""
    without = "*,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller"
    return _changed(flags.controller_manager(folder, kubeconfig), {"--controllers": without})


def _changed(given: tuple[str, ...], values: dict[str, str]) -> list[str]:
    changed = []
    for flag in given:
        name = flag.partition("=")[0]
        changed.append(f"{name}={values[name]}" if name in values else flag)
    return changed


def containerd(root: Path, folder: Path, packages: Path) -> str:
    """containerd.toml. Its root is kept from run to run, since it holds the images."""
    return f"""
version = 2
root = "{root}"
state = "/run/containerd"
[grpc]
address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE runc cannot write the -998 of guaranteed pods.
restrict_oom_score_adj = true
disable_hugetlb_controller = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "{packages}/usr/sbin/runc"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{packages}/usr/lib/cni"
conf_dir = "{folder}/cni"
"""


def network() -> str:
    """The CNI configuration: a bridge, addresses counted up, nothing translated."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "0.4.0", "name": "lancemill", "plugins": plugins})


def kubelet(folder: Path, cgroup: str) -> str:
    """The API server holds no client certificate, so the kubelet lets everybody in: in a network
    that nothing enters from outside."""
    made: dict[str, Any] = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": False,
        "enforceNodeAllocatable": ["pods"],
        "containerRuntimeEndpoint": "unix:///run/containerd.sock",
        "clusterDNS": [DNS],
        "clusterDomain": DOMAIN,
        "resolvConf": str(folder / "resolv.conf"),
        "podLogsDir": str(folder / "pod-logs"),
        "failSwapOn": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        # What was imported cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "24h",
        "nodeStatusUpdateFrequency": "2s",
    }
    return json.dumps(made, indent=1)


def corefile(kubeconfig: Path) -> str:
    return f"""
{DOMAIN}:53 {{
  bind {ADDRESS}
  errors
  kubernetes {DOMAIN} {{
    kubeconfig {kubeconfig} test
  }}
}}
"""


def dns_service() -> list[dict[str, Any]]:
    """CoreDNS runs beside the kubelet rather than in a pod: a Service without a selector leads
    there."""
    ports = [{"name": f"dns-{one.lower()}", "port": 53, "protocol": one} for one in ("UDP", "TCP")]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system"},
        "spec": {"clusterIP": DNS, "ports": ports},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        "ports": ports,
    }
    return [service, endpoints]


def kubelet_flags(folder: Path, kubeconfig: Path) -> list[str]:
    return [
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={kubeconfig}",
        f"--root-dir={folder / 'kubelet'}",
        f"--cert-dir={folder / 'pki-kubelet'}",
        f"--hostname-override={NODE}",
        f"--node-ip={ADDRESS}",
    ]


def proxy_flags(kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={PODS}",
        f"--hostname-override={NODE}",
        # The kernel's limits of connections are the machine's, and not writable here.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    ]
