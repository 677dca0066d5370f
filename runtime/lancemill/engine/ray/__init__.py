"""The Ray engine: the streaming worker of `engine/worker.py` in many processes on many machines.

    engine.py    the driver's loop: what is to do, who does it, what came of it
    crew.py      the worker actors, and the shards that are leased to them
    cluster.py   which Ray, what it has, and how much of it a pool may get
    pools.py     which steps run together, and what they ask of a node            (pure)
    shards.py    what is known of each shard: its deaths, what was charged for it  (pure)
    balance.py   how many workers, how many streams each                           (pure)
    preflight.py whether every group can do its part, before rows; asked.py and reach.py run on
                 the nodes, units.py and agreement.py say what is asked and what must agree (pure)
    brief.py     all that a worker needs to know, small; opened.py is what it makes of it
    owner.py     a worker: owns shards, from their rows to their fragments
    feed.py      rows from the segment before, by streaming-generator tasks; blocks.py is how
    careful.py   a shard that kills its workers, in a process of its own, row by row
    counts.py    counters on their way to the driver
    told.py      errors on their way to the driver

`ray` is imported here and nowhere else. docs/decisions/0021-ray-engine.md tells why it is so.
"""
