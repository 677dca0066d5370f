"""`lancemill cancel`: the run that goes on is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.cluster.options import Context, Name, Namespace
from lancemill.cli.validate import Json


def cancel(
    name: Name,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it has been cancelled.")
    ] = True,
    context: Context = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Cancel the run of a pipeline: its cluster is taken down, and nothing is committed."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.cli.cluster.asking import cancelled
        from lancemill.cli.cluster.connection import connect

        with connect(context, namespace) as api:
            ended = cancelled(api, name, wait=wait, json=json)
    raise typer.Exit(ended)
