"""Logs: one line for each thing that happened, with namespace, name, run and attempt.

JSON for machines, or coloured lines for people. kopf's and aiohttp's own loggers go the same way.
Bodies of requests and answers are never logged by any of them, so no secret can get in.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

Form = Literal["json", "pretty"]
Level = Literal["debug", "info", "warning", "error"]
Log = FilteringBoundLogger

_QUIET = {
    "kopf.objects": logging.WARNING,
    "kopf._core.reactor.running": logging.ERROR,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "kubernetes_asyncio": logging.INFO,
}
"""The least that foreign loggers may say: below that they print bodies, each event, or that
somebody else than they handles signals."""


def configure(form: Form = "json", level: Level = "info", to: TextIO | None = None) -> None:
    """Send all logs of the process to `to` (standard error), in that form."""
    stream = to or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    number = logging.getLevelName(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendered(form, stream),
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(number, least))


def _rendered(form: Form, stream: TextIO) -> list[Processor]:
    if form == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback  # rich would print the values of local variables
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]


def logger(**context: Any) -> Log:
    """A logger whose lines say this too."""
    log: Log = structlog.get_logger("lancemill_operator").bind(**context)
    return log
