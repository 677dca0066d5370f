"""Ray Data, as a good user writes it: decode and resize in parallel, each task writes its fragment,
the driver commits once. Pixels never come back to the driver.

`--read images` uses `ray.data.read_images`; `--read paths` maps over paths with a kernel of one's
own: `pillow` as most would write it, `fast` to show what Lancemill's kind of kernel gains there.
Behind a device, the model is a pool of one actor that takes no CPU slot. The first dataset of a
session takes a second whatever it does, so a tiny one goes through beforehand.
"""

from __future__ import annotations

import pickle
from argparse import Namespace
from typing import Any

import numpy as np

from benchmarks import case
from benchmarks.corpus import paths

Batch = dict[str, Any]


class Decode:
    """Paths to pictures, by a kernel of one's own; as a function, so that Ray fuses it."""

    def __init__(self, kernel: str) -> None:
        self.kernel = kernel

    def __call__(self, batch: Batch) -> Batch:
        import cv2

        from benchmarks.kernel import KERNELS

        cv2.setNumThreads(1)
        kernel = KERNELS[self.kernel]
        out = np.empty((len(batch["path"]), case.SIDE, case.SIDE, 3), np.uint8)
        for row, path in enumerate(batch["path"]):
            with open(path, "rb") as file:  # noqa: PTH123
                out[row] = kernel(file.read())
        return {"path": batch["path"], "image": out}


class WriteFragment:
    """Pictures to a Lance fragment; only its metadata goes on."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def __call__(self, batch: Batch) -> Batch:
        import pyarrow as pa
        from lance.fragment import write_fragments

        from benchmarks import rows

        keys = rows.names(list(batch["path"]))
        one = rows.batch(keys, batch["image"], batch.get("score"))
        made = write_fragments(pa.Table.from_batches([one]), self.uri, mode="create")
        return {"fragment": np.array([pickle.dumps(item) for item in made], dtype=object)}


class Model:
    """The simulated device, as an actor."""

    def __call__(self, batch: Batch) -> Batch:
        from benchmarks.device import infer

        return {**batch, "score": infer(batch["image"])}


def prepare(given: Namespace) -> case.Job:
    import lance
    import ray
    import ray.data

    from benchmarks import rows

    case.start_ray()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False

    def pictures(files: list[str], blocks: int | None) -> Any:
        if given.read == "images":
            size = (case.SIDE, case.SIDE)
            return ray.data.read_images(
                files, size=size, mode="RGB", include_paths=True, override_num_blocks=blocks
            )
        items = [{"path": one} for one in files]
        found = ray.data.from_items(items, override_num_blocks=blocks)
        return found.map_batches(call(Decode(given.kernel)), batch_size=given.rows)

    def write(files: list[str], uri: str, blocks: int | None) -> int:
        data = pictures(files, blocks)
        if given.device:
            pool = ray.data.ActorPoolStrategy(size=1)
            data = data.map_batches(Model, batch_size=32, compute=pool, num_cpus=0)
        data = data.map_batches(call(WriteFragment(uri)), batch_size=given.rows)
        fragments = [pickle.loads(row["fragment"]) for row in data.take_all()]
        made = lance.LanceOperation.Overwrite(rows.schema(given.device), fragments)
        return int(lance.LanceDataset.commit(uri, made).count_rows())

    files = list(map(str, paths(given.input)))
    if not given.cold:
        write(files[: 4 * case.cores()], str(given.out / "warm.lance"), case.cores())
    return lambda: write(files, case.dataset(given.out), given.blocks or None)


def call(function: Any) -> Any:
    """As a plain function: an object with `__call__` Ray would take for an actor."""
    return lambda batch: function(batch)


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--read", choices=["images", "paths"], default="images")
    arguments.add_argument("--kernel", choices=["fast", "lancemill", "pillow"], default="pillow")
    arguments.add_argument("--rows", type=int, default=64, help="rows of a fragment")
    arguments.add_argument("--cold", action="store_true", help="no tiny dataset beforehand")
    arguments.add_argument("--blocks", type=int, default=0, help="blocks of the source; 0: Ray's")
    case.main(prepare, arguments)
