"""Which lister a prefix needs, by the scheme of its uri."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from lancemill.sources.globs import mask
from lancemill.sources.listing import Lister
from lancemill.sources.local_tree import list_tree
from lancemill.sources.objects import ObjectSource, list_store
from lancemill.storage import Storage, absolute, file_uri, local_path, open_store, scheme_of


def open_prefix(spec: Any, base: Path, ledger_storage: object | None = None) -> ObjectSource:
    """The source of `spec.source.objects`. Wrong options are told here, missing places when
    listing."""
    uri = _with_slash(spec.uri, absolute(spec.uri, base))
    open_store(uri, spec.storage)
    lister, uri_of = _lister(uri, spec)
    return ObjectSource(
        uri=uri,
        lister=lister,
        uri_of=uri_of,
        include=tuple(spec.include or ()),
        exclude=tuple(spec.exclude or ()),
        where=spec.where,
        incremental=bool(spec.incremental),
        ledger_storage=ledger_storage,
    )


def _lister(uri: str, spec: Any) -> tuple[Lister, Callable[[str], str]]:
    scheme = scheme_of(uri)
    if scheme == "file":
        root = local_path(uri)
        below = str(root).rstrip("/")
        return lambda: list_tree(root), lambda key: file_uri(f"{below}/{key}")
    if scheme in ("http", "https"):
        from lancemill.sources.http_index import child_uri, list_index

        def wanted(keys: list[str]) -> list[bool]:
            kept = mask(pa.array(keys, pa.string()), spec.include or (), spec.exclude or ())
            return cast("list[bool]", kept.to_pylist())

        return lambda: list_index(uri, wanted), lambda key: child_uri(uri, key)
    block = Storage.of(spec.storage)
    prefix = uri if uri.endswith("/") else uri + "/"
    return lambda: list_store(uri, block), lambda key: prefix + key


def _with_slash(given: str, made: str) -> str:
    """Making a path absolute takes its slash away, which says that a folder is meant."""
    return made + "/" if given.endswith("/") and not made.endswith("/") else made
