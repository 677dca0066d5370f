"""Lancemill, by its own command line: plan, listing, ledger, run and commit are all in the clock.

Only what a peer's start-up holds too is before it: the import of Lance, of the codecs and of the
product's own modules (those that a manifest asks for are imported when it is planned, so it is
planned once), and Ray's start where it runs on Ray. Its workers start within the clock.
"""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from pathlib import Path

from benchmarks import case

MANIFESTS = Path(__file__).parents[1] / "manifests"


def prepare(given: Namespace) -> case.Job:
    import duckdb  # noqa: F401
    import lance
    import simplejpeg  # noqa: F401

    import lancemill.engine.session  # noqa: F401
    from lancemill.cli.main import main
    from lancemill.engine.prepare import prepare_job
    from lancemill.manifest import load

    if given.engine == "ray":
        case.start_ray(gpus=1 if given.manifest else 0)

    uri = case.dataset(given.out.resolve())
    overrides = [f"spec.sink.lance.uri={uri}", *source(given)]
    usual = "http" if given.urls else "device" if given.device else "decode"
    manifest = MANIFESTS / f"{given.manifest or usual}.yaml"
    prepare_job(load(manifest, overrides).job())
    sets = [word for one in overrides for word in ("--set", one)]
    sys.argv = ["lancemill", "run", str(manifest), *sets, "--json"]
    sys.argv += ["--engine", "ray"] if given.engine == "ray" else []

    def job() -> int:
        # The last line of standard output is the case's own.
        with contextlib.redirect_stdout(sys.stderr):
            try:
                main()
            except SystemExit as end:
                if end.code:
                    raise
        return int(lance.dataset(uri).count_rows())

    return job


def source(given: Namespace) -> list[str]:
    """Where the manifest's source lies."""
    if not given.urls:
        return [f"spec.source.objects.uri={given.input.resolve()}"]
    table = given.out / "urls.jsonl"
    table.write_text(
        "".join(f"{json.dumps({'key': url})}\n" for url in given.urls.read_text().split())
    )
    return [f"spec.source.table.uri={table.resolve()}"]


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--urls", type=Path, help="file of urls to fetch")
    arguments.add_argument("--engine", choices=["local", "ray"], default="local")
    arguments.add_argument("--manifest", help="another one of `manifests/`, with a group of GPUs")
    case.main(prepare, arguments)
