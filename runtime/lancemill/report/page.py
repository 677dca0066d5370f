"""The page of a run: one HTML file that opens from disk and says what happened, best first.

Nothing is loaded from anywhere: pictures, style and script are inside, and the page's own content
security policy forbids the rest, so that a hostile name or message in the data stays text.
"""

from __future__ import annotations

import base64
import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

from lancemill import figures
from lancemill.engine.progress import (
    HistoryPoint,
    StageTotals,
    find_bottleneck,
    stage_progress,
)
from lancemill.report import chart
from lancemill.report.contact import Pair, Picture, thumbnail
from lancemill.report.summary import RunSummary
from lancemill.report.words import verdict

if TYPE_CHECKING:
    from jinja2 import Environment, Template

MOST_PAIRS = 48
MOST_SET_ASIDE = 48
MOST_TEXT = 100_000
"""Characters of a plan or a manifest that are shown."""
MOST_CELL = 400
"""Characters of a key or a message that are shown."""
LIBRARIES = (
    "lancemill",
    "pylance",
    "pyarrow",
    "duckdb",
    "obstore",
    "simplejpeg",
    "pillow",
    "numpy",
    "onnxruntime",
)


@dataclass(frozen=True, slots=True)
class SetAsideRow:
    """A row of the quarantine."""

    key: str
    stage: str
    reason: str
    message: str
    picture: Picture | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """All that the page is made from."""

    summary: RunSummary
    history: Sequence[HistoryPoint] = ()
    plan: str = ""
    """As `lancemill plan` prints it."""
    manifest: str = ""
    pairs: Sequence[Pair] = ()
    """The first rows' pictures, before and after."""
    set_aside: Sequence[SetAsideRow] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    """What decided the output: `meaning`, `model resnet.onnx`, `code` …"""
    command: str = ""
    """The command line that makes this run again."""


def render(page: RunPage) -> str:
    """The page as HTML."""
    script = packaged_text("page.js")
    return template("page.html.j2").render(
        page=page,
        run=page.summary,
        verdict=verdict(page.summary),
        chart=chart.draw(page.history),
        diagnosis=_diagnosis(page),
        stages=[_stage(stage, page.summary.duration_seconds) for stage in page.summary.stages],
        reasons=_ranked(page.summary.quarantined),
        pairs=page.pairs[:MOST_PAIRS],
        set_aside=page.set_aside[:MOST_SET_ASIDE],
        set_aside_more=max(0, page.summary.set_aside - len(page.set_aside[:MOST_SET_ASIDE])),
        plan=_clipped(page.plan, MOST_TEXT),
        manifest=_clipped(page.manifest, MOST_TEXT),
        style=packaged_text("page.css"),
        script=script,
        script_hash=_csp_hash(script),
    )


def set_aside_rows(rows: Iterable[Mapping[str, Any]]) -> list[SetAsideRow]:
    """Rows of the quarantine dataset, as dicts; one value of bytes that is a picture is shown."""
    shown = []
    for row in rows:
        files = (value for value in row.values() if isinstance(value, bytes))
        pictures = (picture for value in files if (picture := thumbnail(value)))
        shown.append(
            SetAsideRow(
                key=_clipped(str(row.get("key") or ""), MOST_CELL),
                stage=str(row.get("stage") or ""),
                reason=str(row.get("reason") or ""),
                message=_clipped(str(row.get("message") or ""), MOST_CELL),
                picture=next(pictures, None),
            )
        )
        if len(shown) == MOST_SET_ASIDE:
            break
    return shown


def installed_versions() -> dict[str, str]:
    """What runs here: Python, the machine's kind, and the libraries that decide the output."""
    found = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class _StageRow:
    """A stage's line in the table, and its bar: shares of its workers' time, in percent."""

    totals: StageTotals
    busy: float
    waiting: float
    blocked: float
    timed: bool
    """False where none of its times was measured."""


def _stage(stage: StageTotals, duration: float) -> _StageRow:
    told = stage.busy_seconds + stage.wait_in_seconds + stage.blocked_seconds
    whole = max(duration * max(1, stage.workers), told)
    part = 100 / whole if whole > 0 else 0.0
    return _StageRow(
        stage,
        stage.busy_seconds * part,
        stage.wait_in_seconds * part,
        stage.blocked_seconds * part,
        timed=told > 0,
    )


def _diagnosis(page: RunPage) -> str:
    """From the stages' own time; of a run that has none, from the course of it."""
    if page.summary.diagnosis:
        return page.summary.diagnosis
    if len(page.history) < 2:
        return ""
    found = find_bottleneck(stage_progress(page.history[0], page.history[-1]))
    return found.words if found is not None else ""


def _ranked(by_reason: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """(reason, rows, percent of the most frequent)"""
    ranked = sorted(by_reason.items(), key=lambda one: (-one[1], one[0]))
    most = max((number for _, number in ranked), default=1) or 1
    return [(reason, number, 100 * number / most) for reason, number in ranked]


def _clipped(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({len(text) - most:,} more characters)"


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")


@lru_cache
def packaged_text(name: str) -> str:
    """A file of this package: a template, the style, the script."""
    return (resources.files("lancemill.report") / name).read_text("utf-8")


@lru_cache
def template(name: str) -> Template:
    """A template of this package, compiled once a process."""
    return _environment().from_string(packaged_text(name))


@lru_cache
def _environment() -> Environment:
    """Jinja with escaping on, undefined names as errors, and figures as filters."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=figures.count,
        rows=figures.rows,
        size=figures.size,
        duration=figures.duration,
        money=figures.money,
        rate=figures.rate,
        share=figures.share,
        words=figures.reason_words,
    )
    return environment
