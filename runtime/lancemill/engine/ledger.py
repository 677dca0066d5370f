"""A run's ledger: what is needed to go on with it, beside the dataset, one small object each.

    <dataset>.runs/<run>/
        run.json            meaning, manifest, source snapshot, base version; written once
        source/0001/…       the snapshot's bulk, where it has one; of the attempt that took it
        attempts/0001.json  who works on the run; the highest number owns it
        done/00000012.json  a finished shard: fragments, counts, rows that failed
        committed.json      the outcome, for people and for `lancemill runs`
        report.html         the run's page

Every decision that must be made once is a create-only put. An attempt that has been overtaken may
still be alive: what it adds is harmless, since a finished shard is recorded once, and only the
owner commits.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lancemill.engine.result import ShardResult
from lancemill.errors import RunConflict, StorageError
from lancemill.storage import Location

BEAT_SECONDS = 5.0
"""How often an attempt says that it is alive; who doubts it watches for more than two beats."""


@dataclass(slots=True)
class Ledger:
    """One run's ledger."""

    run: str
    folder: Location
    attempt: int = 0
    _beating: threading.Event = field(default_factory=threading.Event)
    _beater: threading.Thread | None = None

    # -- the run's record

    def record(self) -> dict[str, Any] | None:
        """What the run was started with; None when it never got so far."""
        return self._json("run.json")

    def write_record(self, record: dict[str, Any]) -> dict[str, Any]:
        """Say what the run is, once; the record that stands, which may be another attempt's."""
        self.folder.put_new("run.json", _bytes(record))
        return self.record() or record

    def outcome(self) -> dict[str, Any] | None:
        """How the run ended, when it has been committed."""
        return self._json("committed.json")

    def write_outcome(self, outcome: dict[str, Any]) -> None:
        self.folder.put("committed.json", _bytes(outcome))

    @property
    def source_folder(self) -> str:
        """URI below which this attempt's snapshot keeps its bulk.

        An attempt that was overtaken while it listed may still write: never over the listing that
        the run's record refers to.
        """
        return f"{self.folder.uri.rstrip('/')}/source/{self.attempt:04d}"

    # -- shards

    def finish(self, result: ShardResult) -> bool:
        """Record a finished shard; False when another attempt had recorded it before."""
        return self._put_mine(f"done/{result.shard.index:08d}.json", result.to_json())

    def finished(self) -> dict[int, ShardResult]:
        """Every finished shard, by index."""
        results = [
            ShardResult.from_json(text)
            for name in self.folder.list("done/")
            if (text := self.folder.get(name)) is not None
        ]
        return {result.shard.index: result for result in results}

    def forget_shards(self) -> None:
        """Take back what is said of finished shards, before their files are removed."""
        self.folder.delete(*self.folder.list("done/"))

    # -- attempts

    def claim(self) -> int:
        """Become the run's owner; RunConflict while another attempt is alive."""
        latest = self._latest()
        if latest and self._alive(latest):
            who = self._json(_attempt(latest)) or {}
            raise RunConflict(
                f"run {self.run} is being worked on by process {who.get('pid')} on "
                f"{who.get('host')} (attempt {latest})",
                remedy="wait for it, stop it, or start a run of its own without --resume",
            )
        self.attempt = latest + 1
        if not self._put_mine(_attempt(self.attempt), _bytes(_identity())):
            raise RunConflict(f"run {self.run} has just been taken up by another process")
        self._beater = threading.Thread(target=self._beat, name="lancemill-beat", daemon=True)
        self._beater.start()
        return self.attempt

    def still_mine(self) -> None:
        """RunConflict when a later attempt has taken the run over."""
        if self._latest() != self.attempt:
            raise RunConflict(
                f"run {self.run} has been taken over by attempt {self._latest()}; "
                f"attempt {self.attempt} commits nothing"
            )

    def release(self) -> None:
        """Let another attempt go on at once."""
        self._beating.set()
        if self._beater is not None:
            self._beater.join()
            self._beater = None
            # How the run ended counts more than a note of it; the next attempt sees no beat.
            with contextlib.suppress(StorageError):
                self.folder.put(f"attempts/{self.attempt:04d}.end", b"{}")

    def _beat(self) -> None:
        count = 0
        while not self._beating.wait(BEAT_SECONDS):
            count += 1
            # A store that does not answer now may answer the next beat; the run itself will tell.
            with contextlib.suppress(Exception):
                self.folder.put(f"attempts/{self.attempt:04d}.beat", str(count).encode())

    def _latest(self) -> int:
        names = [name for name in self.folder.list("attempts/") if name.endswith(".json")]
        return max((int(Path(name).stem) for name in names), default=0)

    def _alive(self, attempt: int) -> bool:
        if self.folder.get(f"attempts/{attempt:04d}.end") is not None:
            return False
        who = self._json(_attempt(attempt))
        if who is not None and who.get("host") == _identity()["host"]:
            return bool(_process_start(int(who["pid"])) == who["started"])
        # Another machine: its clock says nothing here, but its beat goes on or does not.
        name = f"attempts/{attempt:04d}.beat"
        before = self.folder.get(name)
        end = time.monotonic() + 2.4 * BEAT_SECONDS
        while time.monotonic() < end:
            time.sleep(BEAT_SECONDS / 5)
            if self.folder.get(name) != before:
                return True
        return False

    def _put_mine(self, name: str, data: bytes) -> bool:
        """A create-only put; True also when the answer was lost and a retry found our own write."""
        return self.folder.put_new(name, data) or self.folder.get(name) == data

    def _json(self, name: str) -> dict[str, Any] | None:
        text = self.folder.get(name)
        told: dict[str, Any] | None = None if text is None else json.loads(text)
        return told


def runs_below(folder: Location) -> Iterator[Ledger]:
    """The ledgers of every run of a dataset (`<dataset>.runs`), in the order of their ids."""
    names = {name.split("/")[0] for name in folder.list("") if "/" in name}
    for run in sorted(names):
        yield Ledger(run, folder.child(run))


def _attempt(number: int) -> str:
    return f"attempts/{number:04d}.json"


def _identity() -> dict[str, Any]:
    return {
        "host": f"{socket.gethostname()}/{_boot()}",
        "pid": os.getpid(),
        "started": _process_start(os.getpid()),
        "nonce": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _boot() -> str:
    """What tells this boot of this machine (or this container) from another of the same name."""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8] + namespace
    return ""


def _process_start(pid: int) -> str | None:
    """What tells a process from a later one with its number; None when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return None
    try:  # no /proc (macOS): a number that is in use is taken for the same process
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
