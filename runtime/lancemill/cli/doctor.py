"""`lancemill doctor`: what is installed here, and what works."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.target import target_of
from lancemill.cli.validate import Json


def doctor(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Also try the store of this path, URI or manifest (a small object is written)."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is installed and what works."""
    from lancemill.cli.cluster.health import checks as cluster_checks
    from lancemill.cli.told import telling
    from lancemill.engine.health import checks

    with telling(json):
        found = [*checks(target_of(dataset) if dataset is not None else None), *cluster_checks()]
    if json:
        import json as encoder
        from dataclasses import asdict

        typer.echo(encoder.dumps([asdict(one) for one in found]))
    else:
        from lancemill.cli.columns import table_lines

        marks = {True: "ok", False: "FAILS", None: "absent"}
        for line in table_lines(
            ("WHAT", "STATE", "DETAIL"), [(one.name, marks[one.ok], one.detail) for one in found]
        ):
            typer.echo(line)
    if any(one.ok is False for one in found):
        raise typer.Exit(1)
