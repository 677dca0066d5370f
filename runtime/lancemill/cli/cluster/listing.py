"""What `lancemill status` prints when it follows nothing."""

from __future__ import annotations

import json as encoder
import sys
from datetime import UTC, datetime

from lancemill.cli.cluster import paths, story
from lancemill.cli.cluster.api import Api
from lancemill.cli.cluster.following import look
from lancemill.cli.cluster.seen import seen
from lancemill.report.lines import encodable, printable, rich_console, terminal_width, write_lines


def show_all(api: Api, *, everywhere: bool, json: bool) -> None:
    """Every pipeline of the namespace, or of all."""
    path = paths.ours(paths.PIPELINE, None if everywhere else api.namespace)
    found = [seen(one) for one in api.get(path).get("items") or ()]
    if json:
        print(encoder.dumps([story.to_json(one) for one in found], ensure_ascii=False))
        return
    if not found:
        where = "any namespace" if everywhere else f"namespace {api.namespace}"
        print(f"no {paths.PIPELINE} in {where}")
        return
    write_lines(story.table(found, datetime.now(UTC), namespaces=everywhere), sys.stdout)


def show_one(api: Api, name: str, *, json: bool) -> None:
    """All that matters of one pipeline."""
    found = look(api, name)
    if json:
        print(encoder.dumps(story.to_json(found), ensure_ascii=False))
        return
    lines = story.describe(found, datetime.now(UTC), terminal_width())
    if not sys.stdout.isatty():
        write_lines([line.text for line in lines], sys.stdout)
        return
    console = rich_console(sys.stdout)
    for line in lines:
        text = encodable(printable(line.text), sys.stdout)
        console.print(text, style=line.style or None, soft_wrap=True)
