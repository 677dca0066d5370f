"""The scenarios that are played, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("scenarios.yaml")


@dataclass(frozen=True)
class Awaited:
    """A state of the RayJob; what is None does not matter."""

    name: str | None = None
    deployment: str | None = None
    job: str | None = None
    clusters: int | None = None
    head: str | None = None
    """Reason of the RayCluster's condition HeadPodReady."""
    failing: bool | None = None
    """Whether KubeRay says that its status checks fail."""


@dataclass(frozen=True)
class Action:
    """Something that is done, `pause` seconds after `when`."""

    do: str
    when: Awaited | None = None
    pause: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: dict[str, Any]) -> Action:
        rest = {key: value for key, value in data.items() if key not in ("do", "when", "pause")}
        when = Awaited(**data["when"]) if "when" in data else None
        return cls(data["do"], when, float(data.get("pause", 0)), rest)


@dataclass(frozen=True)
class Scenario:
    """One recording, and how to play it again."""

    recording: str
    play: str = ""
    steps: tuple[Action, ...] = ()
    end: str | Awaited = "settled"
    own_operator: bool = False
    spec: dict[str, Any] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()

    @classmethod
    def of(cls, data: dict[str, Any], spec: dict[str, Any]) -> Scenario:
        """`spec` is that of all scenarios."""
        end = data.get("end", "settled")
        return cls(
            recording=data["recording"],
            play=data.get("play", ""),
            steps=tuple(Action.of(step) for step in data.get("steps", ())),
            end=end if isinstance(end, str) else Awaited(**end),
            spec=spec | data.get("spec", {}),
            own_operator=data.get("operator") == "own",
            allow=frozenset(data.get("allow", ())),
        )


@dataclass(frozen=True)
class Scenarios:
    """All of them, and the time-out that they share."""

    status_check_timeout: float
    all: tuple[Scenario, ...]

    def only(self, names: tuple[str, ...]) -> Scenarios:
        """Those of these names, or that begin with one of them; all of them for no name."""
        if not names:
            return self
        found = tuple(one for one in self.all if one.recording.startswith(names))
        return Scenarios(self.status_check_timeout, found)


def scenarios(path: Path = FILE) -> Scenarios:
    data = yaml.safe_load(path.read_text())
    found = tuple(Scenario.of(one, data["spec"]) for one in data["scenarios"])
    return Scenarios(float(data["status_check_timeout"]), found)
