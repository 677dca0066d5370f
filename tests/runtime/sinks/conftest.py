"""Sinks over datasets in a folder of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lancemill.sinks import open_sink
from lancemill_api.sink import Sink as SinkSpec


@pytest.fixture
def open_lance(tmp_path: Path) -> Callable[..., Any]:
    """Opens a Lance sink on `cats.lance` by the manifest's own words."""

    def open_it(mode: str = "append", **fields: Any) -> Any:
        spec = {"lance": {"uri": "cats.lance", "mode": mode, **fields}}
        return open_sink(SinkSpec.model_validate(spec), {}, base=tmp_path)

    return open_it
