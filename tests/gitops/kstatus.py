"""kstatus' judgement of objects: the library by which Flux and Helm 4 wait, asked itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable

from gitops.argocd import Document, Health
from kube.binaries import find_binaries

AS_ARGO_CD_SAYS = {
    "Healthy": "Current",
    "Suspended": "Current",
    "Progressing": "InProgress",
    "Degraded": "Failed",
}
"""What kstatus must say of an object of which Argo CD says this."""


def kstatus(document: Document) -> Health:
    """Status (InProgress, Current, Failed, Terminating, …) and message. Raises Missing."""
    (judgement,) = kstatuses([document])
    return judgement


def kstatuses(documents: Iterable[Document]) -> list[Health]:
    """The same of many, in one call."""
    text = "\n".join(json.dumps(document) for document in documents)
    program = find_binaries("kstatus").path("kstatus")
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    answers = map(json.loads, done.stdout.splitlines())
    return [(answer["status"], answer["message"]) for answer in answers]
