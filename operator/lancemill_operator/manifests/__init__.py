"""Kubernetes objects from specifications: pure functions, equal inputs give equal objects.

Nothing here reads a clock, a cluster or a Secret. What the operator's own configuration decides
comes in as `Defaults`.
"""

from lancemill_operator.manifests.access import network_policy, service_account
from lancemill_operator.manifests.defaults import Defaults
from lancemill_operator.manifests.demand import Demand, demands
from lancemill_operator.manifests.frozen import frozen, thawed, too_large
from lancemill_operator.manifests.probe import dataset_manifest, dataset_probe, settle_probe
from lancemill_operator.manifests.rayjob import rayjob
from lancemill_operator.manifests.references import Reference, references, storage_secrets

__all__ = [
    "Defaults",
    "Demand",
    "Reference",
    "dataset_manifest",
    "dataset_probe",
    "demands",
    "frozen",
    "network_policy",
    "rayjob",
    "references",
    "service_account",
    "settle_probe",
    "storage_secrets",
    "thawed",
    "too_large",
]
