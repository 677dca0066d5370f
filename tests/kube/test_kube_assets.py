"""scripts/kube-assets: what it builds and when, told with a Go that only notes what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from kube.binaries import ROOT
from kube.waiting import until

GO = """#!/bin/sh
case "$1" in
  env) echo go$FAKE_GO_VERSION ;;
  build)
    echo "$(basename "$PWD")" >> "$FAKE_GO_LOG"
    sleep 0.2
    until [ "$(basename "$PWD")" != helm4 ] || [ -e "${FAKE_GO_WAITS:-/}" ]; do sleep 0.05; done
    while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
    mkdir -p "$(dirname "$out")" "$GOCACHE" "$GOMODCACHE" && echo built > "$out"
    [ -z "$FAKE_GO_FAILS" ] || { echo "no such module" >&2; exit 1; } ;;
esac
"""
TOOLS = ["kubernetes", "kstatus", "helm3", "helm4"]


@dataclass
class Checkout:
    """A copy of the tools, with a cache of its own."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.folder / "scripts" / "kube-assets"), *arguments],
            env=self.environment | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **extra) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @property
    def built(self) -> list[str]:
        log = Path(self.environment["FAKE_GO_LOG"])
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "e2e" / "tools", folder / "e2e" / "tools")
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "kube-assets", folder / "scripts")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO)
    go.chmod(0o755)
    unset = ("KUBE_ASSETS", "KUBE_ASSETS_GO_CACHES")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    fake = {"FAKE_GO_VERSION": "1.26.9", "FAKE_GO_LOG": str(tmp_path / "log"), "FAKE_GO_FAILS": ""}
    path = {"PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}"}
    return Checkout(folder, kept | fake | path)


def test_everything_is_built_once_and_said_to_take_minutes(checkout: Checkout) -> None:
    first = checkout()
    second = checkout()

    assert (first.returncode, second.returncode) == (0, 0)
    assert "minutes" in first.stderr
    assert second.stderr == ""
    assert first.stdout == second.stdout
    assert checkout.built == TOOLS
    folder = Path(first.stdout.strip())
    names = {"etcd", "kube-apiserver", "kubectl", "kubelet", "helm3", "helm4", "kstatus"}
    assert names <= {path.name for path in folder.iterdir() if path.read_text() == "built\n"}


@pytest.mark.thorough
def test_the_gigabytes_that_a_build_needs_are_gone_afterwards(checkout: Checkout) -> None:
    checkout()

    left = {path.name for path in (checkout.folder / ".cache" / "kube").iterdir()}
    assert not {name for name in left if name.startswith((".go", ".building"))}


def test_they_stay_for_whoever_asks_for_it(checkout: Checkout, tmp_path: Path) -> None:
    checkout("kstatus", KUBE_ASSETS_GO_CACHES=str(tmp_path / "kept"))

    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"build", "mod"}


@pytest.mark.thorough
def test_two_at_a_time_build_everything_once(checkout: Checkout) -> None:
    with checkout.start() as one, checkout.start() as other:
        answers = [process.communicate(timeout=60) for process in (one, other)]

    assert (one.returncode, other.returncode) == (0, 0)
    assert answers[0][0] == answers[1][0]
    assert checkout.built == TOOLS
    assert sum("waiting for it" in said for _, said in answers) <= 1


def test_who_asks_for_what_is_built_first_does_not_wait_for_the_rest(
    checkout: Checkout, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    with checkout.start(FAKE_GO_WAITS=str(go_on)) as everything:
        until("building has begun", lambda: checkout.built)
        first = checkout("kubernetes")
        with checkout.start("--find", "helm4") as finder:
            assert finder.stderr is not None
            assert "waiting for it" in finder.stderr.readline()
            assert everything.poll() is None
            go_on.touch()
            found, _ = finder.communicate(timeout=60)
        built, _ = everything.communicate(timeout=60)

    assert (first.returncode, finder.returncode, everything.returncode) == (0, 0, 0)
    assert first.stdout == found == built
    assert checkout.built == TOOLS


def test_a_change_of_one_tool_builds_that_one_anew(checkout: Checkout) -> None:
    before = checkout().stdout
    source = checkout.folder / "e2e" / "tools" / "kstatus" / "main.go"
    source.write_text(source.read_text() + "\n// changed\n")

    after = checkout().stdout

    assert checkout.built == [*TOOLS, "kstatus"]
    assert after != before


@pytest.mark.thorough
def test_another_go_builds_all_anew(checkout: Checkout) -> None:
    checkout()
    checkout(FAKE_GO_VERSION="1.27.0")

    assert checkout.built == TOOLS + TOOLS


def test_find_builds_nothing_and_says_what_is_missing(checkout: Checkout) -> None:
    checkout("kubernetes")

    assert checkout("--find", "kubernetes").returncode == 0
    lacking = checkout("--find", "kubernetes", "helm3")
    assert lacking.returncode == 1
    assert "not built yet: helm3; run scripts/kube-assets" in lacking.stderr
    assert checkout.built == ["kubernetes"]


def test_a_failed_build_leaves_nothing_that_looks_built(checkout: Checkout) -> None:
    failed = checkout("kstatus", FAKE_GO_FAILS="1")

    assert failed.returncode == 1
    assert "no such module" in failed.stderr
    assert "kstatus v1.2.2 did not build" in failed.stderr
    assert checkout("--find", "kstatus").returncode == 1


def test_ready_made_programs_are_used_as_they_are(checkout: Checkout, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    for name in ("kube-apiserver", "etcd"):
        (ready / name).touch()

    lacking = checkout(KUBE_ASSETS=str(ready))
    (ready / "kubectl").touch()
    found = checkout(KUBE_ASSETS=str(ready))

    assert lacking.returncode == 1
    assert "has no kubectl" in lacking.stderr
    assert found.stdout.strip() == str(ready)
    assert checkout.built == []


def test_a_program_that_ready_made_ones_lack_is_named_when_it_is_asked_for(
    checkout: Checkout, tmp_path: Path
) -> None:
    for name in ("kube-apiserver", "etcd", "kubectl"):
        (tmp_path / name).touch()

    lacking = checkout("--find", "helm3", KUBE_ASSETS=str(tmp_path))

    assert lacking.returncode == 1
    assert "has no helm3" in lacking.stderr
