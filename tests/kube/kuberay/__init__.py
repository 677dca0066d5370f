"""A stand-in for KubeRay 1.7: what its operator does with RayJob and RayCluster in HTTPMode.

Its images and its Go module cannot be had in CI, so tests and the demo run with this one, and it is
held to recordings of the real one (`kube.conformance`). It is written from those recordings and
from KubeRay's documentation; none of its code is here. `rayjob` and `raycluster` say what follows
from what was seen and are pure; `objects` and `pods` build what is made; `controller` is the shell
with the watches and the writes.

Not here, since our operator never asks for it: K8sJobMode, SidecarMode and InteractiveMode (such a
RayJob hangs in Running, as one with an unknown mode does with the real one), deletionRules,
clusterSelector, GCS fault tolerance, Ingress, TLS, RayCluster suspension, groups with more than one
host, RayService and RayCronJob. Ray is taken to be 2.53 or later, whose agent answers
`/api/healthz`; KubeRay gives older ones other probes.
"""
