"""Daft's own image functions: download, decode, resize, write_lance.

Tuned: `into_batches` before the decode, which keeps few full-size pictures in memory at once.
Without `--batch` it is what a first user writes. Behind a device, the model is a class UDF. The
first query of a process takes a second whatever it does, so one picture goes through beforehand.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks import case
from benchmarks.corpus import paths


def prepare(given: Namespace) -> case.Job:
    import daft
    import lance
    from daft import DataType, col
    from daft.functions import decode_image, download, resize

    if given.ray:
        case.start_ray()
        daft.set_runner_ray()
    else:
        daft.set_runner_native()

    @daft.cls(max_concurrency=1, use_process=False)
    class Model:
        @daft.method.batch(  # type: ignore[untyped-decorator, unused-ignore]
            return_dtype=DataType.float32(), batch_size=32
        )
        def score(self, images: daft.Series) -> Any:
            import numpy as np

            from benchmarks.device import infer

            return infer(np.stack(images.to_pylist()))

    def write(keys: list[str], uri: str) -> int:
        rows = daft.from_pydict({"key": keys})
        if given.batch:
            rows = rows.into_batches(given.batch)
        fetched = download(col("key"), max_connections=given.connections)
        image = resize(decode_image(fetched, mode="RGB"), case.SIDE, case.SIDE)
        rows = rows.with_column("image", image)
        if given.device:
            rows = rows.with_column("score", Model().score(rows["image"]))
        rows.write_lance(uri, mode="create")
        return int(lance.dataset(uri).count_rows())

    keys = given.urls.read_text().split() if given.urls else list(map(str, paths(given.input)))
    write(keys[:1], str(given.out / "warm.lance"))
    return lambda: write(keys, case.dataset(given.out))


if __name__ == "__main__":
    arguments = case.parser(__doc__)
    arguments.add_argument("--batch", type=int, default=0, help="into_batches; 0: not called")
    arguments.add_argument("--connections", type=int, default=32, help="of the download")
    arguments.add_argument("--urls", type=Path, help="file of urls to fetch")
    arguments.add_argument("--ray", action="store_true", help="on Ray (a local one)")
    case.main(prepare, arguments)
