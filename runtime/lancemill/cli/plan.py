"""`lancemill plan`: what would be done, with every type checked, before anything is."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.validate import Json, Manifest, Set

Which = Annotated[
    str | None, typer.Option("--pipeline", help="Which pipeline, where the file holds several.")
]


def plan(
    manifest: Manifest,
    set_: Set = None,
    pipeline: Which = None,
    json: Json = False,
    no_listing: Annotated[
        bool, typer.Option("--no-listing", help="Do not list the source: no counts, no bytes.")
    ] = False,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="RUN",
            help="What that run of the dataset tells of this one: how fast each stage was, and "
            "what held it up.",
        ),
    ] = None,
) -> None:
    """Check a manifest against its source, models and target, and print the plan."""
    from lancemill.cli.told import telling
    from lancemill.engine.preview import preview
    from lancemill.manifest import load

    with telling(json):
        job = load(manifest, set_ or ()).job(pipeline)
        shown = preview(job, listing=not no_listing, after_run=after)
        typer.echo(shown.to_json() if json else shown.to_text())
