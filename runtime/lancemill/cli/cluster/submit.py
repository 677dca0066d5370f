"""`lancemill submit`: a manifest applied to a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lancemill.cli.cluster.options import Context, Follow, Namespace
from lancemill.cli.plan import Which
from lancemill.cli.validate import Json, Manifest, Set

if TYPE_CHECKING:
    from lancemill.report.console import Mode


def submit(
    manifest: Manifest,
    set_: Set = None,
    pipeline: Which = None,
    follow: Follow = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the run has ended; show its end only.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force-conflicts",
            help="Take fields over that kubectl or a GitOps tool has set.",
        ),
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Check a manifest and apply it to a cluster."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.cli.cluster.applying import apply, read_documents, to_follow
        from lancemill.cli.cluster.attending import attend, for_people
        from lancemill.cli.cluster.connection import connect

        documents = read_documents(manifest, set_ or (), pipeline, namespace)
        followed = to_follow(documents, str(manifest)) if follow or wait else None
        with connect(context, namespace) as api:
            people = for_people(following=follow)
            applied = apply(api, documents, str(manifest), force=force, json=json, people=people)
            if followed is None:
                return
            from lancemill.cli.cluster.outcome import Wanted

            made = applied[followed.label]
            api.namespace = made.namespace
            mode: Mode = "json" if json else "auto" if follow else "quiet"
            ended = attend(api, made.name, Wanted(generation=made.generation), mode)
    raise typer.Exit(ended)
