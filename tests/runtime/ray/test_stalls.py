"""A run that waits for workers does not stand still: one whose rows do ends by stallTimeout."""

from __future__ import annotations

from typing import Any

import pytest

from lancemill.engine.ray.cluster import Node
from lancemill.engine.ray.places import Places
from lancemill.engine.ray.pools import Pool

from .given import Place, function, run
from .stage import Stage

NOWHERE = {"group": "not-there-yet", "gpus": 1}
STALL = {"stallTimeout": "2s"}


@pytest.mark.thorough
def test_a_run_that_waits_for_gpu_nodes_does_not_stand_still_and_waits_for_so_long(
    groups: Stage, place: Place
) -> None:
    waits = {**STALL, "startTimeout": "8s"}
    process = groups.start(place.manifest(function("mean", NOWHERE), run=waits))
    out, _ = process.communicate(timeout=250)
    assert process.returncode == 4, out
    assert "there has been no room for the run's workers for" in out
    assert "(spec.run.startTimeout)" in out
    assert "stallTimeout" not in out


@pytest.mark.thorough
def test_a_run_whose_rows_stand_still_on_workers_ends(local_ray: Any, place: Place) -> None:
    place.kills("p105.png")
    told = run(place.manifest(function("hangs"), run=STALL))
    assert told.status == 4, told.out
    assert "no row has moved for" in told.summary["message"]
    assert "stage 'mean' (udf)" in told.summary["message"]
    assert told.summary["end"] == "resumable"


class Crew:
    """Workers, as far as it matters here."""

    def __init__(self, *members: Any, ready: int = 0, alone: int = 0) -> None:
        self.members, self.ready, self.alone = members, members[:ready], [None] * alone


class Actor:
    """One that does nothing."""


class Member:
    """A worker that Ray has placed, or not."""

    def __init__(self, local_ray: Any, placed: bool) -> None:
        asked = {} if placed else {"nowhere": 1}
        self.actor = local_ray.remote(num_cpus=0, resources=asked)(Actor).remote()


NODE = Node("n", {"CPU": 2.0}, {})
CPUS, GPUS = Pool("a", 0, 1), Pool("b", 1, 2, gpus=1.0)


def lacking(crew: Crew, *pools: Pool) -> bool:
    return Places().lacking(pools, [NODE], crew)  # type: ignore[arg-type]


def test_workers_are_lacking_where_a_pool_has_no_node() -> None:
    assert lacking(Crew("ready", ready=1), CPUS, GPUS)
    assert not lacking(Crew("ready", ready=1), CPUS)
    assert not lacking(Crew(alone=1), CPUS)


def test_workers_are_lacking_as_long_as_none_has_a_process(local_ray: Any) -> None:
    pending, placed = Member(local_ray, placed=False), Member(local_ray, placed=True)
    try:
        local_ray.get(placed.actor.__ray_ready__.remote())
        places, crew = Places(), Crew(pending, placed)
        while places.lacking([CPUS], [NODE], crew):  # type: ignore[arg-type]
            pass  # until the answer is there
        assert lacking(Crew(pending), CPUS)
        assert lacking(Crew(), CPUS)
    finally:
        local_ray.kill(pending.actor)
        local_ray.kill(placed.actor)
