"""A folder with real pictures, functions of a user's, and the command line in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SHARD = "512Ki"
FUNCTIONS = '''
import os, signal
from pathlib import Path

import numpy as np
import pyarrow as pa

HERE = Path(__file__).parent


def mean(batch):
    values = batch.column("image").to_numpy_ndarray()
    return {"mean": pa.array([float(one.mean()) for one in values])}


def dies_once(batch):
    """The process that meets this row first is gone."""
    for key in batch.column("key").to_pylist():
        if key == (HERE / "kills").read_text():
            try:
                (HERE / "died").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
    return mean(batch)


def dies_always(batch):
    for key in batch.column("key").to_pylist():
        if key in (HERE / "kills").read_text().split():
            os.abort()
    return mean(batch)


def refuses(batch):
    raise ValueError("no such day")


def is_slow(batch):
    import time

    (HERE / "began").touch()
    time.sleep(0.05 * len(batch))
    return mean(batch)


def hangs(batch):
    import time

    if (HERE / "kills").read_text() in batch.column("key").to_pylist():
        time.sleep(600)
    return mean(batch)
'''

IMAGES: list[dict[str, Any]] = [
    {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
    {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
    {"name": "small", "resize": {"column": "image", "width": 32, "height": 32, "fit": "fill"}},
]


def function(name: str, placement: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The stage that calls one of FUNCTIONS."""
    udf = {
        "entrypoint": f"functions.py:{name}",
        "schema": {"mean": "float64"},
        "inputs": ["key", "image"],
        "batchSize": 8,
        **more,
    }
    return {"name": "mean", "udf": udf, **({"placement": placement} if placement else {})}


def command(manifest: Path, *arguments: str, first: str = "") -> list[str]:
    """`lancemill run` on Ray for a process of its own, which does `first` first."""
    words = ["run", str(manifest), "--json", "--shard-bytes", SHARD, "--engine", "ray"]
    main = f"{first}\nfrom lancemill.cli.main import main; main()"
    return [sys.executable, "-c", main, *words, *arguments]


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str = ""

    @property
    def summary(self) -> dict[str, Any]:
        """What `--json` ends with."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found

    @property
    def notes(self) -> list[str]:
        lines = [json.loads(line) for line in self.out.splitlines()]
        return [line["text"] for line in lines if line.get("event") == "note"]


@dataclass
class Place:
    """A folder of one test."""

    folder: Path

    def manifest(
        self,
        *more: dict[str, Any],
        name: str = "out",
        images: dict[str, Any] | None = None,
        functions: str = "",
        **spec: Any,
    ) -> Path:
        """A manifest with the image stages (placed by `images`) and `more`, whose dataset is
        `name`.lance; `functions` beside those of FUNCTIONS."""
        (self.folder / "functions.py").write_text(FUNCTIONS + functions)
        placed = {} if images is None else {"placement": images}
        columns = ["key", "image", *(["mean"] if more else [])]
        body = {
            "source": {"objects": {"uri": "pictures"}},
            "stages": [*({**one, **placed} for one in IMAGES), *more],
            "sink": {"lance": {"uri": f"{name}.lance", "columns": columns}},
            "errors": {"maxRate": 0.5},
            **spec,
        }
        document = {
            "apiVersion": "lancemill.dev/v1alpha1",
            "kind": "MultimodalPipeline",
            "metadata": {"name": "cats"},
            "spec": body,
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    def kills(self, *keys: str) -> None:
        """Rows that functions treat badly."""
        (self.folder / "kills").write_text(" ".join(keys))

    def rows(self, name: str = "out") -> Any:
        """The dataset's rows, in its order."""
        import lance

        return lance.dataset(str(self.folder / f"{name}.lance")).to_table()

    def quarantined(self, name: str = "out") -> dict[str, tuple[str, str]]:
        """Stage and reason by key."""
        import lance

        rows = lance.dataset(str(self.folder / f"{name}.lance.quarantine")).to_table().to_pylist()
        found = {row["key"]: (row["stage"], row["reason"]) for row in rows}
        assert len(found) == len(rows), rows
        return found


def run(manifest: Path, *arguments: str, engine: str = "ray") -> Told:
    """`lancemill run` in this process."""
    from typer.testing import CliRunner

    from lancemill.cli.main import app

    words = ["run", str(manifest), "--json", "--shard-bytes", SHARD, "--engine", engine]
    result = CliRunner().invoke(app, [*words, *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a bug, told as one: {result.output}") from result.exception
    return Told(result.exit_code, result.stdout, result.stderr)
