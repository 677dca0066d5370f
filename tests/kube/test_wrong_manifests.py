"""A table of wrong manifests: refused at apply, or by the operator, each with what would be right.

The head of each file in `wrong/` says by whom and in which words:

    # refused: part of what kubectl apply says        (schema or CEL, by the API server)
    # Accepted: part of a condition's message         (that condition is False, by the operator)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from kube.binaries import Missing, kuberay_data
from kube.conftest import missing
from kube.control_plane import ControlPlane
from kube.kubectl import Kubectl
from kube.namespaces import fresh_namespace
from kube.operator_process import operator
from kube.rest import Object, resource

FOLDER = Path(__file__).parent / "wrong"
API = "lancemill.dev/v1alpha1"
SECONDS = 120
AT_ONCE = 4


@dataclass(frozen=True)
class Wrong:
    """One file: the manifest, who refuses it, and parts of what is said."""

    document: Object
    by: str
    words: tuple[str, ...]

    @property
    def path(self) -> tuple[str, str]:
        """Plural and name."""
        return f"{self.document['kind'].lower()}s", self.document["metadata"]["name"]


def read(path: Path) -> Wrong:
    text = path.read_text(encoding="utf-8")
    heads = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    (by,) = {head.partition(": ")[0] for head in heads}
    return Wrong(yaml.safe_load(text), by, tuple(head.partition(": ")[2] for head in heads))


TABLE = {path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml"))}
AT_APPLY = {name: one for name, one in TABLE.items() if one.by == "refused"}
BY_THE_OPERATOR = {name: one for name, one in TABLE.items() if one.by != "refused"}


@dataclass(frozen=True)
class Said:
    """What came of the whole table."""

    applied: Mapping[str, CompletedProcess[str]]
    objects: Mapping[str, Object]


@pytest.fixture(scope="module")
def said(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    """The table applied, and the operator's word waited for."""
    if kuberay_data() is None:
        missing(Missing("the operator watches RayJobs, and KubeRay's CRDs are not here"))
    folder = tmp_path_factory.mktemp("operator")
    with (
        fresh_namespace(control_plane, "wrong") as namespace,
        operator(control_plane, folder, namespaces=(namespace,)) as process,
    ):
        kubectl = Kubectl(control_plane, namespace)

        def apply(wrong: Wrong) -> CompletedProcess[str]:
            return kubectl("apply", "-f", "-", input=wrong.document, check=False)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            applied = dict(zip(TABLE, pool.map(apply, TABLE.values()), strict=True))
        deadline = time.monotonic() + SECONDS
        while unspoken := [
            name
            for name, one in BY_THE_OPERATOR.items()
            if condition(live(kubectl, one), one.by) is None
        ]:
            process.must_run()
            assert time.monotonic() < deadline, f"{unspoken}\n{process.program.tail()}"
            time.sleep(0.2)
        yield Said(applied, {name: live(kubectl, one) for name, one in BY_THE_OPERATOR.items()})


def live(kubectl: Kubectl, wrong: Wrong) -> Object:
    plural, name = wrong.path
    return kubectl.plane.rest().find(resource(API, plural, kubectl.namespace, name)) or {}


def condition(document: Object, kind: str) -> Object | None:
    """The condition, once it says False."""
    found = document.get("status", {}).get("conditions", ())
    return next((one for one in found if one["type"] == kind and one["status"] == "False"), None)


def test_the_table_has_all_kinds_of_mistakes() -> None:
    assert len(TABLE) >= 20
    assert {one.by for one in TABLE.values()} == {"refused", "Accepted", "Preflight", "Ready"}


@pytest.mark.parametrize("name", AT_APPLY)
def test_kubectl_apply_refuses_it_and_says_where(name: str, said: Said) -> None:
    done = said.applied[name]
    assert done.returncode == 1, done.stdout
    for part in AT_APPLY[name].words:
        assert part in done.stderr


@pytest.mark.parametrize("name", BY_THE_OPERATOR)
def test_the_operator_refuses_it_and_says_what_would_be_right(name: str, said: Said) -> None:
    done, wrong = said.applied[name], BY_THE_OPERATOR[name]
    assert done.returncode == 0, done.stderr
    found = condition(said.objects[name], wrong.by)
    assert found is not None
    for part in wrong.words:
        assert part in found["message"]


def test_a_secret_in_a_variable_is_not_said_again(said: Said) -> None:
    for name in ("secret-in-a-variable", "password-in-a-variable"):
        assert "hunter2" not in said.applied[name].stderr, name


def test_what_is_refused_is_stalled_and_what_waits_is_not(said: Said) -> None:
    for name, wrong in BY_THE_OPERATOR.items():
        conditions = {one["type"]: one for one in said.objects[name]["status"]["conditions"]}
        waits = wrong.by == "Preflight"
        assert conditions["Stalled"]["status"] == ("False" if waits else "True"), name
        assert conditions["Ready"]["status"] == ("Unknown" if waits else "False"), name
