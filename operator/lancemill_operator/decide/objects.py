"""What a run needs to exist, in the order in which it must come to be."""

from __future__ import annotations

from lancemill_api.dataset import LanceDataset
from lancemill_api.pipeline import MultimodalPipeline
from lancemill_api.status import CurrentRun
from lancemill_operator.actions import Action, Apply, Create
from lancemill_operator.decide.case import Case
from lancemill_operator.decide.preflight import datasets
from lancemill_operator.manifests import (
    frozen,
    network_policy,
    rayjob,
    service_account,
    settle_probe,
)


def of_attempt(case: Case, current: CurrentRun) -> tuple[Action, ...]:
    """Everything that the present attempt needs, its RayJob last."""
    pipeline, named = specification(case, current)
    identity, defaults = case.facts.identity, case.defaults
    made: list[Action] = []
    if pipeline.spec.runtime.service_account_name is None:
        made.append(Apply(service_account(identity)))
    if defaults.network_policies:
        made.append(Apply(network_policy(identity, defaults)))
    if case.facts.frozen is None:
        made.append(Create(frozen(identity, case.facts.document, named, run=current.id)))
    made.append(
        Create(
            rayjob(
                identity,
                pipeline,
                named,
                run=current.id,
                attempt=current.attempt,
                remaining=case.remaining(current),
                defaults=defaults,
            )
        )
    )
    return tuple(made)


def settle_job(case: Case, current: CurrentRun, number: int) -> Create:
    """The Job that closes the run's ledger to all attempts so far, and says what came of it.

    `number` counts the Jobs before it that gave no answer.
    """
    pipeline, named = specification(case, current)
    return Create(
        settle_probe(
            case.facts.identity,
            pipeline,
            named,
            run=current.id,
            attempt=current.attempt,
            number=number,
            defaults=case.defaults,
        )
    )


def specification(
    case: Case, current: CurrentRun
) -> tuple[MultimodalPipeline, tuple[LanceDataset, ...]]:
    """What the run was started with: frozen, once it has been."""
    if case.facts.frozen is not None:
        return case.facts.frozen.pipeline, case.facts.frozen.datasets
    return case.pipeline, datasets(case)


def is_frozen_needed(case: Case, current: CurrentRun) -> bool:
    """Whether what is now may differ from what the run was started with."""
    return current.attempt > 1 or current.generation != case.facts.identity.generation


def is_lost(case: Case, current: CurrentRun) -> bool:
    """Whether nobody knows any more what the run was started with."""
    changed = current.generation != case.facts.identity.generation
    return changed and case.facts.frozen is None
