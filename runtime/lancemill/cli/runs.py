"""`lancemill runs`: what has been run into a dataset, and how it ended."""

from __future__ import annotations

import typer

from lancemill.cli.target import Dataset, target_of
from lancemill.cli.validate import Json


def runs(dataset: Dataset, json: Json = False) -> None:
    """List the runs of a dataset."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.engine.history import history
        from lancemill.storage import open_store

        uri, storage = target_of(dataset)
        found = history(open_store(f"{uri}.runs", storage))
        if json:
            import json as encoder

            typer.echo(encoder.dumps([one.to_json() for one in found]))
            return
        if not found:
            typer.echo(f"no runs of {uri}")
            return
        from lancemill.cli.columns import table_lines

        rows = [
            (
                one.run,
                one.pipeline,
                one.state,
                one.started_at.partition(".")[0].replace("T", " ").removesuffix("+00:00"),
                _number(one.rows),
                one.version or "",
            )
            for one in found
        ]
        for line in table_lines(
            ("RUN", "PIPELINE", "STATE", "STARTED (UTC)", "ROWS", "VERSION"), rows
        ):
            typer.echo(line)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
