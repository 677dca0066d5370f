"""Where pods are placed: tolerations, affinity and spread, with Kubernetes' own field names.

All of it is typed, so that a misspelt word is refused at apply: what the API server only reads when
it makes the pods would leave a run waiting without a reason.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lancemill_api.base import Expected, Model
from lancemill_api.pod_rules import ValuesFitOperator
from lancemill_api.rules import AtLeastOne, NeededWhen, OnlyWhen
from lancemill_api.scalars import Name

_WORD = "[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=rf"^(?:{_WORD}(?:\.{_WORD})*/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$",
        max_length=317,
    ),
    Expected("a label's key, such as example.com/zone"),
]
LabelValue = Annotated[
    str,
    StringConstraints(pattern=r"^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63),
    Expected("a label's value: letters, digits, -, _ and ., at most 63; numbers in quotes"),
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
LabelValues = Annotated[tuple[LabelValue, ...], Field(max_length=64)]
Weight = Annotated[int, Field(ge=1, le=100)]


class Toleration(Model):
    """A taint of nodes that pods may be placed on nevertheless."""

    must_hold = (
        NeededWhen("key", "operator", "Equal", "the taint's key"),
        OnlyWhen("value", "operator", "Equal"),
        OnlyWhen("tolerationSeconds", "effect", "NoExecute"),
    )

    key: LabelKey | None = None
    """Key of the taint. Default: any, with operator Exists."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Exists (any value) or Equal. Default: Equal."""
    value: LabelValue | None = None
    """Value of the taint (operator Equal). Default: empty."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """NoSchedule, PreferNoSchedule or NoExecute. Default: all of them."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Seconds that NoExecute is borne for. Default: for ever."""


class LabelRequirement(Model):
    """A condition on a label of pods."""

    must_hold = (ValuesFitOperator(),)

    key: LabelKey
    """Key of the label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """In, NotIn, Exists or DoesNotExist."""
    values: LabelValues = ()
    """Values (operators In and NotIn). Default: none."""


class LabelSelector(Model):
    """Pods by their labels; all conditions must hold."""

    match_labels: Labels = Field(default_factory=dict)
    """Labels with these values. Default: any."""
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=16)] = ()
    """Conditions on labels. Default: none."""


class NodeRequirement(Model):
    """A condition on a label or field of nodes."""

    must_hold = (ValuesFitOperator(),)

    key: LabelKey
    """Key of the label, or metadata.name in matchFields."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """In, NotIn, Exists, DoesNotExist, Gt or Lt."""
    values: LabelValues = ()
    """Values (one whole number in quotes for Gt and Lt). Default: none."""


NodeRequirements = Annotated[tuple[NodeRequirement, ...], Field(max_length=16)]


class NodeTerm(Model):
    """Nodes that meet all of these conditions."""

    must_hold = (AtLeastOne(("matchExpressions", "matchFields")),)

    match_expressions: NodeRequirements = ()
    """Conditions on labels. Default: none."""
    match_fields: NodeRequirements = ()
    """Conditions on fields. Default: none."""


class NodeTerms(Model):
    """Nodes that meet one of these terms."""

    node_selector_terms: Annotated[tuple[NodeTerm, ...], Field(min_length=1, max_length=8)]
    """The terms; one of them must be met."""


class PreferredNodes(Model):
    """Nodes that are preferred."""

    weight: Weight
    """How much, 1 to 100."""
    preference: NodeTerm
    """Which nodes."""


class NodeAffinity(Model):
    """Nodes that a pod is drawn to."""

    required_during_scheduling_ignored_during_execution: NodeTerms | None = None
    """Nodes that it must be placed on. Default: any."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredNodes, ...], Field(max_length=8)
    ] = ()
    """Nodes that are preferred. Default: none."""


class PodTerm(Model):
    """Pods, and what being near to them means."""

    topology_key: LabelKey
    """Label of nodes whose equal values mean near, such as kubernetes.io/hostname."""
    label_selector: LabelSelector | None = None
    """Which pods. Default: none."""
    namespaces: Annotated[tuple[Name, ...], Field(max_length=16)] = ()
    """Namespaces in which they are looked for. Default: the pipeline's."""
    namespace_selector: LabelSelector | None = None
    """Namespaces in which they are looked for, by labels. Default: none."""


class PreferredPods(Model):
    """Pods that are preferred to be near to, or away from."""

    weight: Weight
    """How much, 1 to 100."""
    pod_affinity_term: PodTerm
    """Which pods."""


class PodAffinity(Model):
    """Pods that a pod is drawn to, or kept from."""

    required_during_scheduling_ignored_during_execution: Annotated[
        tuple[PodTerm, ...], Field(max_length=8)
    ] = ()
    """What must hold. Default: nothing."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        tuple[PreferredPods, ...], Field(max_length=8)
    ] = ()
    """What is preferred. Default: nothing."""


class Affinity(Model):
    """Nodes and pods that a pod is drawn to or kept from."""

    node_affinity: NodeAffinity | None = None
    """Nodes that it is drawn to. Default: any."""
    pod_affinity: PodAffinity | None = None
    """Pods that it is drawn to. Default: none."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods that it is kept from. Default: none."""


class TopologySpread(Model):
    """How evenly workers are spread over nodes or zones."""

    must_hold = (OnlyWhen("minDomains", "whenUnsatisfiable", "DoNotSchedule"),)

    max_skew: Annotated[int, Field(ge=1, le=10000)] = 1
    """Most difference in workers between two domains. Default: 1."""
    topology_key: LabelKey
    """Label of nodes that makes a domain, such as topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """DoNotSchedule or ScheduleAnyway. Default: ScheduleAnyway."""
    min_domains: Annotated[int, Field(ge=1, le=10000)] | None = None
    """Fewest domains (with DoNotSchedule). Default: 1."""
    label_selector: LabelSelector | None = None
    """Pods that are counted. Default: the workers of this group in this run."""
