"""The entry point: registers the commands, each in a module of its own.

Only typer is imported before a command runs; what a command needs, its function imports.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lancemill.cli import (
    doctor,
    init,
    package,
    plan,
    probe,
    quarantine,
    run,
    runs,
    show,
    validate,
    view,
)
from lancemill.cli.cluster import cancel, logs, rerun, status, submit

STOPPED = (130, 4)
"""Exit statuses of what was stopped: on request, by a limit."""

app = typer.Typer(
    name="lancemill",
    help="From one manifest to a curated Lance dataset.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(init.init)
app.command()(validate.validate)
app.command()(plan.plan)
app.command()(run.run)
app.command()(package.package)
app.command()(runs.runs)
app.command()(show.show)
app.command()(view.view)
app.add_typer(quarantine.app, name="quarantine")
app.command()(submit.submit)
app.command()(status.status)
app.command()(logs.logs)
app.command()(cancel.cancel)
app.command()(rerun.rerun)
app.command()(doctor.doctor)
app.add_typer(probe.app, name="probe")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"lancemill {version('lancemill')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks of errors.")] = False,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Version, and exit.")
    ] = False,
) -> None:
    """From one manifest to a curated Lance dataset."""
    if debug:
        os.environ["LANCEMILL_DEBUG"] = "1"


def main() -> None:
    """Run the command line. An error that is none of ours is a bug, and told as one."""
    try:
        app()
    except SystemExit as end:
        if end.code in STOPPED:
            # Threads that still wait for a server would keep the process until it answers.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        raise
    except Exception as error:
        if os.environ.get("LANCEMILL_DEBUG"):
            raise
        if isinstance(error, OSError) and error.strerror:
            # A full disk, a file that may not be written: the machine's, not ours.
            place = f"{error.filename}: " if error.filename else ""
            typer.echo(f"✗ {place}{error.strerror.lower()}", err=True)
            sys.exit(1)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        typer.echo(f"✗ internal error, a bug in Lancemill: {what}", err=True)
        typer.echo("  `lancemill --debug …` gives the traceback to report it with", err=True)
        sys.exit(1)
