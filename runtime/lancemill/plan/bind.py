"""Binds a chain of steps to the columns before each: the type check of the whole manifest.

Every mistake is told once: a step that does not fit is assumed to make the columns that it names
(with type `null`, which operations accept), so that the check goes on behind it.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from lancemill.errors import Mistake, PlanError
from lancemill.ops.operation import UNKNOWN, Applied, Bound, WorkerContext, with_columns
from lancemill.plan.step import Part, Plan, Step


def bind_plan(plan: Plan) -> Plan:
    """`plan` with every step bound and columns narrowed; PlanError with all mistakes."""
    steps, mistakes = _bind_chain(plan, plan.source, None)
    output = steps[-1].done.schema if steps else plan.source
    mistakes += _missing_sink_columns(plan, output)
    if mistakes:
        raise PlanError(mistakes)
    keeps = _live_columns(plan, steps, output)
    source = _select(plan.source, keeps[0])
    steps, mistakes = _bind_chain(replace(plan, steps=tuple(steps)), source, keeps[1:])
    if mistakes:
        raise PlanError(mistakes)
    return replace(plan, steps=tuple(steps), keeps=tuple(keeps))


def _bind_chain(
    plan: Plan, schema: pa.Schema, keeps: Sequence[Sequence[str]] | None
) -> tuple[list[Step], list[Mistake]]:
    bound_steps: list[Step] = []
    mistakes: list[Mistake] = []
    for index, step in enumerate(plan.steps):
        try:
            bound = _bind_step(step, schema, plan)
        except PlanError as error:
            mistakes += error.mistakes
            bound = _assumed(step, schema)
        bound_steps.append(replace(step, bound=bound))
        schema = bound.schema if keeps is None else _select(bound.schema, keeps[index])
    return bound_steps, mistakes


def _bind_step(step: Step, schema: pa.Schema, plan: Plan) -> Bound:
    if len(step.parts) > 1:
        from lancemill.ops.image import fuse

        bound: Bound = fuse([(part.spec, part.place) for part in step.parts], schema)
    else:
        (part,) = step.parts
        module = importlib.import_module(f"lancemill.ops.{part.operation}")
        bound = module.bind(part.spec, schema, part.place, plan.resolved.get(part.place.stage))
    if step.operation == "fetch" and plan.local_uris in bound.reads:
        # Reading a file is copying, not waiting: it belongs to the thread that goes on with it.
        bound = replace(bound, bound_by="cpu")
    # The stage's own name for what is seen of it, whatever an operation calls itself.
    bound = replace(bound, stage=step.name)
    if step.placement.batch_size is not None:
        bound = replace(bound, batch_rows=step.placement.batch_size)
    return bound


def _assumed(step: Step, schema: pa.Schema) -> Bound:
    made = [name for part in step.parts for name in _named_outputs(part)]
    schema = with_columns(schema, [pa.field(name, UNKNOWN) for name in made])
    return Bound(
        stage=step.name,
        operation=step.operation,
        schema=schema,
        reads=frozenset(schema.names),
        makes=frozenset(made),
        open=_never,
    )


def _never(_: WorkerContext) -> Applied:
    raise AssertionError("a step that does not fit is never opened")


def _named_outputs(part: Part) -> list[str]:
    """The columns that a specification says it makes, without understanding it."""
    spec = part.spec
    if part.operation == "udf":
        return list(spec.schema_)
    if part.operation == "infer":
        return list(spec.outputs.values())
    into = getattr(spec, "into", None) or getattr(spec, "column", None)
    return [into] if into else []


def _missing_sink_columns(plan: Plan, output: pa.Schema) -> list[Mistake]:
    if plan.sink_columns is None:
        return []
    have = ", ".join(output.names)
    return [
        Mistake(f"columns[{index}]", f"'{name}' is made by no stage; there are: {have}")
        for index, name in enumerate(plan.sink_columns)
        if name not in output.names
    ]


def _live_columns(plan: Plan, steps: Sequence[Step], output: pa.Schema) -> list[tuple[str, ...]]:
    """For the source and each step, the columns that anything behind it needs, in order.

    Walks from the sink to the source: what is needed before a step is what it reads, and what is
    needed behind it that it does not make itself.
    """
    wanted = plan.sink_columns if plan.sink_columns is not None else tuple(output.names)
    keeps = [tuple(wanted)]
    live = set(wanted)
    for index in range(len(steps) - 1, -1, -1):
        bound = steps[index].done
        live = set(bound.reads) | (live - bound.makes)
        before = steps[index - 1].done.schema if index else plan.source
        keeps.append(tuple(name for name in before.names if name in live))
    keeps.reverse()
    return keeps


def _select(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])
