"""Where errors of ours end: told in one line, with the exit status of their kind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer


@contextmanager
def telling(as_json: bool = False) -> Iterator[None]:
    """Turns an error of ours into its line and exit status; `--debug` gives the traceback."""
    from lancemill.errors import LancemillError

    try:
        yield
    except KeyboardInterrupt:
        typer.echo("■ stopped", err=True)
        raise typer.Exit(130) from None
    except LancemillError as error:
        if os.environ.get("LANCEMILL_DEBUG"):
            raise
        from lancemill.cli.complaints import print_error

        print_error(error, as_json=as_json)
        raise typer.Exit(error.exit_status) from None
