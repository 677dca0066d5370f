"""Head and worker pods: what KubeRay adds to the templates so that Ray starts in them.

Real nodes run these too, so commands, ports, probes and variables are the real ones.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import textwrap
from typing import Any

from kube.kuberay import names, objects
from kube.kuberay.names import Object
from kube.kuberay.ray_command import AGENT_PORT, GCS_PORT, METRICS_PORT, arguments, flags

SHELL = ["/bin/bash", "-c", "--"]
TOKEN_KEY = "auth_token"
_FAQ = "https://docs.ray.io/en/master/cluster/kubernetes/troubleshooting.html"


def head(cluster: Object) -> Object:
    group = cluster["spec"]["headGroupSpec"]
    pod = _pod(cluster, group, names.HEAD_GROUP, "head")
    pod["metadata"]["annotations"] |= {
        "ray.io/ft-enabled": "false",
        "ray.io/kuberay-version": names.VERSION,
        "ray.io/upgrade-strategy-recreate-hash": _digest(cluster["spec"]),
    }
    ray = pod["spec"]["containers"][0]
    scaled = cluster["spec"].get("enableInTreeAutoscaling", False)
    if scaled and _autoscaler_version(cluster) == "v2":
        _add_env(ray, {"RAY_enable_autoscaler_v2": "true"})
    _add_token(cluster, ray)
    more = {"dashboard-host": "0.0.0.0"} | ({"no-monitor": "true"} if scaled else {})
    command = f"ray start --head {arguments(flags(group, ray, more))}"
    origin = cluster["metadata"].get("labels", {}).get(names.ORIGIN_KIND, "RayCluster")
    tags = f"kuberay_version={names.VERSION};kuberay_crd={origin}"
    usage = {"RAY_USAGE_STATS_EXTRA_TAGS": tags}
    _start_ray(ray, command, f"127.0.0.1:{GCS_PORT}", usage, timeout=5)
    _share_memory(pod["spec"], ray)
    if scaled:
        _add_autoscaler(cluster, pod["spec"], ray)
    return pod


def worker(cluster: Object, group: Object, index: int) -> Object:
    pod = _pod(cluster, group, group["groupName"], "worker")
    pod["metadata"]["labels"][names.REPLICA_INDEX] = str(index)
    if not pod["metadata"]["annotations"]:
        del pod["metadata"]["annotations"]
    ray = pod["spec"]["containers"][0]
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    host = names.head_host(name, namespace)
    gcs = f"{host}:{GCS_PORT}"
    waiting = _wait_for_gcs(ray, gcs)
    pod["spec"].setdefault("initContainers", []).append(waiting)
    for container in (ray, waiting):
        _add_token(cluster, container)
        _add_env(container, {"FQ_RAY_IP": host, "RAY_IP": names.head_service(name)})
    command = f"ray start {arguments(flags(group, ray, {'address': gcs}))}"
    _start_ray(ray, command, gcs, {}, timeout=2)
    _share_memory(pod["spec"], ray)
    return pod


def _pod(cluster: Object, group: Object, group_name: str, node_type: str) -> Object:
    template = copy.deepcopy(group["template"])
    meta, spec = template.get("metadata", {}), template["spec"]
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]
    owner = name if node_type == "head" else f"{name}-{group_name}"
    if _autoscaler_version(cluster) == "v2" and cluster["spec"].get("enableInTreeAutoscaling"):
        spec["restartPolicy"] = "Never"
    labels = {
        **meta.get("labels", {}),
        **group.get("labels", {}),
        **names.MADE_BY_KUBERAY,
        names.CLUSTER: name,
        names.GROUP: group_name,
        names.IDENTIFIER: f"{name}-{node_type}",
        names.IS_RAY_NODE: "yes",
        names.NODE_TYPE: node_type,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": names.pod_prefix(owner, node_type),
            "namespace": namespace,
            "labels": labels,
            "annotations": dict(meta.get("annotations", {})),
            "ownerReferences": names.owned_by(cluster),
        },
        "spec": spec,
    }


def _autoscaler_version(cluster: Object) -> str:
    return str(cluster["spec"].get("autoscalerOptions", {}).get("version", "v1"))


def _digest(spec: Object) -> str:
    """In KubeRay's form. Its value is ours: the real one is taken over Go's own serialisation."""
    text = json.dumps(spec, sort_keys=True).encode()
    return base64.b32hexencode(hashlib.sha1(text).digest()).decode()


def _start_ray(ray: Object, command: str, gcs: str, usage: dict[str, str], timeout: int) -> None:
    ray["command"] = SHELL
    ray["args"] = [f"ulimit -n ${{RAY_START_ULIMIT_OPEN_FILES:-65536}}; {command}"]
    _add_labels_as_env(ray)
    _add_env(
        ray,
        {
            "KUBERAY_GEN_RAY_START_CMD": command,
            "RAY_PORT": str(GCS_PORT),
            "RAY_ADDRESS": gcs,
            "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
            **usage,
            "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE": "1",
        },
    )
    ports = ray.setdefault("ports", [])
    if not any(port.get("name") == "metrics" for port in ports):
        ports.append({"name": "metrics", "containerPort": METRICS_PORT})
    ray.setdefault("livenessProbe", _probe(120, 30, timeout))
    ray.setdefault("readinessProbe", _probe(10, 10, timeout))


def _probe(failures: int, delay: int, timeout: int) -> Object:
    return {
        "failureThreshold": failures,
        "httpGet": {"path": "/api/healthz", "port": AGENT_PORT},
        "initialDelaySeconds": delay,
        "periodSeconds": 5,
        "successThreshold": 1,
        "timeoutSeconds": timeout,
    }


def _add_env(container: Object, values: dict[str, Any]) -> None:
    """Variables that the template sets itself stay as they are."""
    env = container.setdefault("env", [])
    known = {variable["name"] for variable in env}
    for name, value in values.items():
        if name not in known:
            how = {"value": value} if isinstance(value, str) else {"valueFrom": value}
            env.append({"name": name, **how})


def _field(path: str) -> Object:
    return {"fieldRef": {"fieldPath": path}}


def _add_labels_as_env(container: Object) -> None:
    _add_env(
        container,
        {
            "RAY_CLUSTER_NAME": _field(f"metadata.labels['{names.CLUSTER}']"),
            "RAY_CLUSTER_NAMESPACE": _field("metadata.namespace"),
            "RAY_CLOUD_INSTANCE_ID": _field("metadata.name"),
            "RAY_NODE_TYPE_NAME": _field(f"metadata.labels['{names.GROUP}']"),
        },
    )


def wants_token(cluster: Object) -> bool:
    return bool(cluster["spec"].get("authOptions", {}).get("mode") == "token")


def _add_token(cluster: Object, container: Object) -> None:
    if wants_token(cluster):
        secret = {"secretKeyRef": {"name": cluster["metadata"]["name"], "key": TOKEN_KEY}}
        _add_env(container, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secret})


def _mounted(spec: Object, container: Object, name: str, path: str, kind: Object) -> None:
    mounts = container.setdefault("volumeMounts", [])
    if any(mount["mountPath"] == path for mount in mounts):
        return
    mounts.append({"name": name, "mountPath": path})
    volumes = spec.setdefault("volumes", [])
    if not any(volume["name"] == name for volume in volumes):
        volumes.append({"name": name, "emptyDir": kind})


def _share_memory(spec: Object, ray: Object) -> None:
    resources = ray.get("resources", {})
    size = resources.get("requests", {}).get("memory") or resources.get("limits", {}).get("memory")
    memory = {"medium": "Memory"} | ({"sizeLimit": size} if size else {})
    _mounted(spec, ray, "shared-mem", "/dev/shm", memory)


def _add_autoscaler(cluster: Object, spec: Object, ray: Object) -> None:
    options = cluster["spec"].get("autoscalerOptions", {})
    command = "ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace "
    command += "$(RAY_CLUSTER_NAMESPACE)"
    amounts = {"cpu": "500m", "memory": "512Mi"}
    scaler: Object = {
        "name": "autoscaler",
        "image": options.get("image", ray["image"]),
        "imagePullPolicy": options.get("imagePullPolicy", ray.get("imagePullPolicy")),
        "command": options.get("command", SHELL),
        "args": options.get("args", [command]),
        "resources": options.get("resources", {"limits": amounts, "requests": amounts}),
        "env": [],
    }
    for name in ("securityContext", "envFrom", "volumeMounts"):
        if name in options:
            scaler[name] = copy.deepcopy(options[name])
    _add_env(
        scaler,
        {
            "RAY_CLUSTER_NAME": _field(f"metadata.labels['{names.CLUSTER}']"),
            "RAY_CLUSTER_NAMESPACE": _field("metadata.namespace"),
            "RAY_HEAD_POD_NAME": _field("metadata.name"),
            "KUBERAY_CRD_VER": "v1",
        },
    )
    _add_token(cluster, scaler)
    scaler["env"] += copy.deepcopy(options.get("env", []))
    _add_env(scaler, {"KUBERAY_GEN_AUTOSCALER_START_CMD": command})
    spec["serviceAccountName"] = objects.autoscaler_account(cluster)
    for container in (ray, scaler):
        _mounted(spec, container, "ray-logs", "/tmp/ray", {})
    spec["containers"].append({key: value for key, value in scaler.items() if value is not None})


def _wait_for_gcs(ray: Object, address: str) -> Object:
    amounts = {"cpu": "200m", "memory": "256Mi"}
    waiting = {
        "name": "wait-gcs-ready",
        "image": ray["image"],
        "command": SHELL,
        "args": [_WAITING.replace("ADDRESS", address)],
        "env": copy.deepcopy(ray.get("env", [])),
        "resources": {"limits": amounts, "requests": amounts},
    }
    for name in ("imagePullPolicy", "securityContext", "volumeMounts"):
        if name in ray:
            waiting[name] = copy.deepcopy(ray[name])
    return waiting


# Tabs and empty lines as KubeRay has them: the text is compared with the recordings.
_WAITING = (
    textwrap.indent(
        f"""
SECONDS=0
while true; do
	if (( SECONDS <= 120 )); then
		if ray health-check --address ADDRESS > /dev/null 2>&1; then
			echo "GCS is ready."
			break
		fi
		echo "$SECONDS seconds elapsed: Waiting for GCS to be ready."
	else
		if ray health-check --address ADDRESS; then
			echo "GCS is ready. Any error messages above can be safely ignored."
			break
		fi
		echo "$SECONDS seconds elapsed: Still waiting for GCS to be ready. \
For troubleshooting, refer to the FAQ at {_FAQ}."
	fi
	sleep 5
done
""",
        "\t" * 5,
    )
    + "\t" * 4
)
