"""Volumes of pods, as Kubernetes writes them: those that Pod Security's `restricted` level allows.

The others (hostPath, nfs, …) are refused with the reason, since pods that ask for them would never
be admitted to a namespace at that level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.handed import FOLDER
from lancemill_api.pod_rules import NotReserved
from lancemill_api.quantities import Quantity
from lancemill_api.rules import ExactlyOne
from lancemill_api.runtime import DataKey
from lancemill_api.scalars import Name, ObjectName

OWNED_PREFIX = "lancemill-"
"""Volumes that the operator mounts begin so."""
OWNED_VOLUMES = ("shared-mem", "ray-logs", "ray-token", "ray-tls")
"""Volumes that KubeRay mounts."""
OWNED_FOLDERS = (
    "/etc/lancemill",
    FOLDER,
    "/tmp/ray",
    "/var/run/secrets/kubernetes.io",
)
"""Places where the operator and KubeRay mount their own."""

_RESTRICTED = (
    "Pod Security's level restricted does not allow it; use a persistentVolumeClaim (a "
    "PersistentVolume of that kind may stand behind it)"
)

InnerPath = Annotated[
    str,
    StringConstraints(pattern=r"^[^/:][^:]*$", max_length=1024),
    Expected("a relative path, such as certs/ca.crt"),
]


class KeyToPath(Model):
    """A key, and the file that it becomes."""

    key: DataKey
    """Key of the Secret or ConfigMap."""
    path: InnerPath
    """Path of the file, relative to the volume."""


Items = Annotated[tuple[KeyToPath, ...], Field(max_length=64)]


class ConfigMapVolume(Model):
    """Keys of a ConfigMap as files."""

    name: ObjectName
    """Name of the ConfigMap."""
    items: Items = ()
    """Keys to take. Default: all."""
    optional: bool = False
    """Whether it may be missing. Default: false."""


class SecretVolume(Model):
    """Keys of a Secret as files."""

    secret_name: ObjectName
    """Name of the Secret."""
    items: Items = ()
    """Keys to take. Default: all."""
    optional: bool = False
    """Whether it may be missing. Default: false."""


class ClaimVolume(Model):
    """A PersistentVolumeClaim."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim."""
    read_only: bool = False
    """Mount it for reading only. Default: false."""


class EmptyDir(Model):
    """An empty folder that lives as long as the pod."""

    medium: Literal["", "Memory"] = ""
    """Memory for a folder in memory, which counts as the container's; empty for the node's disk.
    Default: empty."""
    size_limit: Quantity | None = None
    """Most bytes, such as 10Gi; a pod that goes above is evicted. Default: no limit."""


class StorageRequests(Model):
    """What a claim asks for."""

    storage: Quantity
    """Bytes, such as 100Gi."""


class ClaimResources(Model):
    """What a claim asks for."""

    requests: StorageRequests
    """Its size."""


class ClaimSpec(Model):
    """A claim that is made for each pod."""

    access_modes: Annotated[
        tuple[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadOnlyMany", "ReadWriteMany"], ...],
        Field(min_length=1, max_length=4),
    ]
    """How it can be mounted, usually ReadWriteOnce."""
    storage_class_name: ObjectName | None = None
    """StorageClass. Default: the cluster's."""
    resources: ClaimResources
    """How large it is."""


class ClaimTemplate(Model):
    """A claim that is made for each pod."""

    spec: ClaimSpec
    """What the claim asks for."""


class EphemeralVolume(Model):
    """A volume that is made for each pod and goes with it."""

    volume_claim_template: ClaimTemplate
    """The claim that is made for each pod."""


class VolumeSecret(Model):
    """A Secret of the same namespace."""

    name: ObjectName
    """Name of the Secret."""


class CsiVolume(Model):
    """A volume of a CSI driver that lives as long as the pod (a bucket, a vault's secrets)."""

    driver: ObjectName
    """Name of the driver, such as secrets-store.csi.k8s.io."""
    read_only: bool = False
    """Mount it for reading only. Default: false."""
    volume_attributes: Annotated[
        dict[
            Annotated[str, StringConstraints(max_length=253)],
            Annotated[str, StringConstraints(max_length=4096)],
        ],
        Field(max_length=64),
    ] = Field(default_factory=dict)
    """What the driver needs to know. Default: nothing."""
    node_publish_secret_ref: VolumeSecret | None = None
    """Secret that the driver gets. Default: none."""


KINDS = ("configMap", "secret", "persistentVolumeClaim", "emptyDir", "ephemeral", "csi")


class Volume(Model):
    """A volume: a name, and exactly one of configMap, secret, persistentVolumeClaim, emptyDir,
    ephemeral and csi."""

    must_hold = (
        ExactlyOne("kind of volume", KINDS),
        NotReserved("name", OWNED_VOLUMES, (OWNED_PREFIX,)),
    )
    refused: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("hostPath", "nfs", "iscsi", "rbd", "cephfs", "glusterfs", "fc", "local"), _RESTRICTED
    )

    name: Name
    """Name of the volume, unique in the list; volumeMounts refer to it."""
    config_map: ConfigMapVolume | None = None
    """Keys of a ConfigMap as files."""
    secret: SecretVolume | None = None
    """Keys of a Secret as files."""
    persistent_volume_claim: ClaimVolume | None = None
    """A PersistentVolumeClaim."""
    empty_dir: EmptyDir | None = None
    """An empty folder that lives as long as the pod."""
    ephemeral: EphemeralVolume | None = None
    """A volume that is made for each pod and goes with it."""
    csi: CsiVolume | None = None
    """A volume of a CSI driver that lives as long as the pod."""

    @property
    def given(self) -> tuple[str, Any]:
        """Name of the field that is given, and its value."""
        held = self.model_dump(by_alias=True, exclude_none=True, exclude={"name"})
        (kind,) = held
        names = {field.alias: name for name, field in type(self).model_fields.items()}
        return kind, getattr(self, names[kind])


class VolumeMount(Model):
    """Where a volume is mounted."""

    must_hold = (NotReserved("mountPath", (), OWNED_FOLDERS),)

    name: Name
    """Name of the volume."""
    mount_path: Annotated[
        str,
        StringConstraints(pattern=r"^/[^:]+$", max_length=1024),
        Expected("an absolute path without a colon, such as /data"),
    ]
    """Where it is mounted, such as /data."""
    sub_path: InnerPath | None = None
    """Path within the volume. Default: its root."""
    read_only: bool = False
    """Mount it for reading only. Default: false."""
