"""What is measured on Ray; every case starts a Ray of its own in a process of its own."""

from __future__ import annotations

from benchmarks.corpus import BIG
from benchmarks.suite import DAFT_TUNED, Case, Group

OURS = ("--engine", "ray")
SAME = ("--kernel", "lancemill")
GROUPED = (*OURS, "--manifest", "groups")
SLOW = (*OURS, "--manifest", "slow-group")

GROUPS = (
    Group(
        "daft",
        "on Ray: decode → 224x224 → Lance, from disk",
        BIG,
        2000,
        (
            Case("lancemill", "lancemill", OURS),
            Case("daft-tuned", "daft_native", ("--ray", *DAFT_TUNED)),
            Case("daft-default", "daft_native", ("--ray",)),
        ),
    ),
    Group(
        "long",
        "the same kernel in Ray Data and in bare Ray tasks, the start counted",
        BIG,
        2000,
        (
            Case("lancemill", "lancemill", OURS, times=5),
            Case("bare", "ray_core", SAME, times=5),
            Case("ray-data", "ray_data", ("--read", "paths", "--cold", *SAME), times=5),
        ),
    ),
    Group(
        "groups",
        "decode on CPUs → a device of 500 images/s in a group of its own",
        BIG,
        2000,
        (
            Case("lancemill", "lancemill", GROUPED, times=5),
            Case("one-segment", "lancemill", OURS, times=5, scored=False),
        ),
        device=True,
    ),
    Group(
        "slow",
        "decode on CPUs → a device of 150 images/s in a group of its own",
        BIG,
        2000,
        (Case("lancemill", "lancemill", SLOW, times=5),),
        device=True,
    ),
)
