"""What the chart renders, by helm 3 and helm 4; in a cluster: tests/kube/test_helm.py."""
