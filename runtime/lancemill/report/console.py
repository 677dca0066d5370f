"""What a run shows while it goes on: a block that redraws on a terminal, JSON lines elsewhere.

The console only reads: the meter's `Progress` while the run goes on, the `RunSummary` when it is
over. Quiet when all is well; what needs attention (a stall, rows set aside) gets a line of its own.

    console = Console()
    console.start("cats · run 7f3a", meter)
    …
    console.stop(summary)
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, redirect_stdout, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from lancemill.engine.meter import Meter
from lancemill.engine.progress import Progress
from lancemill.errors import LancemillError
from lancemill.report.block import block_lines, header
from lancemill.report.lines import NARROWEST, encodable, rich_console, write_lines
from lancemill.report.summary import RunSummary
from lancemill.report.words import closing_lines

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

__all__ = ["Console", "Mode", "json_line", "resolve"]

Mode = Literal["auto", "live", "json", "plain", "quiet"]
"""`auto` is `live` on a terminal, and elsewhere `json` on standard output with the closing lines
for people on standard error; `json` is JSON lines and nothing else; `plain` is text without
redrawing; `quiet` shows the closing lines only."""


class _View(Protocol):
    """One way of showing a run."""

    def start(self, title: str, meter: Meter) -> None: ...

    def event(self, text: str, kind: str, facts: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...

    def finish(self, summary: RunSummary) -> None: ...


class Console:
    """Shows one run; `stop` or `close` ends it, whatever happened. Usable as a context manager."""

    def __init__(
        self,
        mode: Mode = "auto",
        *,
        stream: TextIO | None = None,
        interval: float | None = None,
        width: int | None = None,
    ) -> None:
        out = stream or sys.stdout
        self._mode = resolve(mode, out)
        self._for_people = sys.stderr if mode == "auto" and self._mode == "json" else None
        self._view = _view(self._mode, out, interval, width)
        self._elsewhere = ExitStack()

    def start(self, title: str, meter: Meter) -> None:
        """Begin to show a run; `title` is `cats · run 7f3a`."""
        self._view.start(title, meter)

    def event(self, text: str, *, kind: str = "note", **facts: object) -> None:
        """Tell something that happened: a line above the block, or a JSON line with `facts`."""
        self._view.event(text, kind, facts)

    def stop(self, summary: RunSummary) -> None:
        """The run is over: take the block away and print the closing lines."""
        self._view.close()
        self._view.finish(summary)
        if self._for_people is not None:
            write_lines(closing_lines(summary), self._for_people)

    def refused(self, error: LancemillError) -> None:
        """No run began, for this reason: told here as JSON only, people get it as an error."""
        self._view.close()
        if isinstance(self._view, JsonView):
            self._view.refused(error)

    def close(self) -> None:
        """Take the block away and print nothing, as before an error is told."""
        self._view.close()

    def __enter__(self) -> Console:
        if self._mode == "json":
            # What a user's function prints would stand between the lines.
            self._elsewhere.enter_context(redirect_stdout(sys.stderr))
        return self

    def __exit__(self, *_: object) -> None:
        self._elsewhere.close()
        self.close()


class LiveView:
    """A block on a terminal, redrawn four times a second by rich."""

    def __init__(self, stream: TextIO, interval: float, width: int | None) -> None:
        self._stream = stream
        self._interval = interval
        self._console = rich_console(stream, width)
        self._live: Live | None = None

    def start(self, title: str, meter: Meter) -> None:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            get_renderable=lambda: self._block(title, meter.sample()),
            refresh_per_second=1 / self._interval,
            transient=True,
        )
        self._live.start(refresh=True)

    def event(self, text: str, kind: str, facts: Mapping[str, Any]) -> None:
        self._console.print(encodable(text, self._stream), markup=False, highlight=False)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, summary: RunSummary) -> None:
        write_lines(closing_lines(summary), self._stream, self._console)

    def _block(self, title: str, progress: Progress) -> Text:
        from rich.text import Text

        width = max(NARROWEST, self._console.width)
        block = Text(no_wrap=True, overflow="crop")
        for at, line in enumerate(block_lines(title, progress, width)):
            text = encodable(line.text, self._stream)
            block.append("\n" if at else "").append(text, style=line.style)
        return block


class TickingView:
    """A line every few seconds, from a thread that ends with the run."""

    def __init__(self, stream: TextIO, interval: float) -> None:
        self._stream = stream
        self._interval = interval
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._writing = threading.Lock()

    def start(self, title: str, meter: Meter) -> None:
        self._over.clear()
        self.begin(title, meter)
        self._thread = threading.Thread(
            target=self._tick, args=(title, meter), name="console", daemon=True
        )
        self._thread.start()

    def begin(self, title: str, meter: Meter) -> None:
        """The first line."""

    def tick(self, title: str, progress: Progress) -> str:
        """The line of one moment."""
        raise NotImplementedError

    def close(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def write(self, line: str) -> None:
        """One whole line, whichever thread writes it; a reader that went away ends no run."""
        with self._writing, suppress(BrokenPipeError):
            self._stream.write(encodable(line, self._stream) + "\n")
            self._stream.flush()

    def _tick(self, title: str, meter: Meter) -> None:
        while not self._over.wait(self._interval):
            self.write(self.tick(title, meter.sample()))


class JsonView(TickingView):
    """One JSON object a line, each with `event` and `time`."""

    def begin(self, title: str, meter: Meter) -> None:
        self._emit("started", {"title": title, "rowsTotal": meter.rows_total})

    def tick(self, title: str, progress: Progress) -> str:
        return json_line("progress", progress.to_json())

    def event(self, text: str, kind: str, facts: Mapping[str, Any]) -> None:
        self._emit(kind, {"text": text, **facts})

    def finish(self, summary: RunSummary) -> None:
        self._emit("finished", {**summary.to_json(), "exitStatus": summary.exit_status})

    def refused(self, error: LancemillError) -> None:
        facts = {"result": "failed", "message": str(error), "exitStatus": error.exit_status}
        self._emit("finished", facts)

    def _emit(self, event: str, facts: Mapping[str, Any]) -> None:
        self.write(json_line(event, facts))


class PlainView(TickingView):
    """Text without redrawing: for a log that people read, and for terminals that cannot redraw."""

    def tick(self, title: str, progress: Progress) -> str:
        return header(title, progress, width=200)

    def event(self, text: str, kind: str, facts: Mapping[str, Any]) -> None:
        self.write(text)

    def finish(self, summary: RunSummary) -> None:
        write_lines(closing_lines(summary), self._stream)


class QuietView:
    """The closing lines and nothing else."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, title: str, meter: Meter) -> None: ...

    def event(self, text: str, kind: str, facts: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...

    def finish(self, summary: RunSummary) -> None:
        write_lines(closing_lines(summary), self._stream)


def _view(mode: Mode, stream: TextIO, interval: float | None, width: int | None) -> _View:
    makers: dict[str, Callable[[], _View]] = {
        "live": lambda: LiveView(stream, interval or 0.25, width),
        "json": lambda: JsonView(stream, interval or 5.0),
        "plain": lambda: PlainView(stream, interval or 5.0),
        "quiet": lambda: QuietView(stream),
    }
    return makers[mode]()


def resolve(mode: Mode, stream: TextIO) -> Mode:
    """What `auto` is on this stream."""
    if mode != "auto":
        return mode
    if not stream.isatty():
        return "json"
    return "plain" if os.environ.get("TERM", "").lower() in {"dumb", "unknown"} else "live"


def json_line(event: str, facts: Mapping[str, Any]) -> str:
    """An event as one line."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"event": event, "time": time, **facts}, ensure_ascii=False, default=str)
