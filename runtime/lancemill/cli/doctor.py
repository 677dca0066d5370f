"""`lancemill doctor`: what is installed here, and what works."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.validate import Json


def doctor(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Also try the store of this path or URI (a small object is written)."),
    ] = None,
    json: Json = False,
) -> None:
    """Say what is installed and what works."""
    from lancemill.engine.health import checks

    found = checks(dataset)
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
