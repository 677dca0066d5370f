"""Our images: which Dockerfile, under which name."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

from e2e.cache import ROOT


def version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def ray_version(lock: str = "runtime") -> str:
    """The version of Ray in the runtime image; KubeRay wants to be told."""
    found = re.search(r"^ray==([\d.]+)", (ROOT / "locks" / f"{lock}.txt").read_text(), re.MULTILINE)
    assert found is not None, f"locks/{lock}.txt has no Ray"
    return found[1]


@dataclass(frozen=True)
class Image:
    name: str
    reference: str
    arguments: dict[str, str] = field(default_factory=dict)

    @property
    def dockerfile(self) -> str:
        """Relative to the root."""
        return f"images/{self.name}/Dockerfile"


RUNTIME = Image("runtime", f"lancemill/runtime:{version()}")
OPERATOR = Image("operator", f"lancemill/operator:{version()}")
S3 = Image("s3", f"lancemill/e2e-s3:{version()}")
IMAGES = (OPERATOR, S3, RUNTIME)
