"""A manifest's `storage` block: checked by name, joined with its secret, told to obstore and Lance.

Lance ignores options that it does not know, so a misspelt one would be silently without effect;
here every name is checked, and every option against the kind of store that it is given for.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lancemill.errors import StorageError
from lancemill.storage.aws_profile import aws_profile
from lancemill.storage.uris import display, split
from lancemill_api.handed import SECRETS_FOLDER

RETRIES = 6
"""Attempts after the first, with growing pauses: about ten seconds before an error is told."""

SECRETS_DIR = "LANCEMILL_SECRETS_DIR"

SECRET_KEYS: Mapping[str, Mapping[str, str]] = {
    # the name in the secret (and in Lance's storage_options) → obstore's name
    "s3": {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "session_token",
    },
    "gs": {"google_service_account_key": "service_account_key"},
    "az": {
        "azure_storage_account_name": "account_name",
        "azure_storage_account_key": "account_key",
        "azure_storage_sas_token": "sas_key",
        "azure_storage_client_id": "client_id",
        "azure_storage_client_secret": "client_secret",
        "azure_storage_tenant_id": "tenant_id",
    },
}

APPLIES = {
    "endpoint": ("s3", "gs", "az"),
    "region": ("s3",),
    "virtual_hosted_style": ("s3",),
    "allow_http": ("s3", "gs", "az", "http", "https"),
    "anonymous": ("s3", "gs", "az", "http", "https"),
    "secret": ("s3", "gs", "az"),
}


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage block, its names checked."""

    endpoint: str | None = None
    region: str | None = None
    allow_http: bool = False
    virtual_hosted_style: bool = False
    anonymous: bool = False
    secret: str | None = None
    """The name of the secretRef."""

    @classmethod
    def of(cls, block: object | None) -> Storage:
        """From a mapping with the manifest's names, the API's model of it, or None."""
        if isinstance(block, Storage):
            return block
        if block is None:
            return cls()
        given = dict(block) if isinstance(block, Mapping) else _attributes(block)
        values = {_field_of(name): value for name, value in given.items() if value is not None}
        if "secret" in values:
            values["secret"] = _secret_name(values["secret"])
        return cls(**values)

    def checked_for(self, scheme: str, uri: str) -> Storage:
        """Itself; StorageError for options that mean nothing to this kind of store."""
        for field in fields(self):
            if getattr(self, field.name) and scheme not in APPLIES[field.name]:
                kinds = ", ".join(f"{kind}://" for kind in APPLIES[field.name])
                raise StorageError(
                    f"{display(uri)}: storage.{_CAMEL[field.name]} means nothing here",
                    remedy=f"it is for {kinds}: take it away, or check the uri",
                )
        if self.anonymous and self.secret:
            raise StorageError(
                f"{display(uri)}: storage has both anonymous and secretRef", remedy="keep one"
            )
        self._check_endpoint()
        return self

    def _check_endpoint(self) -> None:
        if self.endpoint is None:
            return
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise StorageError(
                f"storage.endpoint: '{display(self.endpoint)}' is no URL",
                remedy="write https://HOST or http://HOST:PORT",
            )
        if parts.scheme == "http" and not self.allow_http:
            raise StorageError(
                f"storage.endpoint: {display(self.endpoint)} is plain http, not encrypted",
                remedy="set storage.allowHttp: true, or use an https endpoint",
            )


@dataclass(frozen=True, slots=True)
class Access:
    """How one store is reached: what both obstore and Lance are told."""

    scheme: str
    endpoint: str | None
    region: str | None
    allow_http: bool
    virtual_hosted_style: bool
    anonymous: bool
    secrets: Mapping[str, str]
    """By their names in a secret. Never to be printed."""

    def __repr__(self) -> str:
        return f"Access({self.scheme}, endpoint={self.endpoint}, secrets={sorted(self.secrets)})"


def access(storage: object | None, uri: str) -> Access:
    """The storage block completed from its secret, or from the environment where it has none."""
    parts = split(uri)
    block = Storage.of(storage).checked_for(parts.scheme, uri)
    secrets = read_secret(block.secret, parts.scheme) if block.secret else {}
    found = Access(
        parts.scheme,
        block.endpoint,
        block.region,
        block.allow_http,
        block.virtual_hosted_style,
        block.anonymous,
        secrets,
    )
    return _with_bucket_host(
        _from_environment(found) if parts.scheme == "s3" else found, parts.root
    )


def lance_options(storage: object | None, uri: str) -> dict[str, str]:
    """`storage_options` for pylance; empty for local datasets."""
    reach = access(storage, uri)
    if reach.scheme not in SECRET_KEYS:
        return {}
    prefix = {"s3": "aws", "gs": "google", "az": "azure"}[reach.scheme]
    options = {"client_max_retries": str(RETRIES), **reach.secrets}
    if reach.endpoint:
        endpoint_name = {"s3": "aws_endpoint", "gs": "google_base_url", "az": "azure_endpoint"}
        options[endpoint_name[reach.scheme]] = reach.endpoint
    if reach.region:
        options["aws_region"] = reach.region
    if reach.virtual_hosted_style:
        options["aws_virtual_hosted_style_request"] = "true"
    if reach.allow_http:
        options["allow_http"] = "true"
    if reach.anonymous:
        options[f"{prefix}_skip_signature"] = "true"
    return options


def read_secret(name: str, scheme: str) -> dict[str, str]:
    """The values below `$LANCEMILL_SECRETS_DIR/<name>/`, one file a key, for this kind of store."""
    folder = Path(os.environ.get(SECRETS_DIR) or SECRETS_FOLDER) / name
    if not folder.is_dir():
        raise StorageError(
            f"storage.secretRef: there is no secret '{name}' (no folder {folder})",
            remedy=f"mount the secret there, or set {SECRETS_DIR} to the folder that holds it",
        )
    # Kubernetes keeps the mounted data behind links that start with a dot.
    files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    _check_secret_keys(name, [path.name for path in files], scheme)
    wanted = SECRET_KEYS[scheme]
    try:
        texts = {path.name.lower(): path.read_text(encoding="utf-8").strip() for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"storage.secretRef: secret '{name}' cannot be read ({type(error).__name__})",
            remedy="check the files' owner and mode; each holds one value as text",
        ) from None
    return {key: value for key, value in texts.items() if key in wanted}


def _check_secret_keys(name: str, keys: list[str], scheme: str) -> None:
    known = {key for kind in SECRET_KEYS.values() for key in kind}
    for key in keys:
        if key.lower() not in known:
            near = difflib.get_close_matches(key.lower(), known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise StorageError(
                f"storage.secretRef: secret '{name}' has the key '{key}', which no store knows",
                remedy=hint + "keys for this store: " + ", ".join(SECRET_KEYS[scheme]),
            )
    if not any(key.lower() in SECRET_KEYS[scheme] for key in keys):
        raise StorageError(
            f"storage.secretRef: secret '{name}' holds nothing for {scheme}://",
            remedy="keys for this store: " + ", ".join(SECRET_KEYS[scheme]),
        )


def _from_environment(given: Access) -> Access:
    """AWS as boto's users set it up: variables first, then the profile of ~/.aws."""
    env = os.environ
    profile = {} if given.anonymous or given.secrets else aws_profile(env)
    endpoint = given.endpoint or next(
        (env[n] for n in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT") if env.get(n)),
        profile.get("endpoint_url"),
    )
    region = given.region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    from_env = not given.endpoint and endpoint is not None
    keys = {
        name: value
        for name in SECRET_KEYS["s3"]
        if (value := env.get(name.upper()) or profile.get(name))
    }
    return replace(
        given,
        endpoint=endpoint,
        region=region or profile.get("region") or "us-east-1",
        # An http endpoint in the environment is its owner's decision, as it is with boto.
        allow_http=given.allow_http or (from_env and str(endpoint).startswith("http://")),
        secrets=given.secrets or ({} if given.anonymous else keys),
    )


def _with_bucket_host(found: Access, bucket: str) -> Access:
    """The Rust client takes the endpoint of virtual-hosted requests as it is: with the bucket."""
    if not (found.virtual_hosted_style and found.endpoint):
        return found
    parts = urlsplit(found.endpoint)
    if parts.netloc.startswith(f"{bucket}."):
        return found
    return replace(found, endpoint=parts._replace(netloc=f"{bucket}.{parts.netloc}").geturl())


_CAMEL = {
    "endpoint": "endpoint",
    "region": "region",
    "allow_http": "allowHttp",
    "virtual_hosted_style": "virtualHostedStyle",
    "anonymous": "anonymous",
    "secret": "secretRef",
}
_FIELDS = {**{camel: name for name, camel in _CAMEL.items()}, "secret_ref": "secret"}


def _field_of(name: str) -> str:
    if name in _FIELDS:
        return _FIELDS[name]
    if name in _CAMEL:
        return name
    near = difflib.get_close_matches(name, _FIELDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise StorageError(
        f"storage.{name}: no such option",
        remedy=hint + "options: " + ", ".join(_CAMEL.values()),
    )


def _attributes(block: object) -> dict[str, Any]:
    """The API model's fields, which carry the snake_case names."""
    dump = getattr(block, "model_dump", None)
    return dict(dump()) if callable(dump) else dict(vars(block))


def _secret_name(reference: object) -> str:
    name = reference.get("name") if isinstance(reference, Mapping) else reference
    name = getattr(name, "name", name)
    # A name, never a path: nothing outside of the secrets' folder can be reached by it.
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*)", name):
        raise StorageError(
            f"storage.secretRef: '{name}' is no name of a secret", remedy="write {name: my-secret}"
        )
    return name
