"""`lancemill package`: local code into a zip, uploaded, its address and hash in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lancemill.cli.plan import Which
from lancemill.cli.validate import Json, Manifest

if TYPE_CHECKING:
    from lancemill.manifest import Job

UNKNOWN = "0" * 64
"""In place of a hash that is not known yet."""


def package(
    manifest: Manifest,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="URI", help="Where the zip goes: a folder or a name. Default: code.uri."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where imports begin. Default: the manifest's folder."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option("--include", metavar="PATTERN", help="Files beside Python's, as data/*.json."),
    ] = None,
    pipeline: Which = None,
    write: Annotated[
        bool, typer.Option("--write", help="Fill code.uri and code.sha256 in, in the file itself.")
    ] = False,
    json: Json = False,
) -> None:
    """Zip local code, upload it, and fill code.uri and code.sha256 in."""
    from lancemill.cli.told import telling
    from lancemill.code import packaging
    from lancemill.code.fill_in import filled

    with telling(json):
        text = _text(manifest)
        place, job = _asked(text, manifest, to, pipeline)
        spec = job.pipeline.spec
        made = packaging.packed((folder or job.base).resolve(), include or ())
        packaging.check_entrypoints(job.pipeline, made)
        uri = packaging.address(place, job.pipeline.name, made.sha256)
        storage = spec.code.storage if spec.code is not None else None
        new = packaging.upload(made, uri, storage, job.base)
        changed = filled(text, pipeline, uri, made.sha256)
        written = write and changed != text
        if written:
            _replace(manifest, changed)
        if json:
            import json as encoder

            told = {"uri": uri, "sha256": made.sha256, "files": list(made.files)}
            more = {"bytes": len(made.content), "uploaded": new, "written": written}
            typer.echo(encoder.dumps(told | more))
            return
        did = "uploaded to" if new else "is there already:"
        size = f"{len(made.files)} files, {len(made.content) / 1024:.0f} KiB"
        typer.echo(f"{size}, {did} {uri}", err=True)
        if write:
            typer.echo(f"{manifest}: {'filled in' if written else 'is right already'}", err=True)
        else:
            typer.echo(f"code:\n  uri: {uri}\n  sha256: {made.sha256}")


def _asked(text: str, manifest: Path, to: str | None, pipeline: str | None) -> tuple[str, Job]:
    """Where the zip goes, and the manifest as it will be, but for the hash."""
    from yaml import YAMLError

    from lancemill.code.fill_in import NoPlace, filled, written
    from lancemill.errors import ManifestError, Mistake
    from lancemill.manifest import load, load_text

    try:
        place = to or written(text, pipeline).uri
        if place is None:
            message = "has no uri; give --to URI, such as --to s3://bucket/code/"
            raise ManifestError([Mistake("spec.code", message)], str(manifest))
        text = filled(text, pipeline, place, UNKNOWN)
    except (NoPlace, YAMLError) as error:
        load(manifest).job(pipeline)  # tells better what is wrong
        raise ManifestError([Mistake("spec.code", str(error))], str(manifest)) from None
    loaded = load_text(text, source=str(manifest), base=manifest.absolute().parent)
    return place, loaded.job(pipeline)


def _text(manifest: Path) -> str:
    """As it is written, line ends too."""
    from lancemill.errors import ManifestError, Mistake

    try:
        return manifest.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ManifestError([Mistake("", f"cannot be read: {why}")], str(manifest)) from None


def _replace(manifest: Path, text: str) -> None:
    """All of it or nothing."""
    manifest = manifest.resolve()
    begun = manifest.with_name(f".{manifest.name}.new")
    begun.write_bytes(text.encode("utf-8"))
    begun.chmod(manifest.stat().st_mode & 0o777)
    begun.replace(manifest)
