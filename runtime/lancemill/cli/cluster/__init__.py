"""Commands that talk to a cluster: submit, status, logs, cancel, rerun.

They need the extra `k8s`, and are the only part of the runtime that knows Kubernetes. Nothing of
the operator is imported: what both must know (names of labels and annotations, the shape of a
status) is in `lancemill_api`.
"""
