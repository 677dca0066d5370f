"""The optimiser: a few rules, each a pure function from plan to plan, each noted for the reader.

Projection into the source and the early dropping of columns need no rule of their own: binding
narrows every step to the columns that something behind it needs (`bind.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lancemill.ops.operation import Bound
from lancemill.plan.bind import bind_plan
from lancemill.plan.step import Plan, Step

Rule = Callable[[Plan], Plan]


def push_down_filters(plan: Plan) -> Plan:
    """Moves a row filter before the stages whose columns it does not read.

    A filter on metadata then runs before any byte is fetched. Only filters that leave the columns
    as they are can move; a row that they drop is then never fetched, and so cannot fail either.
    """
    steps = list(plan.steps)
    notes = list(plan.notes)
    for index in range(len(steps)):
        at = index
        while at > 0 and _may_swap(steps[at - 1].done, steps[at].done):
            steps[at - 1], steps[at] = steps[at], steps[at - 1]
            at -= 1
        if at != index:
            passed = ", ".join(step.name for step in steps[at + 1 : index + 1])
            notes.append(f"filter '{steps[at].name}' moved before {passed}")
    if notes == list(plan.notes):
        return plan
    return bind_plan(replace(plan, steps=tuple(steps), notes=tuple(notes)))


def _may_swap(before: Bound, after: Bound) -> bool:
    return (
        before.shape == "map"
        and after.shape == "filter"
        and not after.makes
        and not (after.reads & before.makes)
        # a query that names its columns drops the others: only `select *` leaves them as they are
        and set(before.schema.names) <= set(after.schema.names)
    )


def fuse_image_stages(plan: Plan) -> Plan:
    """Makes one operation of adjacent decode, resize and encode on one chain of columns.

    Full-size pixels then live for one image at a time, never for a batch.
    """
    from lancemill.ops.image import can_fuse

    steps: list[Step] = []
    for index, step in enumerate(plan.steps):
        needed = set(plan.keeps[index + 1])
        if steps and steps[-1].placement == step.placement:
            joined = (*steps[-1].parts, *step.parts)
            hidden = steps[-1].done.makes - step.done.makes
            if can_fuse([part.spec for part in joined]) and not hidden & needed:
                steps[-1] = replace(step, parts=joined)
                continue
        steps.append(step)
    if len(steps) == len(plan.steps):
        return plan
    fused = [step.name for step in steps if len(step.parts) > 1]
    notes = (*plan.notes, *(f"fused: {name}" for name in fused))
    return bind_plan(replace(plan, steps=tuple(steps), notes=notes))


RULES: tuple[Rule, ...] = (push_down_filters, fuse_image_stages)


def optimise(plan: Plan) -> Plan:
    """All rules, in order."""
    for rule in RULES:
        plan = rule(plan)
    return plan
