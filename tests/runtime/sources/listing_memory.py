"""Lists made-up keys and prints the peak memory of this process in bytes."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator

import pyarrow as pa

from lancemill.sources.listing import Found
from lancemill.sources.objects import ObjectSource


def keys(count: int) -> Iterator[Found]:
    for n in range(count):
        yield Found(f"folder-{n // 1000:06d}/picture-number-{n:09d}.jpg", n % 1000, n, f"etag-{n}")


if __name__ == "__main__":
    pa.set_memory_pool(pa.system_memory_pool())
    count, folder = int(sys.argv[1]), sys.argv[2]
    source = ObjectSource("made up", lambda: keys(count), lambda key: f"s3://made-up/{key}")
    snapshot = source.take_snapshot(folder)
    assert snapshot.rows == count
    assert sum(shard.rows for shard in snapshot.shards(100_000)) == count
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else peak * 1024)
