"""What must be there before a pod starts, each with its place in the manifest."""

from __future__ import annotations

from pathlib import Path

from lancemill_api.manifest import load
from lancemill_operator.manifests import references, storage_secrets

EVERYTHING = load(Path(__file__).parent / "everything.yaml")


def test_everything_that_a_pipeline_names_is_found_with_its_place() -> None:
    (pipeline,) = EVERYTHING.pipelines
    group = "spec.cluster.workerGroups"
    found = [(one.path, one.kind, one.name, one.optional) for one in references(pipeline)]
    assert found == [
        ("spec.source.objects.storage.secretRef.name", "Secret", "photos-reader", False),
        ("spec.stages[2].infer.model.storage.secretRef.name", "Secret", "models-reader", False),
        ("spec.sink.lance.dataset", "LanceDataset", "cats-224", False),
        ("spec.code.configMap", "ConfigMap", "cats-udfs", False),
        ("spec.runtime.serviceAccountName", "ServiceAccount", "vision", False),
        ("spec.runtime.env[1].valueFrom.secretKeyRef.name", "Secret", "hugging-face", False),
        ("spec.runtime.env[2].valueFrom.configMapKeyRef.name", "ConfigMap", "flavours", True),
        ("spec.runtime.envFrom[0].secretRef.name", "Secret", "lake-variables", False),
        ("spec.runtime.envFrom[1].configMapRef.name", "ConfigMap", "common", True),
        ("spec.runtime.imagePullSecrets[0].name", "Secret", "registry", False),
        (f"{group}[0].volumes[1].configMap.name", "ConfigMap", "certificates", False),
        (f"{group}[0].volumes[2].secret.secretName", "Secret", "extra-files", True),
        (
            f"{group}[0].volumes[3].persistentVolumeClaim.claimName",
            "PersistentVolumeClaim",
            "models",
            False,
        ),
        (f"{group}[0].volumes[5].csi.nodePublishSecretRef.name", "Secret", "vault-login", False),
        (f"{group}[1].priorityClassName", "PriorityClass", "batch", False),
        ("spec.run.triggers[0].dataset", "LanceDataset", "photos", False),
    ]


def test_a_dataset_names_its_secret_and_its_account() -> None:
    (dataset,) = EVERYTHING.datasets
    assert [(one.path, one.name) for one in references(dataset)] == [
        ("spec.storage.secretRef.name", "lake.writer"),
        ("spec.runtime.serviceAccountName", "lake-writer"),
        ("spec.runtime.imagePullSecrets[0].name", "registry"),
    ]


def test_stores_secrets_are_those_of_storage_and_no_others() -> None:
    assert storage_secrets(*EVERYTHING.resources) == (
        "lake.writer",
        "models-reader",
        "photos-reader",
    )
