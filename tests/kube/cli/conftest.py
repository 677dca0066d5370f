"""The stage that the tests of the cluster's commands share, and a pipeline that has run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kube import cli_stage
from kube.cli_stage import Done, Stage
from kube.control_plane import ControlPlane


@pytest.fixture(scope="package")
def stage(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with cli_stage.stage(control_plane, tmp_path_factory.mktemp("cli")) as found:
        yield found


@pytest.fixture(scope="package")
def cats(stage: Stage) -> Done:
    """A pipeline that was submitted and followed to its end."""
    return stage.cli("submit", str(stage.manifest("cats")), "--follow")
