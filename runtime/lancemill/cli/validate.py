"""`lancemill validate`: what a manifest alone tells, without asking any store."""

from __future__ import annotations

from dataclasses import replace
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
    from lancemill.errors import ManifestError
    from lancemill.manifest import load
    from lancemill_api import flow

    with telling(json):
        loaded = load(manifest, set_ or ())
        wrong = [
            replace(mistake, document=f"{pipeline.kind}/{pipeline.name}")
            for pipeline in loaded.pipelines
            for mistake in flow.mistakes(pipeline)
        ]
        if wrong:
            raise ManifestError(wrong, str(manifest))
        if json:
            import json as encoder

            typer.echo(encoder.dumps({"valid": True, "pipelines": loaded.names}))
        else:
            typer.echo(f"{manifest}: right by itself ({loaded.told()})")
