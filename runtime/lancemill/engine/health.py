"""Whether this installation works: each part is used once, not only looked for."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the installation."""

    name: str
    ok: bool | None
    """None where an optional part is not installed."""
    detail: str


def checks(place: tuple[str, object | None] | None = None) -> list[Check]:
    """Every check; `place` (a uri and its storage block) is a store to be tried as well."""
    from lancemill.engine.context import usable_cores

    python = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    found = [
        Check("python", sys.version_info >= (3, 11), python),
        Check("cores", True, str(usable_cores())),
        *_required(),
        *_optional(),
    ]
    if place is not None:
        found.append(_tried("store", lambda: _store(*place)))
    return found


def _required() -> Iterator[Check]:
    yield _tried("lance", _lance)
    yield _tried("duckdb", _duckdb)
    yield _tried("jpeg kernel", _jpeg)
    yield _tried("pillow formats", _pillow)
    yield _tried("onnxruntime", _onnxruntime)
    yield _tried("object stores", lambda: f"obstore {version('obstore')}")


def _optional() -> Iterator[Check]:
    for name, package in (
        ("ray", "ray"),
        ("torch", "torch"),
        ("video", "av"),
        ("k8s", "kubernetes"),
    ):
        try:
            yield Check(name, True, f"{package} {version(package)}")
        except PackageNotFoundError:
            yield Check(name, None, f"optional: lancemill[{name}]")


def _tried(name: str, use: Callable[[], str]) -> Check:
    try:
        return Check(name, True, use())
    except Exception as error:
        return Check(name, False, " ".join(f"{type(error).__name__}: {error}".split())[:200])


def _lance() -> str:
    import pyarrow as pa

    from lancemill.tables.create import create
    from lancemill.tables.table import Table

    with tempfile.TemporaryDirectory(prefix="lancemill-doctor-") as folder:
        table = Table(f"{folder}/try.lance")
        create(table, pa.schema([("key", pa.string())]))
        assert table.open().count_rows() == 0
    return f"pylance {version('pylance')}: a dataset was written and read"


def _duckdb() -> str:
    import duckdb

    assert duckdb.connect().execute("select 1 + 1").fetchall() == [(2,)]
    return f"duckdb {version('duckdb')}"


def _jpeg() -> str:
    import numpy as np
    import simplejpeg

    grey = np.full((16, 16, 3), 128, np.uint8)
    decoded = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(grey))
    assert abs(int(decoded.mean()) - 128) < 3
    from lancemill.media.compiled import compiled

    how = "compiled" if compiled() else "by Pillow, slower: no C compiler was there at installation"
    return f"simplejpeg {version('simplejpeg')}, resizing {how}"


def _pillow() -> str:
    from PIL import features

    missing = [one for one in ("jpg", "webp", "libtiff", "zlib") if not features.check(one)]
    if missing:
        raise RuntimeError(f"Pillow was built without {', '.join(missing)}")
    return f"pillow {version('pillow')}: jpeg, png, webp, tiff, gif, bmp"


def _onnxruntime() -> str:
    import onnxruntime

    return (
        f"onnxruntime {version('onnxruntime')}: {', '.join(onnxruntime.get_available_providers())}"
    )


def _store(uri: str, storage: object | None) -> str:
    from lancemill.storage import open_store, probe_conditional_put

    if not probe_conditional_put(open_store(uri, storage)):
        raise RuntimeError(f"{uri}: the store overwrites where it is asked not to (If-None-Match)")
    return f"{uri}: written, read and deleted; conditional put works"
