"""The recordings of the real KubeRay, and what holds the stand-in (or a real one) to them.

`scenarios.yaml` says what is played: one file for both. `runner` plays it on a real API server and
takes down every change and request; `recordings` reads the same out of a recording. Both become a
`Story`, from which everything that chance decides is masked, and `difference` compares the two.

    python -m kube.conformance [--only 01-success …]     # with PYTHONPATH=tests
    KUBERAY_OPERATOR=/path/to/kuberay/operator python -m kube.conformance
"""
