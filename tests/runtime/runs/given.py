"""A folder with pictures and a manifest, and the command line in this process to run it with."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

SIDE = 8
"""Pixels of a finished picture's side."""


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err

    @property
    def first(self) -> str:
        """The first line, wherever it was said."""
        return self.all.splitlines()[0]

    @property
    def json(self) -> Any:
        """The last line of standard output as JSON."""
        return json.loads(self.out.splitlines()[-1])


def lancemill(*arguments: str | Path, answers: str | None = None) -> Told:
    """`lancemill ARGUMENTS` in this process; an error that is none of ours fails the test."""
    from typer.testing import CliRunner

    from lancemill.cli.main import app

    result = CliRunner().invoke(app, [str(one) for one in arguments], input=answers)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a bug, told as one: {result.output}") from result.exception
    assert "Traceback" not in result.output
    return Told(result.exit_code, result.stdout, result.stderr)


def picture(seed: int, side: int = 24) -> bytes:
    """A small JPEG, another one for each seed."""
    import simplejpeg

    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    data: bytes = simplejpeg.encode_jpeg(pixels)
    return data


def pictures(folder: Path, count: int, start: int = 0) -> list[str]:
    """`count` pictures p000.jpg, p001.jpg, … in `folder`; their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [f"p{index:03}.jpg" for index in range(start, start + count)]
    for index, key in enumerate(keys, start):
        (folder / key).write_bytes(picture(index))
    return keys


def spec(**changes: Any) -> dict[str, Any]:
    """Pictures below `pictures` as small JPEGs in `out.lance`; `changes` replace whole fields."""
    return {
        "source": {"objects": {"uri": "pictures"}},
        "stages": [
            {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
            {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
            {"name": "small", "resize": {"column": "image", "width": SIDE, "height": SIDE}},
            {"name": "jpeg", "encode": {"column": "image", "format": "jpeg"}},
        ],
        "sink": {"lance": {"uri": "out.lance", "columns": ["key", "size", "image"]}},
        **changes,
    }


def lance(**fields: Any) -> dict[str, Any]:
    """The sink `out.lance`, with other fields."""
    return {"lance": {"uri": "out.lance", "columns": ["key", "size", "image"], **fields}}


@dataclass
class Place:
    """A folder of one test."""

    folder: Path
    arguments: list[str] = field(default_factory=list)
    """Given to each run."""

    def manifest(self, name: str = "pipeline.yaml", **changes: Any) -> Path:
        """The manifest of `spec(**changes)`."""
        return self.document(spec(**changes), name)

    def document(
        self,
        body: Mapping[str, Any],
        name: str = "pipeline.yaml",
        datasets: Iterable[Mapping[str, Any]] = (),
    ) -> Path:
        """A manifest with this spec, and the LanceDatasets behind it."""
        head = {"apiVersion": "lancemill.dev/v1alpha1"}
        documents = [
            {**head, "kind": "MultimodalPipeline", "metadata": {"name": "cats"}, "spec": body},
            *({**head, "kind": "LanceDataset", **one} for one in datasets),
        ]
        path = self.folder / name
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
        return path

    def pictures(self, count: int, start: int = 0) -> list[str]:
        return pictures(self.folder / "pictures", count, start)

    def run(self, *arguments: str, **changes: Any) -> Told:
        """`lancemill run` of the manifest with `changes`, quietly."""
        manifest = self.manifest(**changes)
        return lancemill("run", manifest, "--quiet", *self.arguments, *arguments)

    def run_json(self, *arguments: str, **changes: Any) -> tuple[int, dict[str, Any]]:
        """The same by `--json`: exit status, and the object that the run ends with."""
        told = lancemill("run", self.manifest(**changes), "--json", *self.arguments, *arguments)
        return told.status, told.json

    def dataset(self, name: str = "out.lance") -> Any:
        import lance as library

        return library.dataset(str(self.folder / name))

    def keys(self, name: str = "out.lance") -> list[str]:
        """The dataset's keys, in its order."""
        found: list[str] = self.dataset(name).to_table(columns=["key"]).column("key").to_pylist()
        return found

    def set_aside(self, name: str = "out.lance") -> dict[str, str]:
        """Key and reason of each row in the quarantine; each key once."""
        if not (self.folder / f"{name}.quarantine").exists():
            return {}
        rows = self.dataset(f"{name}.quarantine").to_table(columns=["key", "reason"]).to_pylist()
        found = {row["key"]: row["reason"] for row in rows}
        assert len(found) == len(rows), rows
        return found

    def runs(self, name: str = "out.lance") -> list[dict[str, Any]]:
        """What `lancemill runs` tells."""
        found: list[dict[str, Any]] = lancemill("runs", self.folder / name, "--json").json
        return found


def small_shards(folder: Path, shards: int) -> list[str]:
    """Arguments that cut the pictures in `folder` into about so many shards."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    return ["--shard-bytes", str(max(1, size // shards))]


def one_line(told: Told, status: int) -> str:
    """The line of a failure: exit status as expected, a mark, and below it at most a remedy."""
    assert told.status == status, told.all
    lines = [line for line in told.all.splitlines() if line.strip()]
    marked = [line for line in lines if not line.startswith(" ")]
    assert len(marked) == 1, told.all
    return marked[0]


def opened(data: bytes) -> Any:
    """A picture as Pillow reads it."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image
