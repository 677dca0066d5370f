"""Our Dockerfiles: what they install, who runs in them, and that both ways to build them agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from e2e.host.debian import BASE_NAME
from e2e.image.context import Context
from e2e.image.dockerfile import Dockerfile, parse
from e2e.image.images import IMAGES, OPERATOR, RUNTIME, Image, ray_version
from e2e.providers.kind import build_command

ROOT = Path(__file__).parents[2]
each = pytest.mark.parametrize("image", IMAGES, ids=lambda one: one.name)


def read(image: Image) -> Dockerfile:
    return parse((ROOT / image.dockerfile).read_text(), image.arguments)


def versions(lock: str) -> dict[str, str]:
    text = (ROOT / "locks" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


@each
def test_docker_and_a_machine_without_it_follow_the_same_file(image: Image) -> None:
    # e2e.host builds what `read` gives; kind has Docker build the file that it names.
    assert f"--file={ROOT / image.dockerfile}" in build_command(image)
    assert read(image).arguments["BASE"] == BASE_NAME


@each
def test_everything_is_installed_from_a_lock_with_hashes(image: Image) -> None:
    installs = [
        step.text
        for stage in read(image).stages
        for step in stage.steps
        if step.word == "RUN" and re.search(r"pip (install|sync)", step.text)
    ]
    assert installs
    for line in installs:
        for command in line.split("&&"):
            if re.search(r"pip (install|sync)", command):
                assert "--require-hashes" in command or "--no-deps" in command, command


@each
def test_what_it_installs_are_locks_of_this_repository(image: Image) -> None:
    copied = [
        source.replace("${LOCK}", "runtime")
        for stage in read(image).stages
        for step in stage.steps
        if step.word == "COPY" and "from" not in step.flags
        for source in step.text.split()[:-1]
    ]
    locks = [one for one in copied if one.startswith("locks/")]
    assert len(locks) == 2
    assert all((ROOT / one).is_file() for one in locks)


@each
def test_it_runs_as_a_number_that_is_not_root(image: Image) -> None:
    users = [step.text for step in read(image).stages[-1].steps if step.word == "USER"]
    assert len(users) == 1
    assert int(users[0].split(":")[0]) > 0


@each
def test_nothing_but_the_result_of_its_stages_is_in_it(image: Image) -> None:
    copies = [step for step in read(image).stages[-1].steps if step.word == "COPY"]
    assert copies
    assert all("from" in step.flags for step in copies)


@pytest.mark.parametrize("lock", ["runtime", "operator", "s3", "build"])
def test_images_hold_the_versions_that_the_tests_run_with(lock: str) -> None:
    tested = versions("dev")
    other = {
        name: (version, tested[name])
        for name, version in versions(lock).items()
        if name in tested and tested[name] != version
    }
    assert not other


def test_the_operators_image_has_all_that_its_extra_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [re.split(r"[<>=]", one)[0] for one in project["optional-dependencies"]["operator"]]
    assert not set(asked) - set(versions("operator"))


def test_the_operators_image_has_nothing_that_moves_data() -> None:
    assert not {"pyarrow", "pylance", "ray", "numpy", "duckdb"} & set(versions("operator"))


def test_the_tool_that_installs_is_the_one_of_the_setup() -> None:
    setup = (ROOT / "scripts" / "setup").read_text()
    assert f"uv_version={versions('build')['uv']}" in setup


def test_the_version_of_ray_is_that_of_the_lock() -> None:
    assert ray_version() == versions("runtime")["ray"]


def test_the_context_is_what_dockerfiles_copy_and_nothing_else() -> None:
    context = Context.of(ROOT)
    let_in = ("pyproject.toml", "locks/runtime.txt", "runtime/lancemill/__init__.py")
    kept_out = (".venv/bin/python", ".git/config", "tests/conftest.py", ".env", "crds/key.pyc")
    assert all(context.lets_in(one) for one in let_in)
    assert not any(context.lets_in(one) for one in kept_out)


@pytest.mark.parametrize("image", [OPERATOR, RUNTIME], ids=lambda one: one.name)
def test_users_images_say_what_they_are(image: Image) -> None:
    labels = [step.text for step in read(image).stages[-1].steps if step.word == "LABEL"]
    assert "org.opencontainers.image.licenses=Apache-2.0" in labels[0]
