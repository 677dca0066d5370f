"""The state of a LanceDataset: kept true by short Jobs that look at it in its tenant's namespace.

A Job answers one question: what is the dataset like, for this generation of its specification and
these commits? The status remembers the question that it answers, so that each is asked once; a
question that got no answer is asked anew under another name, with a growing pause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from lancemill_api import reach
from lancemill_api.dataset import LanceDataset
from lancemill_api.status import DatasetStatus
from lancemill_operator import names, times
from lancemill_operator.actions import Action, Create, Decision, Delete, Emit, Want
from lancemill_operator.facts import DatasetFacts, Missing, ProbeView
from lancemill_operator.manifests import dataset_manifest, dataset_probe
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.probe import DATASET, dataset_manifest_name
from lancemill_operator.status import Said, at_rest, at_work, conditions, find, stuck

PROBLEMS = ("SchemaDrift", "StorageUnsupported", "AccessDenied", "BucketMissing")
"""Each a condition of its own."""
_FIRST, _LONGEST = timedelta(seconds=10), timedelta(minutes=5)
_LOOK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Look:
    """One dataset at one moment."""

    facts: DatasetFacts
    dataset: LanceDataset
    now: datetime
    defaults: Defaults

    @property
    def status(self) -> DatasetStatus:
        """What we said last."""
        return self.facts.status

    def says(self, three: tuple[Said, ...], *more: Said, **updates: object) -> DatasetStatus:
        """The status with these conditions; problems not spoken of stay as they are."""
        spoken = {one.type: one for one in (*three, *more)}
        said = [
            spoken.get(kind) or _as_before(self.status, kind)
            for kind in ("Ready", "Reconciling", "Stalled", *PROBLEMS)
        ]
        generation = self.facts.identity.generation
        return self.status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": conditions(self.status.conditions, said, generation, self.now),
                **updates,
            }
        )


def decide_dataset(
    facts: DatasetFacts, now: datetime, defaults: Defaults
) -> Decision[DatasetStatus]:
    """What is true of the dataset at `now`, what is to be done, and when to look again."""
    if facts.identity.deleting:
        return Decision(facts.status)
    mistakes = facts.mistakes or _mistakes(facts.dataset)
    if facts.dataset is None or mistakes:
        return _refused(facts, mistakes, now)
    look = Look(facts, facts.dataset, now, defaults)
    question = _question(look)
    if question is None:
        return Decision(look.says(_three_as_before(facts.status)), look_again=_until_refresh(look))
    pause = _pause(look)
    if pause > timedelta():
        return Decision(look.says(_three_as_before(facts.status)), look_again=pause)
    unseen = frozenset({Want.PREFLIGHT, Want.PROBES}) - facts.looked
    if unseen:
        return Decision(facts.status, wants=unseen)
    if facts.missing:
        return _missing(look, facts.missing)
    return _asked(look, question)


def _question(look: Look) -> str | None:
    """What there is to be known that nobody has answered; None where there is nothing.

    The same until it is answered, so that one Job answers it whatever happens meanwhile.
    """
    wanted = _wanted(look.facts)
    again = look.status.probe_failures > 0 or _until_refresh(look) <= timedelta()
    if look.status.probe_token == wanted and not again:
        return None
    before = look.status.probe_time if look.status.probe_token == wanted else ""
    return f"{look.facts.identity.uid}/{wanted}/{before}"


def _wanted(facts: DatasetFacts) -> str:
    """The state of the world that an answer is about: this specification, these commits."""
    return f"{facts.identity.generation}/{max(facts.committed.values(), default=0)}"


def _until_refresh(look: Look) -> timedelta:
    """Time until the dataset is looked at without anybody having said that it changed."""
    every = timedelta(seconds=look.defaults.dataset_refresh_seconds)
    if look.status.probe_time is None:
        return every
    return every - times.since(look.status.probe_time, look.now)


def _pause(look: Look) -> timedelta:
    """How long to wait before a question that got no good answer is asked again."""
    failures = look.status.probe_failures
    if not failures or look.status.probe_token != _wanted(look.facts):
        return timedelta()
    length = times.doubled(_FIRST, _LONGEST, failures)
    return length - times.since(look.status.probe_time, look.now)


def _asked(look: Look, question: str) -> Decision[DatasetStatus]:
    """The Job that asks it: made, waited for, or listened to."""
    job = next(
        (
            one
            for one in look.facts.probes or ()
            if one.purpose == DATASET and one.token == names.digest(question)
        ),
        None,
    )
    if job is None:
        identity = look.facts.identity
        made: tuple[Action, ...] = (
            Create(dataset_manifest(identity, look.facts.document)),
            Create(dataset_probe(identity, look.dataset, token=question, defaults=look.defaults)),
        )
        return Decision(_looking(look, "the store is looked at"), actions=made, look_again=_LOOK)
    if not job.finished:
        return Decision(_looking(look, job.problem or "the store is looked at"), look_again=_LOOK)
    return _heard(look, job)


def _looking(look: Look, message: str) -> DatasetStatus:
    """A look at a new generation is work to be waited for; a routine one changes nothing."""
    new = look.status.observed_generation != look.facts.identity.generation
    ready = find(look.status.conditions, "Ready")
    if new or ready is None or ready.status == "Unknown":
        return look.says(at_work("Looking", message))
    return look.says(_three_as_before(look.status))


# -- what a Job has said


def _heard(look: Look, job: ProbeView) -> Decision[DatasetStatus]:
    answer = job.answer or {}
    if answer.get("ok") is True and (status := _good(look, answer)) is not None:
        return Decision(
            status,
            before=_outdated(look),
            actions=_news(look, status),
            look_again=_until_refresh(look),
        )
    kind = answer.get("problem")
    reason = kind if kind in PROBLEMS else "ProbeFailed"
    message = str(
        answer.get("message") or answer.get("error") or job.problem or "it ended without an answer"
    )
    status = look.says(
        stuck(reason, message),
        *(
            Said(one, "True", reason, message) if one == reason else Said(one, "False", reason)
            for one in PROBLEMS
        ),
        probe_token=_wanted(look.facts),
        probe_time=times.text(look.now),
        probe_failures=look.status.probe_failures + 1,
    )
    return Decision(status, actions=_news(look, status), look_again=_FIRST)


def _good(look: Look, answer: Mapping[str, Any]) -> DatasetStatus | None:
    exists = bool(answer.get("exists"))
    version = answer.get("version")
    message = (
        f"version {version}, {answer.get('rows')} rows"
        if exists
        else "it does not exist yet; its first run makes it"
    )
    if answer.get("message"):
        message = f"{message}; {answer['message']}"
    commit = answer.get("lastCommit") or {}
    found = {
        "version": version,
        "rows": answer.get("rows"),
        "fragments": answer.get("fragments"),
        "size": _size(answer.get("liveBytes")),
        "liveBytes": answer.get("liveBytes"),
        "physicalBytes": answer.get("physicalBytes"),
        "formatVersion": answer.get("formatVersion"),
        "schema": list(answer.get("schema") or ()),
        "tags": dict(answer.get("tags") or {}),
        "lastCommit": (
            {**commit, "text": f"{commit.get('pipeline') or '?'}/{commit.get('run') or '?'}"}
            if commit
            else None
        ),
    }
    try:
        read = DatasetStatus.model_validate(found)
    except ValidationError:
        return None
    updates = {name: getattr(read, name) for name in read.model_fields_set}
    return look.says(
        at_rest("Ready", message),
        *(Said(kind, "False", "AsExpected") for kind in PROBLEMS),
        probe_token=_wanted(look.facts),
        probe_time=times.text(look.now),
        probe_failures=0,
        **updates,
    )


def _outdated(look: Look) -> tuple[Action, ...]:
    """The manifest that the probes of an earlier generation read."""
    answered = (look.status.probe_token or "").partition("/")[0]
    if not answered or answered == str(look.facts.identity.generation):
        return ()
    name = dataset_manifest_name(look.facts.identity, int(answered))
    return (Delete("v1", "ConfigMap", name),)


def _news(look: Look, status: DatasetStatus) -> tuple[Action, ...]:
    """An Event where Ready has changed."""
    before, after = find(look.status.conditions, "Ready"), find(status.conditions, "Ready")
    assert after is not None
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return ()
    good = after.status == "True"
    token = f"{look.facts.identity.generation}/{after.reason}/{after.last_transition_time}"
    kind = "Normal" if good else "Warning"
    return (Emit(kind, "DatasetReady" if good else after.reason, after.message, token),)


# -- what keeps it from being looked at


def _missing(look: Look, missing: tuple[Missing, ...]) -> Decision[DatasetStatus]:
    message = "; ".join(one.told for one in missing)
    status = look.says(at_work(f"{missing[0].kind}NotFound", message))
    return Decision(status, look_again=timedelta(seconds=30))


def _mistakes(dataset: LanceDataset | None) -> tuple[str, ...]:
    """What is wrong with the manifest by itself, beyond what an API server can check."""
    return () if dataset is None else tuple(map(str, reach.mistakes_of_dataset(dataset)))


def _refused(
    facts: DatasetFacts, mistakes: tuple[str, ...], now: datetime
) -> Decision[DatasetStatus]:
    message = "; ".join(mistakes) or "the manifest cannot be read"
    said = stuck("InvalidManifest", message)
    status = facts.status.model_copy(
        update={
            "observed_generation": facts.identity.generation,
            "conditions": conditions(facts.status.conditions, said, facts.identity.generation, now),
        }
    )
    return Decision(status)


def _three_as_before(status: DatasetStatus) -> tuple[Said, ...]:
    return tuple(_as_before(status, kind) for kind in ("Ready", "Reconciling", "Stalled"))


def _as_before(status: DatasetStatus, kind: str) -> Said:
    found = find(status.conditions, kind)
    if found is not None:
        return Said(kind, found.status, found.reason, found.message)
    return Said(kind, "Unknown" if kind == "Ready" else "False", "NotYet")


def _size(count: Any) -> str | None:
    """`1.9 GB`, in powers of ten as disks are sold."""
    if not isinstance(count, int):
        return None
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return None
