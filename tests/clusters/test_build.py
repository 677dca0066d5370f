"""Layers are made once and kept: what decides them, and what does not. RUN is tried in pods."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.cache import Unavailable
from e2e.image import build
from e2e.image.build import Builder, Built
from e2e.image.context import Context
from e2e.image.dockerfile import parse

TEXT = """
FROM base AS made
WORKDIR /build
COPY code code
ENV PATH=/made:$PATH
FROM base
ARG VERSION=1
LABEL version=${VERSION}
COPY --from=made /build/code /opt
USER 7:7
CMD ["x"]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(build, "LAYERS", tmp_path / "layers")
    (tmp_path / "layers").mkdir()
    (tmp_path / "context" / "code").mkdir(parents=True)
    (tmp_path / "context" / "code" / "a.py").write_text("1")
    (tmp_path / "base").mkdir()
    return tmp_path


def built(root: Path, text: str = TEXT, **given: str) -> Built:
    base = Built(key="base", layers=(root / "base",), env={"PATH": "/bin"})
    return Builder(Context.of(root / "context"), lambda _: base).build(parse(text, given))


def test_a_stage_takes_files_from_another_and_nothing_else(root: Path) -> None:
    image = built(root)
    assert (image.layers[-1] / "opt" / "a.py").read_text() == "1"
    assert len(image.layers) == 2
    assert (image.env, image.user, image.command) == ({"PATH": "/bin"}, "7:7", ("x",))


def test_the_same_files_are_the_same_layer_and_changed_ones_another(root: Path) -> None:
    first = built(root)
    assert built(root).layers == first.layers
    (root / "context" / "code" / "a.py").write_text("2")
    assert built(root).layers != first.layers


def test_what_changes_no_file_changes_what_the_image_is_but_no_layer(root: Path) -> None:
    first, second = built(root), built(root, VERSION="2")
    assert first.layers == second.layers
    assert first.identity != second.identity


def test_variables_of_the_base_are_known_to_what_is_built_on_it(root: Path) -> None:
    assert built(root, TEXT.split("FROM base\n")[0]).env["PATH"] == "/made:/bin"


def test_a_step_that_fails_leaves_no_layer(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="COPY missing"):
        built(root, "FROM base\nCOPY missing x\n")
    assert not [one for one in (root / "layers").iterdir() if not one.name.startswith(".")]


def test_a_mount_other_than_a_cache_is_refused(root: Path) -> None:
    with pytest.raises(Unavailable, match="only type=cache"):
        built(root, "FROM base\nRUN --mount=type=secret,id=x true\n")
