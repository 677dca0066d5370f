"""`python -m benchmarks.ray`: Lancemill on Ray, its peers on Ray, and bare Ray; see README.md."""

from __future__ import annotations

import sys

from benchmarks.__main__ import main
from benchmarks.ray.goals import GOALS
from benchmarks.ray.suite import GROUPS

if __name__ == "__main__":
    sys.exit(main(GROUPS, GOALS, __doc__))
