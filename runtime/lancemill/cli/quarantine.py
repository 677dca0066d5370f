"""`lancemill quarantine`: rows that were set aside, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.target import Dataset, target_of
from lancemill.cli.validate import Json

app = typer.Typer(help="Rows that were set aside.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def quarantine() -> None:
    """Rows that were set aside."""


@app.command("list")
def list_rows(
    dataset: Dataset,
    run: Annotated[str | None, typer.Option("--run", help="Of this run only.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="For this reason only.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    json: Json = False,
) -> None:
    """List the rows of a dataset that were set aside, with their reasons."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.tables.quarantine import read

        uri, storage = target_of(dataset)
        found = read(f"{uri}.quarantine", run=run, reason=reason, limit=limit, storage=storage)
        if json:
            import json as encoder

            typer.echo(encoder.dumps(list(found.rows), default=str))
            return
        if not found.total:
            typer.echo(f"nothing of {uri} was set aside")
            return
        from lancemill.cli.columns import table_lines

        rows = [
            (row["run"], row["position"], row["key"], row["stage"], row["reason"], row["message"])
            for row in found.rows
        ]
        for line in table_lines(("RUN", "ROW", "KEY", "STAGE", "REASON", "MESSAGE"), rows):
            typer.echo(line)
        if found.total > len(found.rows):
            typer.echo(f"and {found.total - len(found.rows):,} more (--limit)")
