"""What nodes say of themselves against what the driver is: which differences end a run. Pure.

Driver and workers build the same plan each for itself, pass Arrow between them, and one commits
what the other has written. So what those depend on must be the same in all of them; what only
computes values may differ, and is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SAME_IMAGE = "use one image for head and workers"
NAMED = 3
"""Nodes that are named in one line; of more, the number is told."""

Versions = Mapping[str, str | None]
"""Versions by name; None where it is not installed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What of a version must agree, and why."""

    name: str
    parts: int
    """Parts of the version that count."""
    why: str
    fatal: bool = True
    distributions: tuple[str, ...] = ()
    """What it may be installed as, where that is not its name."""


RULES = (
    Rule("python", 2, "Ray's own messages hold its byte code"),
    Rule("ray", 3, "its processes talk to each other in their own version only"),
    Rule("lancemill", 3, "both sides build the same plan, and know each other's messages"),
    Rule("pyarrow", 2, "rows, schemas and snapshots pass as its objects"),
    Rule("pylance", 3, "the driver commits the fragments that workers have written"),
    Rule("numpy", 1, "what is compiled for one major version does not load with another"),
    Rule("duckdb", 2, "results of a query may differ", fatal=False),
    Rule(
        "onnxruntime",
        2,
        "results of a model may differ",
        fatal=False,
        distributions=("onnxruntime", "onnxruntime-gpu"),
    ),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a node from doing its part."""

    message: str
    remedy: str = ""
    final: bool = True
    """Whether another attempt would meet it too."""

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


@dataclass(frozen=True, slots=True)
class Where:
    """Who has said it."""

    group: str
    """The worker group; empty in a cluster that has none."""
    node: str
    """The node's address."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What of a node's versions is not as on the driver."""

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """What is told, and does not end the run."""


def differences(driver: Versions, node: Versions) -> Differences:
    """Compare what a node has with what the driver has."""
    problems, notes = [], []
    for rule in RULES:
        words = _difference(rule, driver.get(rule.name), node.get(rule.name))
        if words and rule.fatal:
            problems.append(Problem(words, SAME_IMAGE))
        elif words:
            notes.append(f"{words}: {rule.why}")
    return Differences(tuple(problems), tuple(notes))


def _difference(rule: Rule, driver: str | None, node: str | None) -> str:
    """In words; empty where they agree as far as they must."""
    if driver is None:
        return ""  # the driver runs without it, and so it is not needed for what both do
    expected = _cut(driver, rule.parts)
    if node is None:
        return f"{rule.name} is not installed here, {expected} on the driver"
    found = _cut(node, rule.parts)
    return "" if found == expected else f"{rule.name} {found} here, {expected} on the driver"


def _cut(version: str, parts: int) -> str:
    return ".".join(version.split(".")[:parts])


def lines(found: Iterable[tuple[Where, str]]) -> list[str]:
    """A line for each thing that was found; what several nodes of a group say is told once."""
    places: dict[tuple[str, str], list[str]] = {}
    for where, words in found:
        nodes = places.setdefault((where.group, words), [])
        if where.node not in nodes:
            nodes.append(where.node)
    return [f"{_place(group, nodes)}: {words}" for (group, words), nodes in places.items()]


def _place(group: str, nodes: Sequence[str]) -> str:
    named = ", ".join(nodes[:NAMED])
    more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
    who = f"node {named}" if len(nodes) == 1 else f"nodes {named}{more}"
    return f"group {group}, {who}" if group else who
