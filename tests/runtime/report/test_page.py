"""The run's page: offline, safe, readable, and true to its summary."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field, replace
from functools import cache
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import pytest

from lancemill.engine.meter import Meter
from lancemill.engine.progress import COMPUTE, HistoryPoint, StageTotals
from lancemill.report.contact import Pair, pictures_of_pairs, thumbnail
from lancemill.report.page import RunPage, SetAsideRow, installed_versions, render, set_aside_rows
from lancemill.report.summary import RunSummary, SummaryTable, Validation
from lancemill_api.status import Cost
from support.material import pictures

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>.jpg"
VOID = {"meta", "link", "img", "br", "path", "rect"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def all(self, tag: str) -> list[Element]:
        return [one for one in self.walk() if one.tag == tag]

    def walk(self) -> list[Element]:
        below = [child for child in self.children if isinstance(child, Element)]
        return [one for child in below for one in (child, *child.walk())]

    def words(self) -> str:
        parts = (child if isinstance(child, str) else child.words() for child in self.children)
        return " ".join(" ".join(parts).split())


class Reader(HTMLParser):
    """A tree of the page; fails where tags do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(html: str) -> Element:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def summary(**changes: object) -> RunSummary:
    facts: dict[str, object] = {
        "pipeline": "cats",
        "run": "7f3a",
        "result": "succeeded",
        "rows_in": 12_408,
        "rows_out": 12_391,
        "quarantined": {"Truncated": 11, "NotFound": 4, "TooManyPixels": 2},
        "dataset": "s3://lake/cats-224.lance",
        "dataset_name": "cats-224",
        "version": 8,
        "duration_seconds": 31.0,
        "bytes_in": 4_100_000_000,
        "bytes_out": 1_900_000_000,
        "cpu_seconds": 58.0,
        "validations": [Validation("no-empty", "select count(*)", "0", "at most 0", True)],
        "summaries": [SummaryTable("by-type", "select type", ("type",), (("image/jpeg",),))],
        "max_fault_rate": 0.01,
    }
    return RunSummary(**(facts | changes))  # type: ignore[arg-type]


def course() -> tuple[Meter, tuple[HistoryPoint, ...]]:
    """A run in which `image` is the bottleneck at first and `embed` later."""
    now = [0.0]
    meter = Meter(["image", "embed"], 4_000, lambda: now[0])
    for step in range(100):
        now[0] += 0.25
        early = step < 60
        meter.stage("image").add(rows_in=40, rows_out=40, busy_seconds=0.24 if early else 0.05)
        meter.stage("embed").add(rows_in=40, rows_out=40, busy_seconds=0.05 if early else 0.24)
        meter.advance(40)
        meter.sample()
    return meter, meter.history()


@cache
def pairs() -> tuple[Pair, ...]:
    files = [path.read_bytes() for path in pictures()[:14]]
    return tuple(
        pictures_of_pairs([(f"photos/{n}.jpg", data, data) for n, data in enumerate(files)])
    )


def full_page() -> RunPage:
    meter, history = course()
    cut = next(path for path in pictures() if path.name == "china.jpg").read_bytes()[:90_000]
    return RunPage(
        summary=summary(stages=meter.totals()),
        history=history,
        plan="cats · 12,408 objects",
        manifest="kind: MultimodalPipeline",
        pairs=pairs(),
        set_aside=[SetAsideRow("a.jpg", "image", "Truncated", "ends early", thumbnail(cut))],
        versions=installed_versions(),
        hashes={"meaning": "sha256:abc"},
        command="lancemill run cats.yaml",
    )


def test_the_page_says_the_verdict_first_then_all_sections_in_order() -> None:
    root = read(render(full_page()))
    (verdict,) = root.all("h1")
    assert verdict.words() == "12,391 rows went into cats-224, version 8; 17 were set aside."
    assert [heading.words() for heading in root.all("h2")] == [
        "Input beside output",
        "Where the time went",
        "Checks and summaries",
        "Set aside",
        "Plan and manifest",
        "Make it again",
    ]


def test_where_the_time_went_begins_with_what_held_the_run_up() -> None:
    stages = (
        StageTotals(
            *("decode", 8, 8, 0, 99.0), workers=2, worker_seconds=100, pool="cpu", lane=COMPUTE
        ),
        StageTotals(
            *("embed", 8, 8, 0, 15.0),
            worker_seconds=50,
            pool="gpu",
            gpu_seconds=50,
            gpu_busy_seconds=14.5,
        ),
    )
    root = read(render(replace(full_page(), summary=summary(stages=stages))))
    (time,) = [one for one in root.all("section") if one.attributes.get("id") == "time"]
    assert time.all("p")[0].words() == (
        "decode is the bottleneck: the GPU waits 71% of the time; "
        "5 more CPU workers would balance it."
    )


def test_every_figure_at_the_top_is_one_of_the_summary() -> None:
    (figures,) = [
        one for one in read(render(full_page())).all("dl") if one.attributes["class"] == "figures"
    ]
    found = {div.all("dt")[0].words(): div.all("dd")[0].words() for div in figures.all("div")}
    assert found == {
        "rows in": "12,408",
        "rows out": "12,391",
        "set aside": "17",
        "time": "31 s",
        "mean rate": "400 rows/s",
        "read": "4.1 GB",
        "written": "1.9 GB",
        "cpu time": "58 s",
    }


def test_what_a_run_has_cost_is_among_its_figures_where_prices_are_known() -> None:
    paid = RunPage(summary=summary(cost=Cost(amount=12.4, currency="EUR")))
    assert "12.40 EUR" in read(render(paid)).words()
    assert "cost" not in read(render(RunPage(summary=summary()))).words()


def test_what_was_not_measured_is_not_told() -> None:
    page = RunPage(summary=summary(bytes_in=0, bytes_out=0, cpu_seconds=None, duration_seconds=0.0))
    text = read(render(page)).words()
    for absent in ("cpu time", "gpu", "read", "written", "mean rate", "bottleneck"):
        assert absent not in text


def test_a_stage_without_times_and_bytes_says_that_they_were_not_measured() -> None:
    page = RunPage(summary=summary(stages=Meter(["fetch"], 1).totals()))
    (row,) = [one for one in read(render(page)).all("tr") if "fetch" in one.words()]
    assert row.words().count("not measured") == 5


def test_the_page_refers_to_nothing_outside_itself() -> None:
    html = render(full_page())
    for element in read(html).walk():
        assert element.tag not in {"iframe", "object", "embed", "base", "form"}
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            value = element.attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (element.tag, name, value)
    assert not re.search(r"@import|url\(|https?://", html)


def test_the_content_security_policy_allows_this_pages_own_script_and_no_other() -> None:
    root = read(render(full_page()))
    (policy,) = [
        one.attributes["content"]
        for one in root.all("meta")
        if one.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    script = (resources.files("lancemill.report") / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert f"<script>{script}</script>" in render(full_page())
    assert not any(name.startswith("on") for one in root.walk() for name in one.attributes)


def test_hostile_names_stay_text_wherever_they_stand() -> None:
    page = full_page()
    hostile = replace(
        page,
        summary=summary(
            pipeline=HOSTILE,
            run=HOSTILE,
            dataset_name=HOSTILE,
            dataset=HOSTILE,
            result="failed",
            message=HOSTILE,
            kept=HOSTILE,
            remedy=HOSTILE,
            quarantined={HOSTILE: 1},
            stages=[replace(stage, name=HOSTILE) for stage in page.summary.stages],
            validations=[Validation(HOSTILE, HOSTILE, HOSTILE, HOSTILE, False)],
            summaries=[SummaryTable(HOSTILE, HOSTILE, (HOSTILE,), ((HOSTILE,),))],
            started_at=HOSTILE,
        ),
        plan=HOSTILE,
        manifest="</pre></script>" + HOSTILE,
        pairs=[replace(pair, key=HOSTILE) for pair in page.pairs],
        set_aside=[SetAsideRow(HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
        versions={HOSTILE: HOSTILE},
        hashes={HOSTILE: HOSTILE},
        command=HOSTILE,
    )
    html = render(hostile)
    root = read(html)
    assert len(root.all("script")) == 1
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert not any("onerror" in one.attributes for one in root.walk())
    assert all(one.attributes["data-key"] == HOSTILE for one in root.all("button")[: len(pairs())])


@pytest.mark.parametrize("result", ["succeeded", "failed", "interrupted", "nothing-to-do"])
def test_a_run_without_a_single_row_still_has_a_page(result: str) -> None:
    page = RunPage(summary=RunSummary(pipeline="cats", run="7f3a", result=result))  # type: ignore[arg-type]
    root = read(render(page))
    assert len(root.all("h1")) == 1
    assert [heading.words() for heading in root.all("h2")] == ["Make it again"]
    assert not root.all("dialog")


def test_a_run_in_which_every_row_failed_tells_why_and_shows_the_rows() -> None:
    rows = set_aside_rows(
        {
            "key": f"{n}.jpg",
            "stage": "fetch",
            "reason": "HttpStatus",
            "message": "403",
            "bytes": None,
        }
        for n in range(500)
    )
    failed = summary(
        result="failed",
        rows_in=500,
        rows_out=0,
        version=None,
        quarantined={"HttpStatus": 500},
        message="500 of 500 rows failed",
        kept="nothing was committed",
    )
    text = read(render(RunPage(summary=failed, set_aside=rows))).words()
    assert "500 of 500 rows failed." in text
    assert "nothing was committed" in text
    assert "500 rows, 100% of those that came in (at most 1% may be)" in text
    assert "HTTP status" in text
    assert len(rows) == 48
    assert "and 452 more" in text


def test_the_chart_shades_each_stage_while_it_was_the_bottleneck() -> None:
    root = read(render(full_page()))
    lanes = [one for one in root.all("figure") if one.attributes.get("class") == "lane"]
    assert [lane.all("strong")[0].words() for lane in lanes] == ["image", "embed"]
    assert "bottleneck for 60% of the time" in lanes[0].words()
    assert "bottleneck for 40% of the time" in lanes[1].words()
    shades = [lane.all("rect")[0].attributes for lane in lanes]
    assert float(shades[0]["x"]) == 0
    assert float(shades[0]["width"]) == pytest.approx(600, abs=20)
    assert float(shades[1]["x"]) == pytest.approx(600, abs=20)
    assert "160 rows/s on average" in lanes[0].words()


def test_screen_readers_find_landmarks_headings_in_order_and_words_for_every_picture() -> None:
    root = read(render(full_page()))
    assert root.all("html")[0].attributes["lang"] == "en"
    for landmark in ("header", "main", "nav", "footer"):
        assert len(root.all(landmark)) == 1
    levels = [int(one.tag[1]) for one in root.walk() if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(len(image.attributes["alt"]) > 8 for image in root.all("img"))
    assert all(one.attributes.get("aria-label") for one in root.all("svg"))
    assert all(button.words() for button in root.all("button"))
    assert all(cell.attributes.get("scope") in {"col", "row"} for cell in root.all("th"))
    identifiers = [one.attributes["id"] for one in root.walk() if "id" in one.attributes]
    assert len(identifiers) == len(set(identifiers))
    for one in root.walk():
        label = one.attributes.get("aria-labelledby")
        target = one.attributes.get("href", "").removeprefix("#") if one.tag == "a" else ""
        assert label is None or label in identifiers
        assert not target or target in identifiers


@pytest.mark.thorough
def test_the_page_stays_below_3_mb_with_the_most_pictures_it_may_have() -> None:
    loud = next(path for path in pictures() if path.name == "grass.png").read_bytes()
    many = pictures_of_pairs([(str(n), loud, loud) for n in range(48)])
    rows = set_aside_rows(
        {"key": str(n), "reason": "Odd", "message": "m" * 5_000, "bytes": loud} for n in range(60)
    )
    html = render(
        replace(full_page(), pairs=many, set_aside=rows, plan="p" * 10**7, manifest="m" * 10**7)
    )
    assert len(html.encode()) < 3_000_000
    assert "more characters" in html
    assert html.count('class="pair"') == 48


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_at_least_4_5_in_both_schemes(scheme: str) -> None:
    style = (resources.files("lancemill.report") / "page.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))
    for text in ("ink", "soft", "accent", "good", "bad", "warn"):
        for ground in ("paper", "panel", *(["well"] if text in {"ink", "soft"} else [])):
            bright, dim = sorted(
                (_luminance(colours[text]), _luminance(colours[ground])), reverse=True
            )
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)
