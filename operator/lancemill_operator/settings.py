"""The operator's settings: from the environment (LANCEMILL_OPERATOR_…), each with its meaning."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lancemill_operator.manifests.defaults import Defaults

Seconds = Annotated[float, Field(gt=0)]


def _texts(value: Any) -> Any:
    """A JSON list, or texts with commas between them."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        return json.loads(value)
    return [one.strip() for one in value.split(",") if one.strip()]


class Settings(BaseSettings):
    """How this operator runs. Nothing here changes what a pipeline means."""

    model_config = SettingsConfigDict(
        env_prefix="LANCEMILL_OPERATOR_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    namespaces: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_texts)] = ()
    """Namespaces to serve: a narrow install that needs no right beyond them. Default: all."""
    kubeconfig: str | None = None
    """Path of a kubeconfig. Default: the pod's own service account, else $KUBECONFIG."""
    context: str | None = None
    """Context of the kubeconfig. Default: its current one."""

    http_host: str = "0.0.0.0"
    """Address on which /healthz, /readyz and /metrics are served."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of the same; 0 takes any that is free, and the log tells which."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    log_format: Literal["json", "pretty"] = "json"
    """json for machines, pretty for people."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """Objects that are looked at side by side."""
    backoff_shortest: Seconds = 0.5
    """Seconds until an object is looked at again after a first failure; each further one doubles
    it."""
    backoff_longest: Seconds = 60.0
    """The most seconds between two tries."""

    request_timeout: Seconds = 30.0
    """Seconds that a call to the API server may take."""
    resync_interval: Seconds = 300.0
    """Seconds between two listings of everything, give or take a fifth: what watches have missed
    is found then."""
    watch_limit: Seconds = 180.0
    """Seconds of silence after which a watch counts as dead, and the process ends itself if the
    API server answers otherwise."""
    reconcile_limit: Seconds = 300.0
    """Seconds that one look at an object may take before the process counts as stuck."""

    progress_interval: Seconds = 5.0
    """Seconds between two questions to a running head how far it is."""
    progress_timeout: Seconds = 2.0
    """Seconds that it has to answer."""
    progress_via: Literal["auto", "service", "proxy"] = "auto"
    """How heads are reached: by their service, or through the API server where the operator runs
    outside the cluster. auto: as it runs."""

    capacity_interval: Seconds = 60.0
    """Seconds for which nodes and quotas are remembered."""
    references_interval: Seconds = 20.0
    """Seconds for which it is remembered that a Secret, ConfigMap, … exists."""

    lease: bool = False
    """Whether to hold a Lease while running, so that a second operator waits. Correctness does
    not rest on it."""
    lease_name: str = "lancemill-operator"
    """Name of the Lease."""
    lease_namespace: str | None = None
    """Namespace of the Lease. Default: the pod's own."""
    lease_duration: Seconds = 15.0
    """Seconds after which a Lease that nobody renews may be taken."""

    stop_timeout: Seconds = 10.0
    """Seconds that looks under way have to finish when the process is told to stop."""

    defaults: Defaults = Field(default_factory=Defaults)
    """What stands in the objects that are made where a manifest does not say, as JSON such as
    {"image": "registry.example/lancemill:1"}, or each by a name of its own such as
    LANCEMILL_OPERATOR_DEFAULTS__IMAGE."""
