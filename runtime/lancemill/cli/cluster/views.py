"""Ways to show a run that goes on in a cluster: the same as for a local one (`report.console`)."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from lancemill.cli.cluster import story
from lancemill.cli.cluster.outcome import Reading, exit_status
from lancemill.cli.cluster.seen import Seen
from lancemill.report.console import Mode, json_line, resolve
from lancemill.report.lines import NARROWEST, encodable, printable, rich_console, write_lines

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text


class View(Protocol):
    """One way of showing."""

    def show(self, seen: Seen) -> None:
        """The pipeline as it is now."""
        ...

    def close(self) -> None:
        """Take away what is redrawn. May be called twice."""
        ...

    def finish(self, reading: Reading, seen: Seen) -> None:
        """Tell how it ended."""
        ...


def view(mode: Mode, stream: TextIO | None = None) -> View:
    """`auto` is a block on a terminal; elsewhere JSON lines, and closing lines on stderr."""
    out = stream or sys.stdout
    resolved = resolve(mode, out)
    if resolved == "json":
        return JsonView(out, sys.stderr if mode == "auto" else None)
    if resolved == "live":
        return LiveView(out)
    return PlainView(out, quiet=resolved == "quiet")


class LiveView:
    """A block that redraws."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = rich_console(stream)
        self._live: Live | None = None
        self._seen: Seen | None = None

    def show(self, seen: Seen) -> None:
        from rich.live import Live

        failed = _failed_attempt(self._seen, seen)
        self._seen = seen
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._block,
                refresh_per_second=2,
                transient=True,
            )
            self._live.start(refresh=True)
        if failed:
            text = encodable(printable(failed), self._stream)
            self._console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def finish(self, reading: Reading, seen: Seen) -> None:
        self.close()
        write_lines(ending(reading, seen), self._stream, self._console)

    def _block(self) -> Text:
        from rich.text import Text

        block = Text(no_wrap=True, overflow="crop")
        if self._seen is None:
            return block
        width = max(NARROWEST, self._console.width)
        for at, line in enumerate(story.block(self._seen, datetime.now(UTC), width)):
            text = encodable(printable(line.text), self._stream)
            block.append("\n" if at else "").append(text, style=line.style)
        return block


class PlainView:
    """A line for each change that people would want to know of."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._told = ""

    def show(self, seen: Seen) -> None:
        if self._quiet:
            return
        now = datetime.now(UTC)
        percent = seen.status.progress.text if seen.status.progress is not None else None
        running = seen.phase == "Running"
        why = percent or "" if running else story.reasons(seen, now)
        parts = (story.title(seen), seen.phase, why)
        line = " · ".join(filter(None, parts))
        if line != self._told:
            self._told = line
            write_lines([line], self._stream)

    def close(self) -> None: ...

    def finish(self, reading: Reading, seen: Seen) -> None:
        write_lines(ending(reading, seen), self._stream)


class JsonView:
    """A JSON object a line: `status` at each change, then `finished`."""

    def __init__(self, stream: TextIO, for_people: TextIO | None = None) -> None:
        self._stream = stream
        self._for_people = for_people
        self._told: dict[str, Any] = {}

    def show(self, seen: Seen) -> None:
        facts = _facts(seen)
        if facts != self._told:
            self._told = facts
            self._write("status", facts)

    def close(self) -> None: ...

    def finish(self, reading: Reading, seen: Seen) -> None:
        run = reading.run
        self._write(
            "finished",
            {
                "name": seen.name,
                "namespace": seen.namespace,
                "state": reading.state,
                "exitStatus": exit_status(reading),
                "run": None if run is None else run.model_dump(mode="json", by_alias=True),
                "message": None if run is not None else seen.message or None,
            },
        )
        if self._for_people is not None:
            write_lines(ending(reading, seen), self._for_people)

    def _write(self, event: str, facts: dict[str, Any]) -> None:
        self._stream.write(encodable(json_line(event, facts), self._stream) + "\n")
        self._stream.flush()


def ending(reading: Reading, seen: Seen) -> list[str]:
    """How it ended, for people."""
    now = datetime.now(UTC)
    if reading.state == "over" and reading.run is not None:
        return story.closing_lines(seen, reading.run)
    if reading.state == "refused":
        return [f"✗ {seen.name} · the manifest is refused: {seen.message}"]
    if reading.state == "lost":
        return [f"✗ {seen.name} · run {reading.wanted.run} is no longer in its status"]
    lines = [f"✓ {seen.name} · no run goes on: {story.reasons(seen, now)}"]
    if reading.run is not None:
        lines[0] = f"✓ {seen.name} · nothing new to run; the last run:"
        lines += story.closing_lines(seen, reading.run)
    return lines


def _facts(seen: Seen) -> dict[str, Any]:
    current, progress = seen.current, seen.status.progress
    shown = current is not None and progress is not None
    return {
        "name": seen.name,
        "namespace": seen.namespace,
        "phase": seen.phase or None,
        "reason": seen.reason or None,
        "message": seen.message or None,
        "run": current.id if current is not None else None,
        "attempt": current.attempt if current is not None else None,
        "state": current.state if current is not None else None,
        "progress": progress.model_dump(mode="json", by_alias=True)
        if shown and progress is not None
        else None,
    }


def _failed_attempt(before: Seen | None, now: Seen) -> str:
    """The line that an attempt leaves when it is followed by another one."""
    if before is None or before.current is None or now.current is None:
        return ""
    if now.current.id != before.current.id or now.current.attempt == before.current.attempt:
        return ""
    why = now.current.message or now.current.why or before.current.message
    return f"attempt {before.current.attempt}: {why}" if why else ""
