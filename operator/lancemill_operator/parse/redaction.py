"""What looks like a credential is taken out of texts that others wrote, before they are said again.

A driver's last words, a container's logs, an image's registry: any of them may quote a presigned
address or a key, and a status is read by everybody who may list the object. This is a net, not a
proof: it knows the usual forms, and its patterns are linear, since a stranger writes the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
LONGEST = 8192
"""Characters that are looked at; what comes after them is dropped."""
DEEPEST = 32
"""Levels of a JSON value that are looked at; what lies below them is dropped."""

_NAME = (
    r"(?:password|passwd|passphrase|pwd|secret|token|credentials?|api_?key|access_?key(?:_?id)?"
    r"|secret_?key|account_?key|storage_?key|private_?key|connection_?string|signature)"
)
_TYPE = r"(?:bool|u?int\d|float\d|large_|string|binary|date|image|timestamp|list<|struct<)"
_KEY_FORMS = (
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,128}",
    r"gh[pousr]_[A-Za-z0-9]{20,255}",
    r"github_pat_[A-Za-z0-9_]{20,255}",
    r"hf_[A-Za-z0-9]{20,255}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,255}",
    r"AIza[A-Za-z0-9_-]{30,64}",
    r"ya29\.[A-Za-z0-9_-]{20,2048}",
    r"eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,8192}\.[A-Za-z0-9_-]{0,1024}",
)

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
            r"(?s:.*?)(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            HIDDEN,
        ),
        # s3://user:password@host
        (r"(?i)(\b[a-z][a-z0-9+.-]{0,31}://)[^\s/?#@'\"<>]{1,1024}@", rf"\1{HIDDEN}@"),
        # ?X-Amz-Signature=…&sig=…
        (
            r"(?i)([?&;](?:x-(?:amz|goog|ms)-[a-z-]{1,40}|sig|awsaccesskeyid|googleaccessid|key|"
            rf"[a-z_-]{{0,40}}{_NAME})=)[^\s&#'\"<>]{{1,8192}}",
            rf"\1{HIDDEN}",
        ),
        # Authorization: Bearer …
        (
            r"(?i)(\bauthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?)[^\r\n\"']{1,8192}",
            rf"\1{HIDDEN}",
        ),
        (r"(?i)(\bbearer\s{1,4})(?=\S{0,256}\d)[A-Za-z0-9._~+/=-]{12,8192}", rf"\1{HIDDEN}"),
        # aws_secret_access_key=…
        (
            rf"(?i)({_NAME}[\"']?\s{{0,4}}=\s{{0,4}}[\"']?)(?!\*\*\*)[^\s,;&\"'}})\]]{{1,8192}}",
            rf"\1{HIDDEN}",
        ),
        # "password": "…", but not a column's name and type
        (
            rf"(?i)({_NAME}[\"']?\s{{0,4}}:\s{{0,4}}[\"']?)(?!\*\*\*|{_TYPE})"
            r"(?=[^\s,;]{0,256}\d)[^\s,;\"'}\]]{8,8192}",
            rf"\1{HIDDEN}",
        ),
        (rf"\b(?:{'|'.join(_KEY_FORMS)})", HIDDEN),
    )
)


def redacted(text: str) -> str:
    """The text without what looks like a credential."""
    text = text[:LONGEST]
    for pattern, put in _FORMS:
        text = pattern.sub(put, text)
    return text


def redacted_json(value: Any, depth: int = DEEPEST) -> Any:
    """A JSON value with every text in it redacted, names of fields included."""
    if depth == 0:
        return None
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {redacted(str(name)): redacted_json(one, depth - 1) for name, one in value.items()}
    if isinstance(value, list):
        return [redacted_json(one, depth - 1) for one in value]
    return value
