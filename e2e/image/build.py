"""Follows a Dockerfile: each step that changes files is a layer, made once and kept by its key.

A key is made of all that decides a layer: the layers below it, the instruction, the files that it
copies. RUN happens in a chroot on an overlay of the layers below, in a mount namespace of its own,
so that nothing stays mounted whatever happens. Needs root, and Linux.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2e.cache import CACHE, Unavailable, kept
from e2e.image.context import Context
from e2e.image.dockerfile import Dockerfile, Instruction, Stage, expanded

LAYERS = CACHE / "layers"
RUN_CACHE = CACHE / "run-cache"
# What reaches a package index from here, and changes nothing about what comes from it.
PASSED_ON = (
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_DEFAULT_TIMEOUT"),
    *("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
)

_IN_CHROOT = """
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$MERGED"
mount -t proc proc "$MERGED/proc"
mount --rbind /dev "$MERGED/dev"
mount -t tmpfs tmpfs "$MERGED/tmp"
mount --bind /etc/ssl/certs "$MERGED/etc/ssl/certs"
mount --bind /etc/resolv.conf "$MERGED/etc/resolv.conf"
while [ "$1" != -- ]; do
  mkdir -p "$MERGED$1"; mount --bind "$2" "$MERGED$1"; shift 2
done
shift
exec chroot "$MERGED" "$@"
"""


@dataclass(frozen=True)
class Built:
    """An image, or a stage of one: its layers from the lowest to the uppermost, and settings."""

    key: str
    layers: tuple[Path, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    folder: str = "/"
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """Equal for images that are equal; `key` knows of files only."""
        settings = [dict(self.env), dict(self.labels), self.user, self.folder]
        whole = [self.key, *settings, self.command, self.entrypoint]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:20]


@dataclass
class Builder:
    """`base` makes the image that a FROM names which no stage has."""

    context: Context
    base: Callable[[str], Built]
    _stages: dict[str, Built] = field(default_factory=dict)

    def build(self, dockerfile: Dockerfile) -> Built:
        self._stages = {}
        built = None
        for stage in dockerfile.stages:
            built = self._stage(stage, dockerfile.arguments)
            if stage.name:
                self._stages[stage.name] = built
        if built is None:
            raise Unavailable("a Dockerfile without FROM")
        return built

    def _stage(self, stage: Stage, given: Mapping[str, str]) -> Built:
        image = self._stages.get(stage.base) or self.base(stage.base)
        arguments: dict[str, str] = {}
        for step in stage.steps:
            if step.word == "ARG":
                arguments |= step.pairs({}) | _asked(step, given)
            else:
                image = self._step(image, step, arguments)
        return image

    def _step(self, image: Built, step: Instruction, arguments: Mapping[str, str]) -> Built:
        variables = {**arguments, **image.env}
        match step.word:
            case "ENV":
                return replace(image, env={**image.env, **step.pairs(variables)})
            case "LABEL":
                return replace(image, labels={**image.labels, **step.pairs(variables)})
            case "USER":
                return replace(image, user=expanded(step.text, variables))
            case "WORKDIR":
                return replace(image, folder=expanded(step.text, variables))
            case "CMD":
                return replace(image, command=tuple(step.words(variables)))
            case "ENTRYPOINT":
                return replace(image, entrypoint=tuple(step.words(variables)))
            case "COPY":
                return self._copy(image, step, variables)
            case _:
                return _run(image, step, arguments)

    def _copy(self, image: Built, step: Instruction, variables: Mapping[str, str]) -> Built:
        *sources, target = step.words(variables)
        origin = self._stages[step.flags["from"]] if "from" in step.flags else None
        place = str(Path(image.folder, target)) + ("/" if target.endswith(("/", ".")) else "")
        content = origin.key if origin else self.context.digest(sources)

        def make(layer: Path) -> None:
            if origin is None:
                self.context.copy(sources, place, layer)
            else:
                _copy_from(origin, sources, place, layer)

        return _above(image, ("COPY", *sources, place, content), step, make)


def _asked(step: Instruction, given: Mapping[str, str]) -> dict[str, str]:
    name = step.text.partition("=")[0]
    return {name: given[name]} if name in given else {}


def _above(
    image: Built, decisive: Iterable[str], step: Instruction, make: Callable[[Path], None]
) -> Built:
    key = hashlib.sha256(json.dumps([image.key, *decisive]).encode()).hexdigest()[:20]
    shown = f"{step.word} {step.text}"
    told = f"image: {shown if len(shown) < 90 else shown[:89] + '…'}"
    layer = kept(LAYERS / key, told, lambda fresh: _made(fresh, make))
    return replace(image, key=key, layers=(*image.layers, layer / "fs"))


def _made(fresh: Path, make: Callable[[Path], None]) -> None:
    layer = fresh / "fs"
    layer.mkdir()
    make(layer)
    for path in layer.rglob("*"):
        if stat.S_ISCHR(path.lstat().st_mode):
            raise Unavailable(
                f"a step deletes {path.relative_to(layer)} of a layer below: not supported here"
            )


def _copy_from(origin: Built, sources: list[str], target: str, layer: Path) -> None:
    """A folder's content as seen through all layers; hard links, since layers never change."""
    into = layer / target.strip("/")
    into.mkdir(parents=True)
    for source in sources:
        for below in origin.layers:
            found = below / source.strip("/")
            if found.is_dir():
                _command(["cp", "-a", "--link", "--force", f"{found}/.", str(into)])


def _run(image: Built, step: Instruction, arguments: Mapping[str, str]) -> Built:
    env = {**image.env, **arguments}
    decisive = ("RUN", step.text, json.dumps(env, sort_keys=True), image.folder)
    return _above(image, decisive, step, lambda layer: _in_chroot(image, step, env, layer))


def _in_chroot(image: Built, step: Instruction, env: Mapping[str, str], layer: Path) -> None:
    work, merged = layer.parent / "work", layer.parent / "merged"
    work.mkdir()
    merged.mkdir()
    places = {
        "LOWER": ":".join(str(one) for one in reversed(image.layers)),
        "UPPER": str(layer),
        "WORK": str(work),
        "MERGED": str(merged),
    }
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables = [f"{name}={value}" for name, value in {"HOME": "/root", **env, **passed}.items()]
    command = (
        f"mkdir -p {shlex.quote(image.folder)} && cd {shlex.quote(image.folder)} && {step.text}"
    )
    words = [*_mounts(step), "--", "env", "-i", *variables, "/bin/sh", "-c", command]
    _command(["unshare", "--mount", "bash", "-ec", _IN_CHROOT, "build", *words], places)
    for unused in (work, merged):
        subprocess.run(["rm", "-rf", str(unused)], check=True)


def _mounts(step: Instruction) -> list[str]:
    """--mount=type=cache,target=…: a folder that outlives the step; no other mount is known."""
    if "mount" not in step.flags:
        return []
    options = dict(one.split("=", 1) for one in step.flags["mount"].split(","))
    if options.get("type") != "cache":
        raise Unavailable(f"RUN --mount={step.flags['mount']}: only type=cache is known here")
    folder = RUN_CACHE / options["target"].strip("/").replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return [options["target"], str(folder)]


def _command(command: list[str], variables: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        ["nice", "-n", "5", *command],
        env={**os.environ, **(variables or {})},
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        raise Unavailable(
            f"a build step ended with {done.returncode}: {done.stderr.strip()[-300:]}"
        )
