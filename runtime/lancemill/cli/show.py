"""`lancemill show`: what a dataset is: schema, versions and who made them, sizes."""

from __future__ import annotations

import typer

from lancemill.cli.target import Dataset, target_of
from lancemill.cli.validate import Json


def show(dataset: Dataset, json: Json = False) -> None:
    """Show a dataset: schema, versions, sizes, rows."""
    from lancemill.cli.told import telling

    with telling(json):
        from lancemill.tables.show import describe

        found = describe(*target_of(dataset))
        if json:
            import json as encoder

            typer.echo(encoder.dumps(found.to_json(), default=str))
            return
        for line in found.lines():
            typer.echo(line)
