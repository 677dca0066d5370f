"""`python -m benchmarks.on_ray`: Lancemill, its peers and bare tasks on Ray; see README.md."""

from __future__ import annotations

import sys

from benchmarks.__main__ import main
from benchmarks.on_ray.goals import GOALS
from benchmarks.on_ray.suite import GROUPS

if __name__ == "__main__":
    sys.exit(main(GROUPS, GOALS, __doc__))
