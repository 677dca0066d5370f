"""How an object store is reached: checked by name, since Lance ignores misspelt options."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from lancemill_api.base import Model
from lancemill_api.rules import NotTogether
from lancemill_api.scalars import Endpoint, ObjectName


class SecretRef(Model):
    """A Secret of the same namespace."""

    name: ObjectName
    """Name of the Secret. Its keys are the store's own names: aws_access_key_id,
    aws_secret_access_key, aws_session_token, google_service_account_key,
    azure_storage_account_key. A local run reads $LANCEMILL_SECRETS_DIR/NAME/KEY."""


class Storage(Model):
    """How to reach an object store. Default: the environment's usual credentials."""

    must_hold = (NotTogether("anonymous", "secretRef", "expected one of them"),)

    endpoint: Endpoint | None = None
    """Address of an S3-compatible store, such as https://minio.example:9000. Default: the
    cloud's own."""
    region: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    """Region of the bucket, such as eu-central-1. Default: the environment's, else us-east-1."""
    allow_http: bool = False
    """Allow an endpoint without encryption. Default: false."""
    virtual_hosted_style: bool = False
    """Put the bucket into the host name rather than the path. Default: false."""
    anonymous: bool = False
    """Send no credentials, for public buckets. Default: false."""
    secret_ref: SecretRef | None = None
    """Secret that holds the credentials. Default: none, the environment's are used."""
