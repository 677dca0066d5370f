"""Draws the dashboard: `scripts/dashboard-picture FILE.svg [SECONDS]`.

A real Prometheus scrapes an operator's registry and real runs for a while (see scene.py for what is
played), is asked the dashboard's own queries, and what it answers is drawn. Where Grafana shows six
hours by rates over five minutes, this shows a minute or two by rates over ten seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from helm.chart import CHART, find_helm, only
from helm.panels import Series, picture
from helm.prometheus import Prometheus, find_prometheus, running, scrape_jobs
from helm.scene import Scene, chosen, operator_pod, scene

BOARD = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
COPIES, POINTS = 24, 60
CAPTION = (
    "Not drawn by Grafana: its queries, answered by Prometheus over {seconds:.0f} s, rates over "
    "10 s instead of 5 min. Real: the driver and runs of thumbnails. Played: what the operator "
    "knows and does, the stage embed with its GPU, Ray."
)


def watch(seen: Scene, seconds: float) -> tuple[float, float]:
    """Runs with a breath between them; the time from the first to the last."""
    began = time.time()
    while time.time() - began < seconds:
        seen.run()
        time.sleep(3)
    return began, time.time()


def asked(prometheus: Prometheus, span: tuple[float, float]) -> dict[int, list[Series]]:
    """What each panel shows."""
    return {
        panel["id"]: [
            Series(one["metric"], [(at, float(number)) for at, number in one["values"]])
            for target in panel["targets"]
            for one in prometheus.over(
                chosen(target["expr"]).replace("[5m]", "[10s]"),
                *span,
                step=max(1.0, (span[1] - span[0]) / POINTS),
            )
        ]
        for panel in BOARD["panels"]
        if panel["type"] != "row"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the dashboard.")
    parser.add_argument("file", type=Path)
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    given = parser.parse_args()
    objects = find_helm("helm4").template({"monitoring": {"podMonitor": {"enabled": True}}})
    pod = operator_pod(only(objects, "Deployment"))
    with tempfile.TemporaryDirectory() as name, scene(Path(name), pod, COPIES) as seen:
        monitors = [one for one in objects if one["kind"] == "PodMonitor"]
        jobs = [job for one in monitors for job in scrape_jobs(one, seen.pods, "1s")]
        with running(find_prometheus(), Path(name) / "tsdb", jobs) as prometheus:
            span = watch(seen, given.seconds)
            answers = asked(prometheus, span)
    text = picture(BOARD, answers, span, CAPTION.format(seconds=span[1] - span[0]))
    given.file.write_text(text, encoding="utf-8")
    empty = [
        one["title"] for one in BOARD["panels"] if one["id"] in answers and not answers[one["id"]]
    ]
    print(
        f"{given.file}: {len(answers)} panels" + (f", empty: {', '.join(empty)}" if empty else "")
    )


if __name__ == "__main__":
    main()
