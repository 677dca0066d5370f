"""What pods find as files: the run's frozen specification, stores' credentials, the user's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lancemill_api.cluster import Placed
from lancemill_api.code import Code
from lancemill_api.handed import CODE_FOLDER, SECRETS_FOLDER
from lancemill_operator import names
from lancemill_operator.manifests.written import written

MANIFEST_FOLDER = "/etc/lancemill/run"
MANIFEST_KEY = "manifest.yaml"
MANIFEST = f"{MANIFEST_FOLDER}/{MANIFEST_KEY}"
TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_VOLUME = "lancemill-api-token"


@dataclass(frozen=True, slots=True)
class Mounts:
    """Volumes of a pod, and where its main container mounts them."""

    volumes: list[dict[str, Any]] = field(default_factory=list)
    mounts: list[dict[str, Any]] = field(default_factory=list)

    def __add__(self, other: Mounts) -> Mounts:
        return Mounts(self.volumes + other.volumes, self.mounts + other.mounts)


def manifest(config_map: str) -> Mounts:
    """The frozen specification, from the ConfigMap of that name."""
    return _one(
        "lancemill-run", {"configMap": {"name": config_map}}, {"mountPath": MANIFEST_FOLDER}
    )


def credentials(secrets: Iterable[str]) -> Mounts:
    """Each Secret in a folder of its own.

    The volume's name comes from the Secret's by a digest, since a Secret's may be longer and hold
    dots.
    """
    mounted = Mounts()
    for secret in secrets:
        mounted += _one(
            f"lancemill-secret-{names.digest(secret, 8)}",
            {"secret": {"secretName": secret}},
            {"mountPath": f"{SECRETS_FOLDER}/{secret}"},
        )
    return mounted


def code(asked: Code | None) -> Mounts:
    """The ConfigMap with the user's code, where the manifest names one."""
    if asked is None or asked.config_map is None:
        return Mounts()
    volume = {"configMap": {"name": asked.config_map}}
    return _one("lancemill-code", volume, {"mountPath": CODE_FOLDER})


def own(placed: Placed) -> Mounts:
    """What the manifest itself mounts; the models' names are Kubernetes' own."""
    return Mounts(
        [written(volume) for volume in placed.volumes],
        [written(mount) for mount in placed.volume_mounts],
    )


def api_token() -> dict[str, Any]:
    """A token of the API server as a volume, for the one container that needs it.

    The same three files as Kubernetes mounts by itself, but not into every container of the pod:
    the user's code beside the autoscaler gets none.
    """
    field_of_pod = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    return {
        "name": TOKEN_VOLUME,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
                {
                    "configMap": {
                        "name": "kube-root-ca.crt",
                        "items": [{"key": "ca.crt", "path": "ca.crt"}],
                    }
                },
                {"downwardAPI": {"items": [field_of_pod]}},
            ]
        },
    }


def _one(name: str, volume: dict[str, Any], mount: dict[str, Any]) -> Mounts:
    return Mounts([{"name": name, **volume}], [{"name": name, "readOnly": True, **mount}])
