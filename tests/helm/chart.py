"""The chart as tests handle it: rendered by a given helm, changed in a copy."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kube.binaries import ROOT, find_binaries
from kube.rest import Object, resource

CHART = ROOT / "helm" / "lancemill"
RELEASE = "lancemill"
SYSTEM = "lancemill-system"

Values = Mapping[str, Any]


class Failed(Exception):
    """What helm said on its standard error."""


@dataclass(frozen=True)
class Helm:
    """A helm of one major version, away from the settings of whoever runs the tests."""

    program: str
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str, values: Values | None = None, timeout: float = 100) -> str:
        """Its standard output. Raises Failed with its standard error."""
        with tempfile.TemporaryDirectory(prefix="lancemill-helm-") as home:
            command = [self.program, *arguments]
            if values is not None:
                path = Path(home) / "values.json"
                path.write_text(json.dumps(values))
                command += ["--values", str(path)]
            done = subprocess.run(
                command,
                env=self._environment(home),
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def template(
        self,
        values: Values | None = None,
        *arguments: str,
        chart: Path = CHART,
        namespace: str = SYSTEM,
    ) -> list[Object]:
        """Every object that the chart renders."""
        command = ("template", RELEASE, str(chart), "--namespace", namespace, *arguments)
        text = self(*command, values=values or {})
        return [one for one in yaml.load_all(text, Loader=yaml.CSafeLoader) if one is not None]

    def _environment(self, home: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("HELM_") and name != "KUBECONFIG"
        }
        where = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig is not None else {}
        # Without a limit of its own helm asks the API server five times a second.
        return {**kept, "HOME": home, "HELM_QPS": "200", "HELM_BURST_LIMIT": "400", **where}


def find_helm(version: str, kubeconfig: Path | None = None) -> Helm:
    """helm3 or helm4, where it was built. Raises Missing."""
    return Helm(find_binaries(version).path(version), kubeconfig)


def only(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """The one object of that kind (and name)."""
    found = [
        one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} (name {name})"
    return found[0]


_PLURALS = {"NetworkPolicy": "networkpolicies"}


def path_of(one: Object) -> str:
    """Where the API server holds this object, of a kind that the chart makes."""
    plural = _PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
    meta = one["metadata"]
    return resource(one["apiVersion"], plural, meta.get("namespace"), meta["name"])


@contextlib.contextmanager
def copy_of_chart() -> Iterator[Path]:
    """The chart in a folder that a test may change."""
    with tempfile.TemporaryDirectory(prefix="lancemill-chart-") as folder:
        yield Path(shutil.copytree(CHART, Path(folder) / "lancemill"))
