"""What a uri names, by one rule for manifests, ledgers and the `uri` column of object tables.

| written as | means |
|---|---|
| `photos/`, `/data/photos` | a path of this machine, literally (`%`, `#`, `?` are characters) |
| `file:///data/a%20b.jpg` | a path of this machine, percent-encoded as RFC 8089 says |
| `s3://bucket/a b.jpg`, `gs://…`, `az://…` | the key behind the bucket, taken literally |
| `http://…`, `https://…` | an ordinary URL, percent-encoded |
| `memory://name/…` | a store in this process, for tests |
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from lancemill.errors import StorageError

BUCKET_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az"}
SCHEMES = ("file", *BUCKET_SCHEMES, "http", "https", "memory")


@dataclass(frozen=True, slots=True)
class Parts:
    """A uri taken apart."""

    scheme: str
    """file, s3, gs, az, http, https or memory."""
    root: str
    """The bucket, container or memory's name; the host with port for http; empty for file."""
    path: str
    """What follows, without a slash at its start or end."""


def scheme_of(uri: str) -> str:
    """file, s3, gs, az, http, https or memory; StorageError for anything else."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", uri)
    if found is None:
        return "file"
    scheme = found[1].lower()
    if scheme not in SCHEMES:
        raise StorageError(
            f"{display(uri)}: there is no store for {scheme}://",
            remedy="use a path, file://, s3://, gs://, az://, http:// or https://",
        )
    return BUCKET_SCHEMES.get(scheme, scheme)


def is_local(uri: str) -> bool:
    """True for paths and file:// uris."""
    return scheme_of(uri) == "file"


def local_path(uri: str, base: Path | None = None) -> Path:
    """The path that a local uri names, absolute; relative ones start at `base`."""
    if "://" not in uri or scheme_of(uri) != "file":
        return Path(os.path.normpath((base or Path()).absolute() / Path(uri).expanduser()))
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise StorageError(
            f"{uri}: a file uri holds no host and an absolute path",
            remedy=f"write file:///{(parts.netloc + parts.path).lstrip('/')} or a path",
        )
    # urlsplit cuts at ? and #, which an encoded path does not hold: they are given back.
    return Path(os.path.normpath(unquote(uri.split("://", 1)[1].removeprefix(parts.netloc))))


def file_uri(path: str) -> str:
    """The file:// uri of an absolute path."""
    return "file://" + quote(path, safe="/!$&'()*+,;=:@~-._")


def absolute(uri: str, base: Path | None = None) -> str:
    """`uri` without what depends on the working folder; local ones as a plain absolute path."""
    return str(local_path(uri, base)) if is_local(uri) else uri


def split(uri: str, base: Path | None = None) -> Parts:
    """Take `uri` apart; StorageError where it names no bucket or host."""
    scheme = scheme_of(uri)
    if scheme == "file":
        return Parts(scheme, "", str(local_path(uri, base)).strip("/"))
    root, _, path = uri.split("://", 1)[1].partition("/")
    if not root:
        raise StorageError(
            f"{uri}: names no {'host' if scheme.startswith('http') else 'bucket'}",
            remedy=f"write {scheme}://NAME/prefix",
        )
    return Parts(scheme, root, path.strip("/"))


def display(uri: str) -> str:
    """`uri` as it may be printed: without user, password and query, which may hold secrets."""
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return uri
    rest = re.split(r"[?#]", rest)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
