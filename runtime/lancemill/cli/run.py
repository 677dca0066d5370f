"""`lancemill run`: the manifest done, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lancemill.cli.plan import Which
from lancemill.cli.validate import Json, Manifest, Set


def run(
    manifest: Manifest,
    set_: Set = None,
    pipeline: Which = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with an earlier run.")
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", help="Id of the run; one that exists is gone on with."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the source's first rows.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=1,
            help="So many rows from all over the source, without changing the dataset; "
            "tells rate and estimate.",
        ),
    ] = None,
    shard_bytes: Annotated[
        str | None,
        typer.Option(
            "--shard-bytes",
            metavar="SIZE",
            help="Source bytes in a shard, as 64Mi: what a run that dies has to do again.",
        ),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            min=1,
            help="For operators, with --run-id: number of the attempt that was ordered. A higher "
            "one takes the run over at once; a lower one does nothing and exits with 3.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write the run's page here too.")
    ] = None,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="The closing lines only.")] = False,
) -> None:
    """Run a pipeline on this machine."""
    from lancemill.cli.told import telling
    from lancemill.engine.request import RunOptions
    from lancemill.engine.session import run_job
    from lancemill.manifest import load
    from lancemill.report.console import Console

    if epoch is not None and run_id is None:
        raise typer.BadParameter("needs --run-id", param_hint="--epoch")
    options = RunOptions(
        run=resume or run_id,
        resume=resume is not None,
        limit=limit,
        sample=sample,
        shard_bytes=_size(shard_bytes),
        epoch=epoch or 0,
    )
    console = Console("json" if json else "quiet" if quiet else "auto")
    with telling(json), console:
        job = load(manifest, set_ or ()).job(pipeline)
        summary = run_job(job, options, console, page=report)
        console.stop(summary)
    raise typer.Exit(summary.exit_status)


def _size(text: str | None) -> int | None:
    from lancemill_api.quantities import byte_size

    if text is None:
        return None
    try:
        return byte_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard-bytes") from None
