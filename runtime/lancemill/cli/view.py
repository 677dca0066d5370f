"""`lancemill view`: rows of a dataset as people see them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lancemill.cli.runs import Dataset


def view(
    dataset: Dataset,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=500, help="How many.")] = 24,
    start: Annotated[int, typer.Option("--start", min=0, help="First row, from 0.")] = 0,
    version: Annotated[int | None, typer.Option("--version", help="Of the dataset.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Contact sheet to write: .html or .png."),
    ] = None,
) -> None:
    """Show rows: a table here, and a contact sheet of their pictures in a file."""
    from lancemill.cli.told import telling

    with telling():
        from lancemill.report.lines import rich_console
        from lancemill.report.sheet import make_sheet, terminal_table, write_sheet
        from lancemill.tables.rows import read_rows

        table, about = read_rows(dataset, start=start, rows=rows, version=version)
        name = Path(dataset.rstrip("/")).name
        sheet = make_sheet(table, name, about, first_row=start)
        import sys

        rich_console(sys.stdout).print(terminal_table(sheet))
        if any(card.pictures for card in sheet.cards):
            place = output or Path(f"{name}.html")
            write_sheet(sheet, place)
            typer.echo(f"pictures: {place}")
