"""`lancemill logs`: what a run, its workers or its probes have written."""

from __future__ import annotations

from typing import Annotated

import typer

from lancemill.cli.cluster.options import Context, Name, Namespace


def logs(
    name: Name,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Of the workers of this group, or of `head`: Ray's own log."),
    ] = None,
    attempt: Annotated[
        int | None, typer.Option("--attempt", min=1, help="Default: the latest.")
    ] = None,
    previous: Annotated[
        bool,
        typer.Option("--previous", "-p", help="With --group: from before the last restart."),
    ] = False,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            metavar="settle|dataset",
            help="Of the Job that asked what came of the run, or that looked at its dataset.",
        ),
    ] = None,
    context: Context = None,
    namespace: Namespace = None,
) -> None:
    """Print the log of a run: of its driver, its workers or its probes."""
    from lancemill.cli.told import telling

    if probe not in (None, "settle", "dataset"):
        raise typer.BadParameter("is settle or dataset", param_hint="--probe")
    if previous and group is None:
        raise typer.BadParameter("needs --group", param_hint="--previous")
    if probe is not None and (group is not None or attempt is not None):
        raise typer.BadParameter("goes without --group and --attempt", param_hint="--probe")
    with telling():
        from lancemill.cli.cluster import podlogs
        from lancemill.cli.cluster.connection import connect
        from lancemill.cli.cluster.driverlog import print_driver_log
        from lancemill.cli.cluster.pods import of_attempt, of_probe

        with connect(context, namespace) as api:
            if probe is not None:
                podlogs.print_logs(api, lambda: of_probe(api, name, probe), follow=follow)
            elif group is None:
                print_driver_log(api, name, attempt, follow=follow)
            else:
                podlogs.print_logs(
                    api,
                    lambda: of_attempt(api, name, attempt, group),
                    follow=follow,
                    previous=previous,
                )
