"""Reads the part of the Dockerfile language that our Dockerfiles use; the rest is refused.

Pure: text in, stages out. What is refused is told with its line, so that an instruction which only
Docker understands cannot come in unseen.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "LABEL", "RUN", "USER", "WORKDIR"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class Unsupported(Exception):
    """An instruction that is not known here; the message names its line."""


@dataclass(frozen=True)
class Instruction:
    word: str
    text: str
    flags: Mapping[str, str] = field(default_factory=dict)

    def pairs(self, variables: Mapping[str, str]) -> dict[str, str]:
        """NAME=value …, for ARG, ENV and LABEL; a bare ARG has the value of an earlier one."""
        made = {}
        for word in shlex.split(self.text):
            name, given, value = word.partition("=")
            if given or name in variables:
                made[name] = expanded(value, variables) if given else variables[name]
        return made

    def words(self, variables: Mapping[str, str]) -> list[str]:
        """Of CMD and ENTRYPOINT in their JSON form, else the text cut at spaces."""
        if self.text.startswith("["):
            return [str(one) for one in json.loads(self.text)]
        return [expanded(one, variables) for one in shlex.split(self.text)]


@dataclass(frozen=True)
class Stage:
    base: str
    name: str | None
    steps: tuple[Instruction, ...]


@dataclass(frozen=True)
class Dockerfile:
    arguments: Mapping[str, str]
    """ARGs before the first FROM, with their defaults."""
    stages: tuple[Stage, ...]


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` replaced; what is not known is empty, as with Docker."""
    return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), text)


def parse(text: str, given: Mapping[str, str] | None = None) -> Dockerfile:
    """`given` are build arguments; they count only where the file has an ARG of that name."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line, instruction in _instructions(text):
        if instruction.word == "FROM":
            stages.append(_from(instruction, {**arguments, **(given or {})}))
        elif instruction.word not in KNOWN:
            raise Unsupported(f"line {line}: {instruction.word} is not known here")
        elif stages:
            last = stages[-1]
            stages[-1] = Stage(last.base, last.name, (*last.steps, instruction))
        elif instruction.word == "ARG":
            arguments |= instruction.pairs({})
        else:
            raise Unsupported(f"line {line}: {instruction.word} before FROM")
    return Dockerfile({**arguments, **(given or {})}, tuple(stages))


def _from(instruction: Instruction, variables: Mapping[str, str]) -> Stage:
    words = instruction.words(variables)
    named = len(words) == 3 and words[1].upper() == "AS"
    return Stage(words[0], words[2] if named else None, ())


def _instructions(text: str) -> Iterator[tuple[int, Instruction]]:
    for number, line in _lines(text):
        word, _, rest = line.partition(" ")
        flags, rest = _flags(rest.strip())
        yield number, Instruction(word.upper(), rest, flags)


def _flags(rest: str) -> tuple[dict[str, str], str]:
    flags = {}
    while found := re.match(r"--(\w+)=(\S+)\s+", rest):
        flags[found[1]] = found[2]
        rest = rest[found.end() :]
    return flags, rest


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Whole instructions: comments gone, continued lines joined."""
    kept: list[str] = []
    begun = 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        begun = begun if kept else number
        kept.append(stripped.removesuffix("\\").strip())
        if not stripped.endswith("\\"):
            yield begun, " ".join(kept)
            kept = []
