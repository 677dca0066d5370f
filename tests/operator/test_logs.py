"""Logs: complete enough to follow a run, and without anything that may be secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from lancemill_operator import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in logs._QUIET}
    yield
    root.handlers[:], root.level = handlers, level
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)
    structlog.reset_defaults()


def test_a_line_is_a_json_object_with_its_labels() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logs.logger(namespace="n").info("reconciled", name="cats", run="7f3a", attempt=2)
    line = json.loads(out.getvalue())
    assert {"event", "level", "timestamp"} <= line.keys()
    assert (line["namespace"], line["name"], line["run"], line["attempt"]) == (
        "n",
        "cats",
        "7f3a",
        2,
    )


def test_foreign_loggers_speak_the_same_language() -> None:
    out = io.StringIO()
    logs.configure("json", "info", out)
    logging.getLogger("kopf.activities").info("Activity %s succeeded.", "login")
    line = json.loads(out.getvalue())
    assert line["event"] == "Activity login succeeded."
    assert line["logger"] == "kopf.activities"


def test_pretty_lines_are_for_people() -> None:
    out = io.StringIO()
    logs.configure("pretty", "info", out)
    logs.logger().warning("failed", name="cats")
    assert "failed" in out.getvalue()
    assert "name=cats" in out.getvalue()


def test_what_is_below_the_level_is_not_said() -> None:
    out = io.StringIO()
    logs.configure("json", "warning", out)
    logs.logger().info("quiet")
    logging.getLogger("kopf").info("quiet too")
    assert out.getvalue() == ""


def test_bodies_of_answers_are_not_logged_even_when_all_is() -> None:
    out = io.StringIO()
    logs.configure("json", "debug", out)
    logging.getLogger("kubernetes_asyncio.client.rest").debug("response body: %s", "hunter2")
    logging.getLogger("kopf.objects").debug("hunter2")
    assert "hunter2" not in out.getvalue()


def test_local_variables_of_an_error_are_not_logged() -> None:
    out = io.StringIO()
    logs.configure("pretty", "debug", out)
    password = "hunter2"
    try:
        raise ValueError(len(password))
    except ValueError:
        logs.logger().exception("failed")
    assert "ValueError" in out.getvalue()
    assert "hunter2" not in out.getvalue().replace('password = "hunter2"', "")
