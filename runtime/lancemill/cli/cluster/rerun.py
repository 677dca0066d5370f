"""`lancemill rerun`: one more run of a pipeline as it is."""

from __future__ import annotations

import typer

from lancemill.cli.cluster.options import Context, Follow, Name, Namespace
from lancemill.cli.validate import Json


def rerun(
    name: Name,
    follow: Follow = False,
    context: Context = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Ask for a run of a pipeline that is in the cluster."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.cli.cluster.asking import requested
        from lancemill.cli.cluster.attending import attend, for_people
        from lancemill.cli.cluster.connection import connect

        with connect(context, namespace) as api:
            people = None if json else for_people(following=follow)
            wanted = requested(api, name, people)
            if not follow:
                return
            ended = attend(api, name, wanted, "json" if json else "auto")
    raise typer.Exit(ended)
