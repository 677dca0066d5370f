"""What a run's pods hold besides their resources: image, identity, environment.

Field names are Kubernetes' own, so that what stands in a pod's specification can be taken over.
Nothing secret is ever written here: a value whose name says that it is one is refused, since a
manifest lies in Git and is read by everybody who may list the object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.pod_rules import NotReserved
from lancemill_api.rules import Cel, ExactlyOne, Finding, Unique
from lancemill_api.scalars import ObjectName

CREDENTIAL = (
    "(?i)(?:password|passwd|passphrase|[_.-]pwd|secret|token|credential|api_?key|secret_?key|"
    "access_?key|account_?key|storage_?key|private_?key|connection_?string)$"
)
"""Names of variables whose values are secrets; also what an API server's CEL understands."""
LOGIN = "://[^/?#@ ]*:[^/?#@ ]*@"
"""A user and password in an address."""

OWNED_VARIABLES = (
    *("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_CLOUD_INSTANCE_ID"),
    *("RAY_CLUSTER_NAME", "RAY_CLUSTER_NAMESPACE", "RAY_IP", "FQ_RAY_IP", "RAY_PORT"),
    *("RAY_NODE_TYPE_NAME", "RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"),
    *("RAY_enable_autoscaler_v2", "KUBERAY_GEN_RAY_START_CMD"),
)
"""Variables that the operator and KubeRay set, or that KubeRay refuses."""

Image = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:/-]*(?:@sha256:[0-9a-f]{64})?$", max_length=512
    ),
    Expected("an image such as registry.example/team/image:1.2, or with @sha256:…"),
]
VariableName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253),
    Expected("the name of an environment variable: letters, digits and _, such as HF_HOME"),
]
VariablePrefix = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=63),
    Expected("the beginning of a variable's name, such as MY_"),
]
DataKey = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=253),
    Expected("a key of a Secret or ConfigMap: letters, digits, -, _ and ."),
]
AccountName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z](?:[-a-z0-9.]*[a-z0-9])?$", max_length=50),
    Expected(
        "the name of a ServiceAccount, at most 50 characters, beginning with a letter (KubeRay "
        "changes other names)"
    ),
]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class KeyOf(Model):
    """A key of a Secret or ConfigMap of the same namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: DataKey
    """Key whose value is taken."""
    optional: bool = False
    """Whether it may be missing. Default: false."""


class PodField(Model):
    """A field of the pod."""

    field_path: Literal[
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.podIP",
    ]
    """Which: metadata.name, metadata.namespace, metadata.uid, spec.nodeName,
    spec.serviceAccountName, status.hostIP or status.podIP."""


class ValueFrom(Model):
    """Where a variable's value comes from: exactly one of them."""

    must_hold = (ExactlyOne("source of a value", ("secretKeyRef", "configMapKeyRef", "fieldRef")),)

    secret_key_ref: KeyOf | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyOf | None = None
    """A key of a ConfigMap."""
    field_ref: PodField | None = None
    """A field of the pod."""


@dataclass(frozen=True, slots=True)
class NoSecretInText:
    """A variable's literal value is no secret, as far as its name and form tell."""

    def broken(self, value: Mapping[str, Any]) -> Iterator[Finding]:
        name, text = value.get("name"), value.get("value")
        if not isinstance(name, str) or not isinstance(text, str):
            return
        if text and re.search(CREDENTIAL, name):
            yield (
                "value",
                f"is a secret, by the name {name}; put it into a Secret, and give "
                "valueFrom.secretKeyRef instead",
            )
        elif re.search(LOGIN, text):
            yield (
                "value",
                "holds an address with a password; put it into a Secret, and give "
                "valueFrom.secretKeyRef instead",
            )

    def cel(self) -> Cel:
        return Cel(
            "!has(self.value) || self.value == '' || "
            f"(!self.name.matches('{CREDENTIAL}') && !self.value.matches('{LOGIN}'))",
            "value is a secret, by its name or its form; put it into a Secret, and give "
            "valueFrom.secretKeyRef instead",
        )


class EnvVar(Model):
    """An environment variable: a name, and value or valueFrom."""

    must_hold = (
        ExactlyOne("value", ("value", "valueFrom")),
        NotReserved("name", OWNED_VARIABLES, ("LANCEMILL_",)),
        NoSecretInText(),
    )

    name: VariableName
    """Name of the variable, unique in the list."""
    value: Annotated[str, StringConstraints(max_length=4096)] | None = None
    """Its value, which everybody who may read the object sees. Secrets are refused here: give
    valueFrom.secretKeyRef. Default: valueFrom."""
    value_from: ValueFrom | None = None
    """Where its value comes from. Default: value."""


class AllOf(Model):
    """All keys of a Secret or ConfigMap of the same namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    optional: bool = False
    """Whether it may be missing. Default: false."""


class EnvFrom(Model):
    """Variables from all keys of a Secret or of a ConfigMap: exactly one of them."""

    must_hold = (ExactlyOne("source of variables", ("secretRef", "configMapRef")),)

    prefix: VariablePrefix | None = None
    """Put before each key to make the variable's name. Default: nothing."""
    secret_ref: AllOf | None = None
    """The Secret."""
    config_map_ref: AllOf | None = None
    """The ConfigMap."""


class PullSecret(Model):
    """A Secret with the credentials of a registry."""

    name: ObjectName
    """Name of the Secret (type kubernetes.io/dockerconfigjson)."""


class Runtime(Model):
    """What pods run, and as whom. Read in a cluster only."""

    must_hold = (Unique("env"), Unique("imagePullSecrets"))

    image: Image | None = None
    """Image of head and workers: Lancemill, Ray and your own code. Default: the operator's runtime
    image."""
    image_pull_policy: PullPolicy | None = None
    """When the image is pulled: Always, IfNotPresent or Never. Default: Kubernetes' own, Always for
    the tag latest, else IfNotPresent."""
    service_account_name: AccountName | None = None
    """ServiceAccount of the pods, for an identity at a cloud (IRSA, workload identity). No token of
    Kubernetes is mounted for your code. Default: one without any rights, made for the pipeline."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64)] = ()
    """Environment variables of head and workers. Default: none."""
    env_from: Annotated[tuple[EnvFrom, ...], Field(max_length=16)] = ()
    """Secrets and ConfigMaps whose keys become variables of head and workers. Default: none."""
    image_pull_secrets: Annotated[tuple[PullSecret, ...], Field(max_length=16)] = ()
    """Secrets that the image is pulled with. Default: none."""
