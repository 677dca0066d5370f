"""`lancemill validate`: what a manifest alone tells, without asking any store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Manifest = Annotated[Path, typer.Argument(help="The manifest, a YAML file.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a field, as spec.sink.lance.uri=x."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]


def validate(manifest: Manifest, set_: Set = None, json: Json = False) -> None:
    """Check a manifest by itself; nothing is read but the file."""
    from lancemill.cli.told import telling
    from lancemill.manifest import load

    with telling(json):
        loaded = load(manifest, set_ or ())
        if json:
            import json as encoder

            typer.echo(encoder.dumps({"valid": True, "pipelines": loaded.names}))
        else:
            typer.echo(f"{manifest}: right by itself ({loaded.told()})")
