"""What a node cannot do of its part of a run: import, read the source, write, get the models.

Runs on the node, before rows do. Everything is tried, so that all that is wrong is told at once;
nothing is written but one small object beside the run's ledger, which is removed again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lancemill.code.provide import provide
from lancemill.engine.ray.agreement import SAME_IMAGE, Problem
from lancemill.engine.ray.brief import Brief
from lancemill.engine.ray.models import on_this_node
from lancemill.errors import LancemillError, PlanError
from lancemill.ops import udf
from lancemill.ops.entrypoint import Code, load
from lancemill.ops.onnx_model import Model, ModelError, read
from lancemill.ops.operation import WorkerContext
from lancemill.plan.build import parts_of
from lancemill.plan.step import Part
from lancemill.sinks import open_sink
from lancemill.sinks.sink import Sink
from lancemill.sources import open_source
from lancemill.sources.source import Shard
from lancemill.storage import (
    explain,
    is_local,
    local_path,
    open_store,
    probe_conditional_put,
    scheme_of,
)
from lancemill.storage.uris import BUCKET_SCHEMES

EVERYWHERE = "use a store, or a volume that head and workers share"
SAME_CODE = "put it into the image of every group, or into spec.code"
INSTALLED = "put it into the image, or into spec.requirements"
NEEDS: Mapping[str, Sequence[str]] = {
    "decode": ("simplejpeg", "PIL"),
    "resize": ("PIL",),
    "encode": ("simplejpeg", "PIL"),
    "sql": ("duckdb",),
    "infer": ("onnxruntime",),
}
"""Modules that operations import once they are at work."""


def problems(brief: Brief, part: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What is wrong here for the part of the run that `part` names; see `preflight.part_of`. Each
    with its remedy, and whether another attempt would meet it too."""
    mine = [one for one in parts_of(brief.pipeline) if one.place.stage in part["stages"]]
    checks = [partial(_imported, one) for one in mine]
    checks += [partial(_model, brief, one) for one in mine]
    if any(one.operation == "udf" for one in mine):
        checks.append(partial(_functions, brief, mine))
    if part["first"] is not None:
        checks.append(partial(_read, brief, part["first"]))
    if part["ledger"] is not None:
        checks.append(partial(_written, brief, part["ledger"]))
    found = [problem for check in checks for problem in _tried(check)]
    return [(one.message, one.remedy, one.final) for one in found]


def made_ready(brief: Brief, part: Mapping[str, Any]) -> list[str]:
    """Gets the user's code and packages, where the part calls it; what took time, in words."""
    stages = [stage for stage in brief.pipeline.spec.stages if stage.name in part["stages"]]
    if not any(stage.udf is not None for stage in stages):
        return []
    try:
        return list(provide(brief.pipeline.spec, brief.base, brief.code_sha256).notes)
    except LancemillError:
        return []  # `problems` meets it again, and tells


def _tried(check: Callable[[], Problem | None]) -> list[Problem]:
    """What a check finds, or raises."""
    try:
        found = check()
    except LancemillError as error:
        found = Problem(str(error), error.remedy, error.final)
    except Exception as error:
        found = Problem(_words(error), final=False)
    return [] if found is None else [found]


# -- imports


def _imported(part: Part) -> Problem | None:
    for name in NEEDS.get(part.operation, ()):
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = f"stage {part.place.stage} needs {name}, which cannot be imported: {error}"
            return Problem(message, SAME_IMAGE)
    return None


def _functions(brief: Brief, parts: Sequence[Part]) -> Problem | None:
    """The first of the user's functions that is not there, or not as it was planned with."""
    code = provide(brief.pipeline.spec, brief.base, brief.code_sha256)
    context = WorkerContext(base=brief.base, code=code.folder, code_sha256=code.sha256)
    found = (_function(brief, part, context) for part in parts if part.operation == "udf")
    return next((one for one in found if one is not None), None)


def _function(brief: Brief, part: Part, context: WorkerContext) -> Problem | None:
    entrypoint, planned = part.spec.entrypoint, brief.resolved.get(part.place.stage)
    stage = f"stage {part.place.stage}: {entrypoint}"
    try:
        here = udf.resolve(part.spec, context, part.place)
        if isinstance(planned, Code) and here.sha256 != planned.sha256:
            return Problem(f"{stage} is other code here than on the driver", SAME_CODE)
        load(entrypoint, context.entrypoints)
    except PlanError as error:
        return Problem(f"{stage}: {error.mistakes[0].message}", SAME_CODE)
    except Exception as error:
        return Problem(f"{stage} cannot be imported: {_words(error)}", INSTALLED)
    return None


# -- models


def _model(brief: Brief, part: Part) -> Problem | None:
    """A remote one is fetched, as the node's workers will need it anyway."""
    model = brief.resolved.get(part.place.stage)
    if not isinstance(model, Model):
        return None
    try:
        here = on_this_node(model)
        found = read(here.place, here.storage).sha256
    except ModelError as error:
        return Problem(f"stage {part.place.stage}: {error}", EVERYWHERE)
    if found == model.sha256:
        return None
    message = f"{here.place} has SHA-256 {found} here, {model.sha256} on the driver"
    return Problem(f"stage {part.place.stage}: {message}", EVERYWHERE)


# -- source and sink


def _read(brief: Brief, first: int) -> Problem | None:
    """A row of the source; where rows name objects, also the first byte of its object."""
    spec = brief.pipeline.spec
    sink = _sink(brief)
    source = open_source(
        spec.source,
        base=brief.base,
        with_row_id=sink.needs_row_id,
        ledger_storage=sink.storage,
        only_missing=sink.only_missing,
    )
    column = "uri" if spec.source.objects is not None else brief.source.names[0]
    row = Shard(0, first, first + 1, 1)
    snapshot = source.open_snapshot(dict(brief.snapshot))
    batches = [batch for batch in snapshot.read(row, [column], 1, 1 << 20) if len(batch)]
    if spec.source.objects is None or not batches:
        return None
    uri = batches[0].column(column)[0].as_py()
    return _local_object(uri) if is_local(uri) else _object(uri, spec.source.objects.storage)


def _local_object(uri: str) -> Problem | None:
    """That a file is gone is its row's fault; that there is not even its folder is not."""
    folder = local_path(uri).parent
    return None if folder.is_dir() else Problem(f"there is no folder {folder} here", EVERYWHERE)


def _object(uri: str, storage: Any) -> Problem | None:
    import obstore

    if scheme_of(uri) not in BUCKET_SCHEMES:
        return None  # of a web server, each row tells its own story
    place = open_store(uri, storage)
    try:
        obstore.get_range(place.store, place.path, start=0, length=1)
    except FileNotFoundError:
        return None
    except (obstore.exceptions.BaseError, OSError, ValueError) as error:
        if "InvalidRange" in str(error) or "Range Not Satisfiable" in str(error):
            return None  # an object of no bytes
        raise explain(error, uri) from error
    return None


def _written(brief: Brief, ledger: str) -> Problem | None:
    """Beside the ledger, never in the dataset; and the ledger must be the driver's."""
    folder = open_store(ledger, _sink(brief).storage)
    if folder.get("run.json") is None:
        return Problem(f"the run's ledger is not to be seen here: {folder.uri}", EVERYWHERE)
    if not probe_conditional_put(folder):
        return Problem(f"{folder.uri}: the store overwrites where it is asked not to")
    return None


def _sink(brief: Brief) -> Sink:
    return open_sink(brief.pipeline.spec.sink, brief.datasets, base=brief.base)


def _words(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
