"""`lancemill status`: what goes on in the cluster, and how it goes."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.cluster.options import Context, Follow, Namespace
from lancemill.cli.validate import Json


def status(
    name: Annotated[
        str | None,
        typer.Argument(help="A MultimodalPipeline; without it, all.", show_default=False),
    ] = None,
    follow: Follow = False,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")
    ] = False,
    context: Context = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the pipelines of a cluster, or how the run of one goes."""
    from lancemill.cli.told import telling

    if follow and name is None:
        raise typer.BadParameter("needs the NAME of a pipeline", param_hint="--follow")
    if all_namespaces and name is not None:
        raise typer.BadParameter("goes without a NAME", param_hint="--all-namespaces")
    with telling(json):
        from lancemill.cli.cluster.connection import connect

        with connect(context, namespace) as api:
            if name is None:
                from lancemill.cli.cluster.listing import show_all

                show_all(api, everywhere=all_namespaces, json=json)
                return
            if not follow:
                from lancemill.cli.cluster.listing import show_one

                show_one(api, name, json=json)
                return
            from lancemill.cli.cluster.attending import attend
            from lancemill.cli.cluster.outcome import Wanted

            ended = attend(api, name, Wanted(), "json" if json else "auto")
    raise typer.Exit(ended)
