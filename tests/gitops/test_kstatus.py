"""Flux and Helm 4 judge by kstatus: in every state it must agree with what Argo CD shows."""

from __future__ import annotations

import copy

import pytest

from gitops.argocd import CUSTOMIZATIONS, Document, health
from gitops.kstatus import AS_ARGO_CD_SAYS, kstatus, kstatuses
from gitops.test_argocd import load

DOCUMENTS = {
    f"{path.parts[-3]}-{path.stem}": load(path)
    for path in sorted(CUSTOMIZATIONS.glob("*/*/testdata/*.yaml"))
}
pytestmark = pytest.mark.usefixtures("programs")


def as_served(document: Document) -> Document:
    """With the status that the CRD gives to an object which nobody has looked at."""
    return {"status": {"observedGeneration": -1}} | document


def test_it_says_of_each_state_what_argo_cd_says() -> None:
    said = kstatuses(as_served(document) for document in DOCUMENTS.values())
    found = {name: status for name, (status, _) in zip(DOCUMENTS, said, strict=True)}
    expected = {name: AS_ARGO_CD_SAYS[health(one)[0]] for name, one in DOCUMENTS.items()}
    assert found == expected
    assert set(found.values()) == {"Current", "InProgress", "Failed"}


def test_only_the_default_of_the_crd_keeps_an_untouched_object_from_looking_finished() -> None:
    untouched = DOCUMENTS["MultimodalPipeline-no_status"]
    assert kstatus(untouched)[0] == "Current"
    assert kstatus(as_served(untouched))[0] == "InProgress"


def test_it_tells_the_message_of_what_is_wrong() -> None:
    failed = copy.deepcopy(DOCUMENTS["LanceDataset-access_denied"])
    assert kstatus(failed) == ("Failed", health(failed)[1])
