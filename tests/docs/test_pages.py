"""The pages name every field, every reason and every command as they are."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import click
import pytest
import typer

from docs.blocks import PAGES, ROOT, blocks
from lancemill.cli.main import app

GUIDE = ROOT / "docs" / "guide"


def test_the_reference_is_what_the_models_give() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "reference.py"))["page"]()
    found = (GUIDE / "manifest.md").read_text(encoding="utf-8")
    assert found == made, "run `.venv/bin/python docs/reference.py`"


def test_every_field_of_the_models_is_in_the_reference() -> None:
    from lancemill_api.crds import RESOURCES
    from lancemill_api.structural import structural

    page = (GUIDE / "manifest.md").read_text(encoding="utf-8")
    fields = {name for resource in RESOURCES for name in _fields(structural(resource.model))}
    assert {"onRow", "maxPixels", "primaryKey"} <= fields
    assert not [name for name in sorted(fields) if f"`{name}`" not in page]


def test_every_reason_in_the_code_is_explained() -> None:
    explained = (GUIDE / "operations.md").read_text(encoding="utf-8")
    code = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("ops", "media")
        for path in (ROOT / "runtime" / "lancemill" / folder).glob("*.py")
    )
    pattern = r'(?:RetrievalError|PictureError|EncodingError|BatchFailed)\(\s*"([A-Z]\w+)"'
    reasons = {*re.findall(pattern, code), "Unexpected", "SqlError"}
    assert {"NotFound", "Truncated", "UdfError"} <= reasons
    assert not [reason for reason in sorted(reasons) if f"`{reason}`" not in explained]


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line.removeprefix("$ ").partition("      #")[0]
            for block in blocks("console")
            for line in block.text.splitlines()
            if re.match(r"\$ (\.venv/bin/)?lancemill ", line)
        }
    ),
)
def test_a_command_line_in_the_pages_is_one_that_exists(line: str) -> None:
    command: click.Command = typer.main.get_command(app)
    _, *words = shlex.split(line)
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context)
    command.make_parser(context).parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(((?!https?:)[^)#]*)(?:#([^)]*))?\)", text)
    for target, anchor in targets:
        place = (page.parent / target) if target else page
        assert place.exists(), target
        if anchor:
            assert anchor in _anchors(place), f"{target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    kept = ("".join(c for c in head.lower() if c.isalnum() or c in "-_ ") for head in heads)
    return {one.replace(" ", "-") for one in kept}


def _fields(schema: object) -> set[str]:
    if isinstance(schema, list):
        return {name for one in schema for name in _fields(one)}
    if not isinstance(schema, dict):
        return set()
    properties = schema.get("properties")
    own = set(properties) if isinstance(properties, dict) else set()
    return own | {name for one in schema.values() for name in _fields(one)}
