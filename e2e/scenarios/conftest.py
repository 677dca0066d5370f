"""The cluster of a session, Lancemill and S3 in it, and a team for each scenario.

Which provider it is, `python -m e2e` says by E2E_PROVIDER.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e import install
from e2e.cluster import Ability, Cluster
from e2e.evidence import collect
from e2e.providers import providers
from e2e.tenant import Tenant

from support.material import pictures as material
from support.servers import S3Server

PROVIDER = "E2E_PROVIDER"
FEW = 12


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "e2e: real pods in a cluster, by `python -m e2e`")
    config.addinivalue_line("markers", "smoke: the one scenario to run where time is short")
    config.addinivalue_line("markers", "needs(ability): what the cluster must be able to do")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker("e2e")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fixtures then know whether their test has failed."""
    report = yield
    if call.when == "call" and report.failed:  # type: ignore[attr-defined]
        item.user_properties.append(("failed", True))
    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    chosen = os.environ.get(PROVIDER)
    if chosen is None:
        pytest.fail("scenarios are run by `python -m e2e`", pytrace=False)
    with providers()[chosen].running() as running:
        yield running


@pytest.fixture(scope="session")
def lancemill(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with the operator in its own pod, by Helm."""
    lasts = cluster.provider == "existing"
    if lasts:
        install.must_be_ours(cluster)
    install.lancemill(cluster)
    yield cluster
    if lasts:
        install.remove(cluster)


@pytest.fixture(scope="session")
def s3(lancemill: Cluster) -> Iterator[S3Server]:
    with install.s3(lancemill) as server:
        yield server


@pytest.fixture(autouse=True)
def _able(request: pytest.FixtureRequest, cluster: Cluster) -> None:
    needed: list[Ability] = [mark.args[0] for mark in request.node.iter_markers("needs")]
    lacking = [one for one in needed if one not in cluster.can]
    if lacking:
        pytest.skip(f"NOT RUN: {cluster.provider} has no {', '.join(lacking)}")


@pytest.fixture
def new_tenant(
    request: pytest.FixtureRequest, lancemill: Cluster, s3: S3Server
) -> Iterator[Callable[[], Tenant]]:
    """Makes teams; what is left of them is looked at when the scenario has failed, then deleted."""
    made: list[Tenant] = []

    def make() -> Tenant:
        given = lancemill.namespaces
        name = f"team-{secrets.token_hex(3)}"
        namespace = given[len(made) % len(given)] if given else name
        made.append(Tenant(lancemill, s3, namespace, bucket=name))
        made[-1].move_in()
        return made[-1]

    yield make
    if ("failed", True) in request.node.user_properties:
        namespaces = [install.SYSTEM, *(one.namespace for one in made)]
        collect(lancemill, namespaces, request.node.name)
    for one in made:
        one.move_out()


@pytest.fixture
def tenant(new_tenant: Callable[[], Tenant]) -> Tenant:
    return new_tenant()


@pytest.fixture(scope="session")
def pictures() -> dict[str, bytes]:
    """Real ones of several kinds, and one that is cut short."""
    chosen = [one for one in material() if one.stat().st_size < 2**19][:FEW]
    found = {path.name: path.read_bytes() for path in chosen}
    whole = next(path for path in material() if path.name == "rocket.jpg").read_bytes()
    return {**found, "cut-short.jpg": whole[: len(whole) // 2]}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")
