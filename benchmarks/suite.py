"""What is measured: groups of cases that are compared with each other, interleaved by rounds."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.corpus import BIG, SMALL, Corpus


@dataclass(frozen=True, slots=True)
class Case:
    """One system in one configuration."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    writes: bool = True
    """False: makes no dataset that could be verified."""
    times: int = 1
    """The corpus so many times over."""
    scored: bool = True
    """False: has no device, also where its group has one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Cases on the same input."""

    name: str
    title: str
    corpus: Corpus
    count: int
    cases: tuple[Case, ...]
    device: bool = False
    """The simulated device stands behind decode."""
    http: bool = False
    """The pictures come from a local server with latency."""
    rounds: int = 3
    """How many, where the command line does not say."""


DAFT_TUNED = ("--batch", "4")
OVER_HTTP = (
    Case("lancemill", "lancemill"),
    Case("daft-tuned", "daft_native", ("--batch", "16", "--connections", "64")),
    Case("daft-default", "daft_native"),
)
GROUPS = (
    # The machine's speed changes from one minute to the next by more than what separates pass from
    # fail here: only what runs side by side can tell.
    Group(
        "limit",
        "the limit and Lancemill in turn",
        BIG,
        2000,
        (Case("limit", "limit", writes=False), Case("lancemill", "lancemill")),
        rounds=7,
    ),
    Group(
        "lance",
        "decode → 224x224 → Lance, from disk",
        BIG,
        2000,
        (
            Case("lancemill", "lancemill"),
            Case("threads", "threads", ("--kernel", "lancemill")),
            Case("daft-tuned", "daft_native", DAFT_TUNED),
            Case("daft-default", "daft_native"),
            Case("ray-images", "ray_data"),
            Case("ray-pillow", "ray_data", ("--read", "paths")),
            Case("ray-fast", "ray_data", ("--read", "paths", "--kernel", "fast")),
        ),
    ),
    Group(
        "device",
        "the same with a device of 500 images/s behind it",
        BIG,
        1000,
        (
            Case("lancemill", "lancemill"),
            Case("threads", "threads", ("--kernel", "lancemill")),
            Case("daft-tuned", "daft_native", DAFT_TUNED),
            Case("ray-images", "ray_data"),
        ),
        device=True,
    ),
    Group(
        "staged",
        "against separate processes with LMDB between (Argo-like), the device last",
        BIG,
        1000,
        (
            Case("lancemill", "lancemill"),
            Case("staged-pool", "staged", ("--processes", "2")),
            Case("staged-single", "staged"),
            Case("tensors-pool", "staged", ("--tensors", "--processes", "2")),
            Case("tensors-single", "staged", ("--tensors",)),
        ),
        device=True,
    ),
    Group(
        "http",
        "the same pictures over HTTP with 30 ms latency → Lance",
        BIG,
        2000,
        OVER_HTTP,
        http=True,
    ),
    Group(
        "http-small",
        "small pictures over HTTP with 30 ms latency → Lance",
        SMALL,
        2000,
        OVER_HTTP,
        http=True,
    ),
    Group(
        "memory",
        "peak memory at 2,000 and at 20,000 pictures",
        BIG,
        2000,
        (Case("lancemill", "lancemill"), Case("lancemill-x10", "lancemill", times=10)),
        rounds=1,
    ),
)
