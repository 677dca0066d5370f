"""Two attempts at one run: one that stood still while the other took the run over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lancemill.engine.context import local_context
from lancemill.engine.ledger import Ledger
from lancemill.engine.prepare import prepare
from lancemill.engine.run import RunInProgress, RunOptions
from lancemill.errors import Interrupted, RunConflict
from lancemill.manifest import load
from lancemill.sources.snapshot_file import publish

MANIFEST = """\
apiVersion: lancemill.dev/v1alpha1
kind: MultimodalPipeline
metadata: {name: overtaken}
spec:
  source: {objects: {uri: files}}
  stages:
    - {name: fetch, fetch: {column: uri, into: bytes}}
  sink: {lance: {uri: out.lance, columns: [key, bytes]}}
"""


class Silent:
    def start(self, title: str, meter: Any) -> None: ...

    def event(self, text: str) -> None: ...


def attempt(folder: Path) -> RunInProgress:
    manifest = folder / "pipeline.yaml"
    manifest.write_text(MANIFEST)
    job = load(manifest, ()).job(None)
    prepared = prepare(job.pipeline, job.datasets, job.base, local_context(job))
    return RunInProgress(prepared, RunOptions(run="r1", shard_bytes=30), Silent())


def files(folder: Path, *names: str) -> None:
    (folder / "files").mkdir(exist_ok=True)
    for name in names:
        (folder / "files" / name).write_bytes(b"0123456789")


def keys(folder: Path) -> list[str]:
    import lance

    found: list[str] = lance.dataset(str(folder / "out.lance")).to_table()["key"].to_pylist()
    return found


def test_an_attempt_overtaken_while_it_lists_goes_on_with_the_other_ones_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, *(f"b{n}" for n in range(10)))
    slow, quick = attempt(tmp_path), attempt(tmp_path)
    monkeypatch.setattr(Ledger, "alive", lambda *_: False)
    write = Ledger.write_record

    def stand_still(ledger: Ledger, record: dict[str, Any]) -> Any:
        monkeypatch.setattr(Ledger, "write_record", write)
        files(tmp_path, "a0", "a1")
        # The other attempt gets half way, with a listing of its own.
        finish = quick._finish
        done: list[int] = []

        def stop_early(result: Any, base: Any) -> None:
            finish(result, base)
            done.append(1)
            if len(done) == 2:
                raise Interrupted("stopped")

        quick._finish = stop_early  # type: ignore[method-assign]
        with pytest.raises(Interrupted):
            quick.execute()
        return write(ledger, record)

    monkeypatch.setattr(Ledger, "write_record", stand_still)
    with pytest.raises(RunConflict, match="taken over"):
        slow.execute()
    attempt(tmp_path).execute()
    assert keys(tmp_path) == ["a0", "a1", *(f"b{n}" for n in range(10))]


def test_an_attempt_overtaken_before_it_publishes_its_listing_leaves_the_other_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, *(f"b{n}" for n in range(10)))
    slow, quick = attempt(tmp_path), attempt(tmp_path)
    monkeypatch.setattr(Ledger, "alive", lambda *_: False)
    where = "lancemill.sources.objects.publish"

    def stand_still(*given: Any) -> Any:
        monkeypatch.setattr(where, publish)
        files(tmp_path, "a0", "a1")

        quick.ledger.claim()
        quick._record()
        quick.ledger.release()
        return publish(*given)

    monkeypatch.setattr(where, stand_still)
    with pytest.raises(RunConflict, match="taken over"):
        slow.execute()
    attempt(tmp_path).execute()
    assert keys(tmp_path) == ["a0", "a1", *(f"b{n}" for n in range(10))]


def test_an_attempt_overtaken_before_its_commit_leaves_nothing_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files(tmp_path, *(f"b{n}" for n in range(10)))
    slow, quick = attempt(tmp_path), attempt(tmp_path)
    monkeypatch.setattr(Ledger, "alive", lambda *_: False)
    still_mine = Ledger.still_mine

    def stand_still(ledger: Ledger) -> None:
        monkeypatch.setattr(Ledger, "still_mine", still_mine)
        quick.execute()
        still_mine(ledger)

    monkeypatch.setattr(Ledger, "still_mine", stand_still)
    with pytest.raises(RunConflict, match="taken over"):
        slow.execute()
    assert keys(tmp_path) == [f"b{n}" for n in range(10)]
    versions = (tmp_path / "out.lance" / "_versions").iterdir()
    assert [path.name for path in versions if path.name.startswith("d")] == []
