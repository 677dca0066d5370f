"""The manifests of examples/ run as they are, and what the documentation shows works."""

from __future__ import annotations

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from docs.blocks import Block, blocks
from lancemill.cli.main import app
from lancemill.engine.preview import preview
from lancemill.manifest import load, load_text

EXAMPLES = ("thumbnails", "captions", "embeddings", "incremental", "udf", "add-columns")
FOR_A_CLUSTER = ("cluster",)
"""Run by `make operator-demo`: their data lies in stores that are not here."""
"""In the order in which they build on each other."""


@pytest.fixture(scope="module")
def done(checkout: Path) -> dict[str, dict[str, Any]]:
    """What each example's run said at its end."""
    said = {}
    for name in EXAMPLES:
        manifest = checkout / "examples" / f"{name}.yaml"
        ran = CliRunner().invoke(app, ["run", str(manifest), "--json"])
        assert ran.exit_code == 0, f"{name}: {ran.output}"
        said[name] = json.loads(ran.stdout.splitlines()[-1])
    return said


def test_every_example_is_among_those_that_are_run(checkout: Path) -> None:
    there = {path.stem for path in (checkout / "examples").glob("*.yaml")}
    assert there == {*EXAMPLES, *FOR_A_CLUSTER}


@pytest.mark.parametrize("name", FOR_A_CLUSTER)
def test_an_example_for_a_cluster_is_right_by_itself(checkout: Path, name: str) -> None:
    manifest = checkout / "examples" / f"{name}.yaml"
    checked = CliRunner().invoke(app, ["validate", str(manifest)])
    assert (checked.exit_code, "right by itself" in checked.output) == (0, True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_makes_rows(done: dict[str, dict[str, Any]], name: str) -> None:
    assert done[name]["result"] == "succeeded"
    assert done[name]["rowsOut"] > 0


@pytest.mark.usefixtures("done")
def test_the_incremental_example_has_nothing_to_do_the_second_time(checkout: Path) -> None:
    manifest = checkout / "examples" / "incremental.yaml"
    ran = CliRunner().invoke(app, ["run", str(manifest), "--json"])
    assert json.loads(ran.stdout.splitlines()[-1])["result"] == "nothing-to-do"


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_of_the_documentation_loads_and_plans(block: Block, checkout: Path) -> None:
    text, base = _manifest(block.text), checkout / "examples"
    if block.text.startswith("apiVersion"):
        base = checkout
    job = load_text(text, source=str(block), base=base).job()
    if "s3://" not in text:
        preview(job)


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line
            for block in blocks("console")
            for line in block.text.splitlines()
            if re.match(r"\$ lancemill (plan|run) examples/", line)
        }
    ),
)
def test_overrides_of_the_documentation_fit_their_example(line: str, checkout: Path) -> None:
    _, _, _, manifest, *rest = shlex.split(line)
    overrides = [value for option, value in pairwise(rest) if option == "--set"]
    preview(load(checkout / manifest, overrides).job())


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize(
    "block", [one for one in blocks("python") if "import torch" not in one.text], ids=str
)
def test_python_of_the_documentation_runs(
    block: Block, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})


def _manifest(text: str) -> str:
    """A whole manifest of a piece of `spec`: pictures that are fetched and decoded before it."""
    if text.startswith("apiVersion"):
        return text
    piece = yaml.safe_load(text)
    spec: dict[str, Any] = {"source": {"objects": {"uri": "../demo/pictures"}}}
    spec["sink"] = {"lance": {"uri": "../demo/piece.lance"}}
    spec["stages"] = [
        {"name": "fetch", "fetch": {"column": "uri", "into": "bytes"}},
        {"name": "decode", "decode": {"column": "bytes", "into": "image"}},
    ]
    stages = piece.pop("stages", [])
    spec["stages"] += stages
    if "source" in piece and "table" in piece["source"]:
        spec["stages"] = stages
    document = {
        "apiVersion": "lancemill.dev/v1alpha1",
        "kind": "MultimodalPipeline",
        "metadata": {"name": "piece"},
        "spec": spec | piece,
    }
    return yaml.safe_dump(document, sort_keys=False)
