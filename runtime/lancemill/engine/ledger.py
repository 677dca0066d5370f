"""A run's ledger: what is needed to go on with it, beside the dataset, one small object each.

    <dataset>.runs/<run>/
        run.json            meaning, manifest, source snapshot, base version; written once
        source/0001/…       the snapshot's bulk, where it has one; of the attempt that took it
        attempts/0001.json  who works on the run, under which epoch; the highest number owns it
        attempts/0001.verdict   what the attempt may do at its end; written once
        done/00000012.json  a finished shard: fragments, counts, rows that failed
        committed.json      the outcome, for people and for `lancemill runs`
        report.html         the run's page

Every decision that must be made once is a create-only put. An attempt that has been overtaken may
still be alive: what it adds is harmless, since a finished shard is recorded once, and its verdict
is taken from it: each attempt has one, and whoever puts it first decides. The attempt itself says
`commits` (before it does) or `failed` (where the next one would fail as well); who takes the run
over says `closed`, and then that attempt never commits. Where `commits` stands, the run will be
committed, by whoever finishes it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lancemill.engine.attempt import BEAT_SECONDS, identity, is_alive
from lancemill.engine.result import ShardResult
from lancemill.engine.results import Results
from lancemill.errors import Interrupted, Overtaken, RunConflict, StorageError
from lancemill.storage import Location, together

COMMITS = "commits"
FAILED = "failed"
CLOSED = "closed"

STOPPED_S = 3.0
"""How long who stops a run waits for a store to note that. The next attempt sees no beat either."""
CLAIMS = 16
"""Claims that may be lost to others, one after another."""


@dataclass(slots=True)
class Ledger:
    """One run's ledger."""

    run: str
    folder: Location
    attempt: int = 0
    spending: Callable[[], dict[str, float]] = dict
    """What this attempt has spent so far, told with each beat and at its end."""
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
        """Say how the run ended, once."""
        self.folder.put_new("committed.json", _bytes(outcome))

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
        return self._put_mine(_done(result.shard.index), result.to_json())

    def finished(self) -> Results:
        """Every finished shard, by index."""
        results = Results()
        together(lambda name: results.add(self.folder.get(name)), self.folder.list("done/"))
        return results

    def recorded(self, index: int) -> ShardResult | None:
        """What stands there of one shard, whoever finished it."""
        text = self.folder.get(_done(index))
        return None if text is None else ShardResult.from_json(text)

    def shards_done(self) -> int:
        """How many shards are finished."""
        return len(self.folder.list("done/"))

    def forget_shards(self) -> None:
        """Take back what is said of finished shards, before their files are removed."""
        self.folder.delete(*self.folder.list("done/"))

    # -- attempts

    def claim(self, epoch: int = 0, overtaken: Callable[[], None] = lambda: None) -> int:
        """Become the run's owner; `overtaken` is called, by a thread, when that is over.

        An epoch is given by whoever orders attempts (the operator): a higher one takes the run
        over at once, a lower one is refused for good (Overtaken). Under the same epoch the run
        is free when its last attempt is dead; RunConflict while it is alive.
        """
        for _ in range(CLAIMS):
            latest = self.latest()
            who = self.who(latest)
            self._refuse_lower(epoch, who)
            if latest and epoch == who.get("epoch", 0) and self.alive(latest):
                raise RunConflict(
                    f"run {self.run} is being worked on by process {who.get('pid')} on "
                    f"{who.get('host')} (attempt {latest})",
                    remedy="wait for it, stop it, or start a run of its own without --resume",
                )
            if self._put_attempt(latest + 1, identity(epoch)):
                self._close(range(1, self.attempt))
                self._start_beating(overtaken)
                return self.attempt
        raise RunConflict(f"run {self.run} has just been taken up by another process")

    def close_below(self, epoch: int) -> list[int]:
        """No attempt of a lower epoch works or commits from now on; their numbers.

        Needs no attempt of its own where one of that epoch or a higher one has claimed the run.
        """
        for _ in range(CLAIMS):
            latest = self.latest()
            if latest and self.who(latest).get("epoch", 0) >= epoch:
                break
            if self._put_attempt(latest + 1, identity(epoch, settles=True)):
                break
        else:
            raise RunConflict(f"run {self.run} is taken up again and again by other processes")
        numbers = range(1, self.latest() + 1)
        below = [one for one in numbers if self.who(one).get("epoch", 0) < epoch]
        self._close(below)
        return below

    def still_mine(self) -> None:
        """Overtaken when a later attempt has taken the run over."""
        if self._overtaken():
            raise Overtaken(
                f"run {self.run} has been taken over by attempt {self.latest()}; "
                f"attempt {self.attempt} commits nothing"
            )

    def decide(self, verdict: str, **more: Any) -> None:
        """Say what this attempt does at its end; Overtaken where that was taken from it."""
        said = {"verdict": verdict, "nonce": uuid.uuid4().hex, **more}
        if not self._put_mine(_verdict(self.attempt), _bytes(said)):
            raise Overtaken(
                f"run {self.run} has been taken over; attempt {self.attempt} commits nothing"
            )

    def verdict(self, attempt: int) -> dict[str, Any]:
        """What was decided of an attempt; empty where nothing was."""
        return self._json(_verdict(attempt)) or {}

    def begun(self) -> tuple[int, dict[str, Any]] | None:
        """The first attempt that said that it commits, and what it said."""
        for name in self._names(".verdict"):
            number = int(Path(name).stem)
            said = self.verdict(number)
            if said.get("verdict") == COMMITS:
                return number, said
        return None

    def who(self, attempt: int) -> dict[str, Any]:
        """What an attempt said of itself; empty for the attempt before the first."""
        return self._json(_attempt(attempt)) or {}

    def release(self, error: BaseException | None = None) -> None:
        """Let another attempt go on at once; `error` is what ended this one."""
        self._beating.set()
        if self._beater is None:
            return
        said = {}
        if error is not None and not isinstance(error, Overtaken):
            said = {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, Interrupted):
            last = threading.Thread(target=self._say_end, args=(said,), daemon=True)
            last.start()
            last.join(STOPPED_S)
        else:
            self._say_end(said)

    def _say_end(self, said: dict[str, Any]) -> None:
        assert self._beater is not None, "only who has claimed the run ends"
        self._beater.join()
        self._beater = None
        # How the run ended counts more than a note of it; the next attempt sees no beat.
        with contextlib.suppress(StorageError):
            said = {**said, **self.spending()}
            self.folder.put(f"attempts/{self.attempt:04d}.end", _bytes(said))

    def end(self, attempt: int) -> dict[str, Any] | None:
        """What an attempt said when it ended; None where it has not, or could not."""
        return self._json(f"attempts/{attempt:04d}.end")

    def _refuse_lower(self, epoch: int, who: Mapping[str, Any]) -> None:
        latest = who.get("epoch", 0)
        if epoch == 0 < latest:
            raise Overtaken(
                f"run {self.run} was ordered under epoch {latest}, and this attempt has none",
                remedy=f"leave it to its operator, or give --epoch {latest}",
            )
        if epoch < latest:
            raise Overtaken(
                f"run {self.run} has been taken over under epoch {latest}; epoch {epoch} does "
                "nothing"
            )

    def _put_attempt(self, number: int, who: dict[str, Any]) -> bool:
        if not self._put_mine(_attempt(number), _bytes(who)):
            return False
        self.attempt = number
        return True

    def _close(self, attempts: Iterable[int]) -> None:
        """Take the verdict from these attempts, where they have not said theirs."""
        decided = set(self._names(".verdict"))
        for number in attempts:
            if _verdict(number) not in decided:
                self.folder.put_new(_verdict(number), _bytes({"verdict": CLOSED}))

    def _start_beating(self, overtaken: Callable[[], None]) -> None:
        self._beater = threading.Thread(
            target=self._beat, args=(overtaken,), name="lancemill-beat", daemon=True
        )
        self._beater.start()

    def _beat(self, overtaken: Callable[[], None]) -> None:
        count = 0
        while not self._beating.wait(BEAT_SECONDS):
            count += 1
            # A store that does not answer now may answer the next beat; the run itself will tell.
            with contextlib.suppress(Exception):
                said = _bytes({"beat": count, **self.spending()})
                self.folder.put(f"attempts/{self.attempt:04d}.beat", said)
                if self._overtaken():
                    overtaken()
                    return

    def _overtaken(self) -> bool:
        # Attempts are numbered without gaps: each puts the number behind the last one.
        return self.folder.get(_attempt(self.attempt + 1)) is not None

    def latest(self) -> int:
        """The number of the last attempt; 0 before the first."""
        return max((int(Path(name).stem) for name in self._names(".json")), default=0)

    def _names(self, suffix: str) -> list[str]:
        return [name for name in self.folder.list("attempts/") if name.endswith(suffix)]

    def alive(self, attempt: int) -> bool:
        """Whether the process of an attempt is at work; looks for some seconds where it must."""
        if self.end(attempt) is not None:
            return False
        return is_alive(self.folder, f"attempts/{attempt:04d}.beat", self.who(attempt))

    def _put_mine(self, name: str, data: bytes) -> bool:
        """A create-only put; True also when the answer was lost and a retry found our own write."""
        return self.folder.put_new(name, data) or self.folder.get(name) == data

    def _json(self, name: str) -> dict[str, Any] | None:
        text = self.folder.get(name)
        told: dict[str, Any] | None = None if text is None else json.loads(text)
        return told


def _done(shard: int) -> str:
    return f"done/{shard:08d}.json"


def _attempt(number: int) -> str:
    return f"attempts/{number:04d}.json"


def _verdict(number: int) -> str:
    return f"attempts/{number:04d}.verdict"


def _bytes(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
