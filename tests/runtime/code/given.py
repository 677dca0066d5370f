"""Numbers, a function of a user's in two files, and the command line in this process."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MORE = "FACTOR = 3\n"
UDFS = """
import pyarrow.compute as pc

from more.factor import FACTOR


def times(batch):
    return {"times": pc.multiply(batch.column("x"), FACTOR)}
"""
ROWS = 50


@dataclass(frozen=True)
class Told:
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def notes(self) -> list[str]:
        lines = [json.loads(line) for line in self.out.splitlines()]
        return [line["text"] for line in lines if line.get("event") == "note"]


def lancemill(*words: str | Path) -> Told:
    """A command in this process."""
    from typer.testing import CliRunner

    from lancemill.cli.main import app

    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a bug, told as one: {result.output}") from result.exception
    return Told(result.exit_code, result.stdout, result.stderr)


@dataclass
class Place:
    """A folder of one test."""

    folder: Path

    def code(self, factor: int = 3) -> Path:
        """The user's code, in a folder of its own."""
        code = self.folder / "code"
        (code / "more").mkdir(parents=True, exist_ok=True)
        (code / "my_udfs.py").write_text(UDFS)
        (code / "more" / "__init__.py").write_text("")
        (code / "more" / "factor.py").write_text(MORE.replace("3", str(factor)))
        return code

    def manifest(
        self, code: str = "", name: str = "out", udf: dict[str, Any] | None = None
    ) -> Path:
        """A manifest with `code` as it stands in the file; its dataset is `name`.lance."""
        rows = "\n".join(f'{{"x": {x}}}' for x in range(ROWS))
        (self.folder / "rows.jsonl").write_text(rows)
        given = {"entrypoint": "my_udfs:times", "schema": {"times": "int64"}, "inputs": ["x"]}
        stage = yaml.safe_dump(
            {"name": "times", "udf": given | (udf or {})}, default_flow_style=True
        )
        path = self.folder / f"{name}.yaml"
        path.write_text(
            textwrap.dedent(f"""\
                # The user's own words.
                apiVersion: lancemill.dev/v1alpha1
                kind: MultimodalPipeline
                metadata: {{name: times}}
                spec:
                  source: {{table: {{format: jsonl, uri: rows.jsonl}}}}
                  stages:
                  - {" ".join(stage.split())}
                  sink: {{lance: {{uri: {name}.lance, columns: [x, times]}}}}
                """)
            + textwrap.indent(code, "  ")
        )
        return path

    def rows(self, name: str = "out") -> list[tuple[int, int]]:
        """The dataset's rows, in its order."""
        import lance

        table = lance.dataset(str(self.folder / f"{name}.lance")).to_table()
        return [(row["x"], row["times"]) for row in table.to_pylist()]


def expected(factor: int = 3) -> list[tuple[int, int]]:
    return [(x, x * factor) for x in range(ROWS)]


def run(manifest: Path, *more: str) -> Told:
    return lancemill("run", manifest, "--json", *more)
