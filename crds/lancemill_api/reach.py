"""Places that no pod of a run can reach, told from the manifest alone.

A local run starts relative paths at the manifest's folder. In a cluster that folder is a ConfigMap:
nothing else lies there, nothing can be written there, and whatever else a pod writes outside of a
volume is gone with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lancemill_api.cluster import Placed
from lancemill_api.dataset import LanceDataset
from lancemill_api.mistakes import Mistake
from lancemill_api.pipeline import MultimodalPipeline

STORE = "s3://…"
ON_A_VOLUME = f"{STORE} or an absolute path on a volume of cluster.workerGroups[].volumes"


def mistakes(pipeline: MultimodalPipeline) -> tuple[Mistake, ...]:
    """Paths of a pipeline that no pod of its run has, or that would go with the pod."""
    return (*_read(pipeline), *_code(pipeline), *_written(pipeline))


def mistakes_of_dataset(dataset: LanceDataset) -> tuple[Mistake, ...]:
    """A dataset of a cluster lies in a store: many pods write to it, and probes look at it."""
    path = local_path(dataset.spec.uri)
    if path is None:
        return ()
    kind = "a path" if path.startswith("/") else "a relative path"
    message = f"is {kind}, '{dataset.spec.uri}': no pod has it; expected {STORE}"
    return (Mistake("spec.uri", message),)


def local_path(uri: str) -> str | None:
    """The path that a URI without a store names, as it is written; None of any other."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://").removeprefix("localhost")
    return None if "://" in uri else uri


def _read(pipeline: MultimodalPipeline) -> Iterator[Mistake]:
    """What is read may lie in the image; relative paths lie nowhere."""
    kind, source = pipeline.spec.source.given
    uris = [(f"spec.source.{kind}.uri", source.uri)]
    uris += [
        (f"spec.stages[{index}].infer.model.uri", stage.infer.model.uri)
        for index, stage in enumerate(pipeline.spec.stages)
        if stage.infer is not None
    ]
    for place, uri in uris:
        path = local_path(uri)
        if path is not None and not path.startswith(("/", "~")):
            yield _relative(place, uri)


def _code(pipeline: MultimodalPipeline) -> Iterator[Mistake]:
    """Functions that are files lie in spec.code, else nowhere."""
    code = pipeline.spec.code
    if code is not None:
        yield from () if code.uri is None else _packaged(code.uri)
        return
    for index, stage in enumerate(pipeline.spec.stages):
        module = "" if stage.udf is None else stage.udf.entrypoint.rpartition(":")[0]
        if module.endswith(".py") and not module.startswith("/"):
            yield Mistake(
                f"spec.stages[{index}].udf.entrypoint",
                f"is a file beside the manifest, '{module}': a pod has no such file; expected "
                "spec.code (`lancemill package` makes it), a module of the image such as "
                "my.module:function, or an absolute path",
            )


def _packaged(uri: str) -> Iterator[Mistake]:
    path = local_path(uri)
    if path is not None and not path.startswith("/"):
        message = f"is a relative path, '{uri}': a pod has no such file; expected {STORE}"
        yield Mistake("spec.code.uri", message)


def _written(pipeline: MultimodalPipeline) -> Iterator[Mistake]:
    kind, sink = pipeline.spec.sink.given
    uri, place = sink.uri, f"spec.sink.{kind}.uri"
    path = None if uri is None else local_path(uri)
    if uri is None or path is None:
        return
    if not path.startswith("/"):
        yield _relative(place, uri)
    elif not any(_is_below(path, mount) for mount in _mounts(pipeline)):
        yield Mistake(
            place,
            f"is '{uri}', which lies on no volume: it would be gone with the pod; expected "
            f"{ON_A_VOLUME}",
        )


def _mounts(pipeline: MultimodalPipeline) -> Iterator[str]:
    cluster = pipeline.spec.cluster
    pods: tuple[Placed, ...] = () if cluster is None else (cluster.head, *cluster.worker_groups)
    for pod in pods:
        yield from (mount.mount_path for mount in pod.volume_mounts)


def _is_below(path: str, folder: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def _relative(place: str, uri: str) -> Mistake:
    return Mistake(
        place,
        f"is a relative path, '{uri}': a pod has no such folder; expected {ON_A_VOLUME}",
    )
